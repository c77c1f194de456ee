"""Marks of remote targets: saved before and after each write, moved with a name, never fatal."""

import json
from dataclasses import asdict, replace

import anyio
import pytest

from tests.fakes import HOLDING, HangingThreads, InlineThreads, MemoryState
from tests.httpd.served import logged
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.records.marks import SAVE_SECONDS, MarkStore, SavedMark
from tokend.engine.records.store import SAVE_AGAIN_SECONDS, TokenStore
from tokend.machine.thread_pool import Threads
from tokend.plugin.sink import Mark
from tokend.values.errors import StoreError

MARK = SavedMark(
    settings="s1", known=True, digest="d1", version="7", expires_at=1_800_000_000, written_at=1_790_000_000, writes=3
)


def loaded(state: MemoryState, clock: VirtualClock, threads: Threads | None = None) -> TokenStore:
    store = TokenStore(state=state, threads=threads or InlineThreads(), clock=clock)
    store.load()
    return store


def test_a_mark_comes_back_after_a_restart() -> None:
    """With everything; of another target and another provider nothing is known."""

    async def main(clock: VirtualClock) -> None:
        state = MemoryState()
        marks = loaded(state, clock).marks
        await marks.put("a.b", "store:app", MARK)
        await marks.put("a.b", "store:other", SavedMark("s2", conflict="another writer"))
        again = loaded(state, clock).marks
        assert again.get("a.b", "store:app") == MARK
        assert present_mark(again.get("a.b", "store:app")) == Mark("d1", "7")
        assert present_mark(again.get("a.b", "store:other")) is None
        assert (again.get("a.b", "store:else"), again.get("c", "store:app")) == (None, None)

    run_virtually(main)


def present_mark(saved: SavedMark | None) -> Mark | None:
    assert saved is not None
    return saved.mark


def test_an_equal_mark_is_not_saved_again() -> None:
    """A restart writes nothing."""

    async def main(clock: VirtualClock) -> None:
        state = MemoryState()
        await loaded(state, clock).marks.put("a", "t", MARK)
        state.broken = True
        marks = loaded(state, clock).marks
        await marks.put("a", "t", MARK)
        assert not marks.unsaved

    run_virtually(main)


GOOD = {"version": 1, "sinks": {"t": asdict(SavedMark("s", known=True))}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        b'{"version": 1}',
        json.dumps({**GOOD, "version": 2}).encode(),
        json.dumps({"version": 1, "sinks": []}).encode(),
        json.dumps({"version": 1, "sinks": {"t": None}}).encode(),
        json.dumps({"version": 1, "sinks": {"t": {}}}).encode(),
        json.dumps(GOOD).replace("true", "1").encode(),
        json.dumps(GOOD).replace('"writes": 0', '"writes": true').encode(),
        json.dumps(GOOD).replace('"digest": null', '"digest": 5').encode(),
    ],
)
def test_a_damaged_file_is_set_aside_and_counts_as_nothing(content: bytes) -> None:
    """No start fails: the store is asked. The other providers' marks count."""

    async def main(clock: VirtualClock) -> None:
        state = MemoryState()
        state.marked = {"a": content, "b": json.dumps(GOOD).encode()}
        with logged() as lines:
            marks = loaded(state, clock).marks
        assert marks.get("a", "t") is None
        assert marks.get("b", "t") == SavedMark("s", known=True)
        assert [line["event"] for line in lines] == ["state.damaged"]
        assert state.marked.keys() == {"b"}

    run_virtually(main)


def test_marks_that_change_during_a_save_are_saved_together() -> None:
    """A thousand targets of one provider do not write its file a thousand times."""

    class Slow(InlineThreads):
        saves = 0

        async def run(self, call, *, seconds):  # type: ignore[no-untyped-def]  # as `Threads.run`
            Slow.saves += 1
            result = call()
            await anyio.sleep(0.1)
            return result

    async def main(clock: VirtualClock) -> None:
        state = MemoryState()
        marks = loaded(state, clock, Slow()).marks
        async with anyio.create_task_group() as tasks:
            for number in range(1000):
                tasks.start_soon(marks.put, "a", f"t{number}", MARK)
                await anyio.sleep(0.05 if number == 0 else 0)
        assert Slow.saves == 2
        assert all(loaded(state, clock).marks.get("a", f"t{number}") == MARK for number in range(1000))

    run_virtually(main)


