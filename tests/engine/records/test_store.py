"""The store: saved, then shown; updates of one name run one after another; a disk that hangs delays nothing."""

from collections.abc import Callable
from typing import NoReturn

import anyio
import pytest

from tests.fakes import FakeHeld, HangingThreads, InlineThreads, MemoryState, T, World, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.records.record import Record
from tokend.engine.records.store import TokenStore


def bug(_: object) -> NoReturn:
    raise ZeroDivisionError


class SlowThreads(InlineThreads):
    """Threads that take a second, so that two updates can overlap."""

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        await anyio.sleep(1)
        return call()


def test_updates_of_one_name_take_turns() -> None:
    """None is made of a record that another has replaced: a forgotten token must not come back that way."""

    async def main(clock: VirtualClock) -> None:
        store = TokenStore(state=MemoryState(), threads=SlowThreads(), clock=clock)
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(store.update, "a", lambda record: Record(generation=record.generation + 1))
        assert store.get("a").generation == 5
        assert store.records == {"a": Record(generation=5)}

    run_virtually(main)


def test_a_change_that_raises_changes_nothing_and_blocks_nobody() -> None:
    """What an update refuses is as if it had not been asked for."""

    async def main(clock: VirtualClock) -> None:
        store = TokenStore(state=MemoryState(), threads=InlineThreads(), clock=clock)
        with pytest.raises(ZeroDivisionError):
            await store.update("a", bug)
        assert store.get("a") == Record()
        await store.update("a", lambda _: Record(generation=1))
        assert store.get("a").generation == 1

    run_virtually(main)


def test_a_token_is_published_although_the_disk_hangs() -> None:
    """If persisting fails, a token is still published; neither a rename nor a reload stops at it."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.disk_threads = threads = HangingThreads(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            threads.hanging = True
            await anyio.sleep(30)
            assert supervisor.entries["a"].status().valid
            start = clock.instant()
            await world.store.rename("a", "b")
            assert start.until(clock.instant()) <= 21
            assert world.store.get("b").lease.name == "b"
            threads.release()

    run_virtually(main)


def test_a_watcher_that_left_receives_nothing() -> None:
    """subscribe returns how to stop."""

    async def main(clock: VirtualClock) -> None:
        store = TokenStore(state=MemoryState(), threads=InlineThreads(), clock=clock)
        told: list[str] = []
        leave = store.subscribe(told.append)
        store.touch("a")
        leave()
        store.touch("b")
        assert told == ["a"]
        await store.rename("nobody", "somebody")
        assert store.records == {}

    run_virtually(main)
