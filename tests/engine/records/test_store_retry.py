"""Records that could not be saved are saved when the disk works again, never over something newer."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio

from tests.expecting import present
from tests.fakes import HangingThreads, InlineThreads, MemoryState, T
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.records.codec import load
from tokend.engine.records.record import Record
from tokend.engine.records.store import SAVE_AGAIN_SECONDS, TokenStore
from tokend.engine.records.token_states import Held
from tokend.machine.thread_pool import Threads
from tokend.values.secret import Secret
from tokend.values.tokens import Lease, Token


@asynccontextmanager
async def keeping(clock: VirtualClock, threads: Threads | None = None) -> AsyncIterator[tuple[TokenStore, MemoryState]]:
    """A store beside its task, and its disk."""
    state = MemoryState()
    store = TokenStore(state=state, threads=threads or InlineThreads(), clock=clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.keep_saved)
        yield store, state
        tasks.cancel_scope.cancel()


def saved(state: MemoryState, name: str, clock: VirtualClock) -> Record:
    return load(state.content[name], boot_id=state.boot_id, now=clock.instant())[1]


async def count(store: TokenStore, name: str = "a") -> None:
    # With a lease, or it would be what is left of a record that has moved on.
    moment = store._clock.instant()
    lease = Lease(name, Token(Secret("fake-token"), "Bearer", moment, None), 1, None, "0123456789ab")
    await store.update(name, lambda record: replace(record, token=Held(lease), generation=record.generation + 1))


def test_what_a_full_disk_refused_is_saved_when_it_has_room() -> None:
    """docs/promises.md 39: the newest only, at most every ten seconds, and no more once it is saved."""

    async def main(clock: VirtualClock) -> None:
        async with keeping(clock) as (store, state):
            state.broken = True
            await count(store)
            await count(store)
            assert state.content == {}
            await anyio.sleep(10 * SAVE_AGAIN_SECONDS)
            assert 10 <= state.saves <= 13
            state.broken = False
            await anyio.sleep(2 * SAVE_AGAIN_SECONDS)
            assert saved(state, "a", clock).generation == 2
            before = state.saves
            await anyio.sleep(100 * SAVE_AGAIN_SECONDS)
            assert state.saves == before
            state.broken = True
            await count(store)
            state.broken = False
            await count(store)
            assert saved(state, "a", clock).generation == 4
            await anyio.sleep(2 * SAVE_AGAIN_SECONDS)
            assert state.saves == before + 2

    run_virtually(main)


def test_two_that_wait_for_a_disk_do_not_wait_for_each_other() -> None:
    """One that an update has saved meanwhile is not saved twice."""

    async def main(clock: VirtualClock) -> None:
        class Slow(InlineThreads):
            async def run(self, call: Callable[[], T], *, seconds: float) -> T:
                await clock.sleep(3.0)
                return call()

        async with keeping(clock, Slow()) as (store, state):
            state.broken = True
            async with anyio.create_task_group() as tasks:
                for name in ("a", "b"):
                    tasks.start_soon(count, store, name)
            # While "a" is saved again, "b" is updated: that is done before `keep_saved` comes to it.
            await anyio.sleep(SAVE_AGAIN_SECONDS + 1)
            state.broken = False
            await count(store, "b")
            before = state.saves
            await anyio.sleep(SAVE_AGAIN_SECONDS / 2)
            assert set(state.content) == {"a", "b"}
            await anyio.sleep(10 * SAVE_AGAIN_SECONDS)
            assert state.saves - before <= 1

    run_virtually(main)


def test_a_write_that_hung_never_comes_after_a_newer_one() -> None:
    """docs/promises.md 62, 123: nothing is written beside it, and the newest is saved when it has ended."""

    async def main(clock: VirtualClock) -> None:
        threads = HangingThreads(clock)
        async with keeping(clock, threads) as (store, state):
            threads.hanging = True
            await count(store)
            threads.hanging = False
            await count(store)
            meanwhile = dict(state.content)
            threads.release()
            assert meanwhile == {}, "the first still hangs, and nobody overtakes it"
            assert saved(state, "a", clock).generation == 1
            await anyio.sleep(3 * SAVE_AGAIN_SECONDS)
            assert saved(state, "a", clock).generation == 2

    run_virtually(main)


def test_a_rename_on_a_full_disk_keeps_the_old_file_until_there_is_a_new_one() -> None:
    """docs/promises.md 80, P2: else a kill would lose the token."""

    async def main(clock: VirtualClock) -> None:
        async with keeping(clock) as (store, state):
            await count(store)
            state.broken = True
            await store.rename("a", "b")
            await store.rename("b", "c")
            assert state.holding() == {"a"}
            assert (store.unsaved(), store.unsaved_note("a")) == (1, None)
            assert "no space left on device" in present(store.unsaved_note("c"))
            state.broken = False
            await anyio.sleep(3 * SAVE_AGAIN_SECONDS)
            assert state.holding() == {"c"}
            await store.rename("c", "d")
            assert state.holding() == {"d"}

    run_virtually(main)


def test_the_old_file_is_emptied_by_the_first_save_under_the_new_name() -> None:
    """A refresh may come before the next try: a token and a login of long ago must not be found there again."""

    async def main(clock: VirtualClock) -> None:
        async with keeping(clock) as (store, state):
            await count(store)
            state.broken = True
            await store.rename("a", "b")
            state.broken = False
            await store.update("b", lambda record: record)
            await anyio.sleep(3 * SAVE_AGAIN_SECONDS)
            assert state.holding() == {"b"}

    run_virtually(main)


def test_an_old_file_that_cannot_be_written_holds_nobody_up_and_is_written_later() -> None:
    """docs/promises.md 62: the new one is there; the old one is of no provider any more, and loses its token."""

    async def main(clock: VirtualClock) -> None:
        class ThirdHangs(InlineThreads):
            calls = 0

            async def run(self, call: Callable[[], T], *, seconds: float) -> T:
                self.calls += 1
                if self.calls == 3:
                    raise TimeoutError
                return call()

        async with keeping(clock, ThirdHangs()) as (store, state):
            await count(store)
            await store.rename("a", "b")
            assert state.holding() == {"a", "b"}
            assert store.get("a").lease is None
            await anyio.sleep(2 * SAVE_AGAIN_SECONDS)
            assert state.holding() == {"b"}

    run_virtually(main)


def test_a_name_that_another_has_taken_since_is_not_written_over() -> None:
    """Renamed while the disk was full; before there was room again, a new provider got a token under the old name."""

    async def main(clock: VirtualClock) -> None:
        async with keeping(clock) as (store, state):
            await count(store)
            state.broken = True
            await store.rename("a", "b")
            await count(store)
            state.broken = False
            await anyio.sleep(3 * SAVE_AGAIN_SECONDS)
            assert state.holding() == {"a", "b"}
            assert saved(state, "a", clock).generation == 2

    run_virtually(main)


def test_a_name_that_is_used_again_during_its_rename_is_not_emptied() -> None:
    """Another provider's first token may come while the renamed record is being saved."""

    async def main(clock: VirtualClock) -> None:
        class Meanwhile(InlineThreads):
            then: Callable[[], None] | None = None

            async def run(self, call: Callable[[], T], *, seconds: float) -> T:
                if (then := self.then) is not None:
                    self.then = None
                    then()
                return call()

        threads = Meanwhile()
        async with keeping(clock, threads) as (store, state):
            await count(store)
            older = store.get("a")
            threads.then = lambda: store.show("a", older)
            await store.rename("a", "b")
            assert state.holding() == {"a", "b"}
            assert store.get("a").lease is not None

    run_virtually(main)
