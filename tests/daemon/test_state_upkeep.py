"""Upkeep of a sealed state: files of another form are written again, and the index follows."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio
import pytest

from tests.virtual import VirtualClock, run_virtually, until
from tokend.daemon.state_upkeep import StateUpkeep
from tokend.engine.records.record import Record
from tokend.engine.records.store import TokenStore
from tokend.state.directory import StateDirectory
from tokend.state.sealed import SealedState
from tokend.state.sealing import MAGIC, Sealer, StateKey
from tokend.values.errors import StoreError

T = TypeVar("T")
KEY = StateKey(b"a-planted-fake-key-of-32-bytes-1")


class Here:
    """Threads that run the call here."""

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        assert seconds > 0
        return call()


class Disk(StateDirectory):
    """A directory whose index cannot be written for a while."""

    full = False
    indexes = 0

    def save_part(self, name: str, content: bytes | None) -> None:
        if self.full:
            raise StoreError("no space")
        self.indexes += 1
        super().save_part(name, content)


def opened(place: Path, clock: VirtualClock, sealer: Sealer) -> tuple[Disk, SealedState, TokenStore]:
    disk = Disk(place, sealer)
    state = SealedState(disk, sealer)
    store = TokenStore(state=state, threads=Here(), clock=clock)
    store.load()
    return disk, state, store


def are_sealed(place: Path) -> bool:
    files = [*place.glob("tokens/*.json"), place / "salt", place / "index"]
    return len(files) == 4 and all(path.read_bytes().startswith(MAGIC) for path in files)


def test_after_a_first_key_everything_is_sealed_and_then_the_index_follows(tmp_path: Path) -> None:
    """Saves that come close to each other cost one index; a full disk is tried again; without a change nothing is
    written."""

    async def main(clock: VirtualClock) -> None:
        _, state, store = opened(tmp_path, clock, Sealer())
        for name in ("px", "tt"):
            await store.update(name, lambda _: Record(generation=7))
        state.save_marks("px", b'{"version": 1, "sinks": {}}')
        state.close()
        disk, state, store = opened(tmp_path, clock, Sealer(KEY))
        assert store.get("px").generation == 7
        assert state.outdated == {"px", "tt"}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(StateUpkeep(store, state, clock=clock, threads=Here()).keep)
            await until(lambda: not state.outdated and not state.outdated_marks, seconds=5)
            await until(lambda: state.index_seconds() is None, seconds=5)
            assert are_sealed(tmp_path)
            before = disk.indexes
            for generation in range(8, 20):
                await store.update("px", lambda _, new=generation: Record(generation=new))  # type: ignore[misc]
            await until(lambda: state.index_seconds() is None, seconds=5)
            assert disk.indexes == before + 1
            await clock.sleep(3600)
            assert disk.indexes == before + 1
            disk.full = True
            await store.update("px", lambda _: Record(generation=30))
            await clock.sleep(10)
            assert state.index_seconds() is not None
            disk.full = False
            await until(lambda: state.index_seconds() is None, seconds=15)
            tasks.cancel_scope.cancel()
        state.close()

    run_virtually(main)


@pytest.mark.parametrize("saved", [True, False])
def test_a_record_that_cannot_be_written_again_counts_as_unsaved(tmp_path: Path, saved: bool) -> None:
    """`TokenStore.keep_saved` tries again; a name that is gone by then is left alone."""

    async def main(clock: VirtualClock) -> None:
        _, state, store = opened(tmp_path, clock, Sealer())
        await store.update("px", lambda _: Record(generation=7))
        if not saved:
            (tmp_path / "tokens").rename(tmp_path / "elsewhere")
            (tmp_path / "tokens").write_text("no directory")
        await store.rewrite("px")
        await store.rewrite("never-there")
        assert store.unsaved() == (0 if saved else 1)
        assert store.records.keys() == {"px"}
        state.close()

    run_virtually(main)