def test_a_full_disk_is_reported_once_and_the_marks_are_saved_later() -> None:
    """They count until then."""

    async def main(clock: VirtualClock) -> None:
        state = MemoryState()
        store = loaded(state, clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.keep_saved)
            await anyio.sleep(1)
            state.broken = True
            with logged() as lines:
                await store.marks.put("a", "t", MARK)
                await anyio.sleep(10 * SAVE_AGAIN_SECONDS)
                await store.marks.put("a", "t", replace(MARK, writes=4))
            assert [line["event"] for line in lines] == ["state.write_failed"]
            assert store.marks.get("a", "t") == replace(MARK, writes=4)
            state.broken = False
            await anyio.sleep(2 * SAVE_AGAIN_SECONDS)
            assert loaded(state, clock).marks.get("a", "t") == replace(MARK, writes=4)
            assert not store.marks.unsaved
            tasks.cancel_scope.cancel()

    run_virtually(main)


def test_a_disk_that_hangs_holds_a_write_up_for_two_seconds() -> None:
    """And never overwrites something newer when it goes on."""

    async def main(clock: VirtualClock) -> None:
        state, threads = MemoryState(), HangingThreads(clock)
        marks = loaded(state, clock, threads).marks
        threads.hanging = True
        began = clock.instant()
        await marks.put("a", "t", MARK)
        assert began.until(clock.instant()) == pytest.approx(SAVE_SECONDS)
        threads.hanging = False
        await marks.put("a", "t", replace(MARK, writes=4))
        assert marks.unsaved == {"a"}
        threads.release()
        await marks.save("a")
        assert loaded(state, clock).marks.get("a", "t") == replace(MARK, writes=4)
        assert not HOLDING

    run_virtually(main)


def test_marks_move_with_the_name_of_their_provider() -> None:
    """The old file is gone; what the new name had is not mixed in."""

    async def main(clock: VirtualClock) -> None:
        state = MemoryState()
        store = loaded(state, clock)
        await store.marks.put("old", "t", MARK)
        await store.marks.put("new", "else", MARK)
        await store.rename("old", "new")
        await store.rename("never", "known")
        again = loaded(state, clock).marks
        assert (again.get("new", "t"), again.get("new", "else"), again.get("old", "t")) == (MARK, None, None)
        assert state.marked.keys() == {"new"}
        await store.rename("nothing", "new")
        assert state.marked == {}

    run_virtually(main)


def test_targets_that_are_gone_are_dropped_soon() -> None:
    """A table that was removed, or that has another target now."""

    async def main(clock: VirtualClock) -> None:
        state = MemoryState()
        store = loaded(state, clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.keep_saved)
            await anyio.sleep(1)
            marks = store.marks
            await marks.put("a", "t", MARK)
            await marks.put("a", "u", MARK)
            marks.keep("a", {"u", "v"})
            marks.keep("unknown", {"u"})
            assert (marks.get("a", "t"), marks.get("a", "u")) == (None, MARK)
            await anyio.sleep(2 * SAVE_AGAIN_SECONDS)
            assert loaded(state, clock).marks.get("a", "t") is None
            tasks.cancel_scope.cancel()

    run_virtually(main)


def test_a_save_that_is_cancelled_is_made_later() -> None:
    """A reload ends a sink while its mark waits for the disk: a restart finds the mark all the same."""

    async def main(clock: VirtualClock) -> None:
        state, threads = MemoryState(), HangingThreads(clock)
        store = loaded(state, clock, threads)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.keep_saved)
            await anyio.sleep(1)
            threads.hanging = True
            with anyio.move_on_after(0.5):
                await store.marks.put("a", "t", MARK)
            assert store.marks.unsaved == {"a"}
            threads.release()
            await anyio.sleep(2 * SAVE_AGAIN_SECONDS)
            assert loaded(state, clock).marks.get("a", "t") == MARK
            tasks.cancel_scope.cancel()

    run_virtually(main)


def test_what_a_backend_refuses_without_a_reason_has_the_limit_in_its_message() -> None:
    """The operator's sentence."""

    class Stuck(InlineThreads):
        async def run(self, call, *, seconds):  # type: ignore[no-untyped-def]  # as `Threads.run`
            raise TimeoutError("32 threads hang already")

    async def main(clock: VirtualClock) -> None:
        marks = MarkStore(MemoryState(), Stuck(), on_unsaved=lambda: None)
        with logged() as lines:
            await marks.put("a", "t", MARK)
        assert lines[0]["detail"] == "marks of its sinks: 32 threads hang already"
        with pytest.raises(StoreError):
            marks.load("a", b"{}")

    run_virtually(main)
