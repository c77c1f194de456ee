"""ThreadPool: bounded, and a thread that hangs is left behind."""

import gc
import threading
import time
from collections.abc import Callable

import anyio
import pytest

from tokend.machine.thread_pool import LAST_SECONDS, MOST_STUCK, Pools, ThreadPool
from tokend.values.errors import TokendError


async def _workers(pool: ThreadPool, count: int) -> set[int]:
    """As many threads of a pool as are asked for, all at once."""
    all_here, found = threading.Barrier(count, timeout=10), set[int]()

    def come() -> None:
        all_here.wait()
        found.add(threading.get_ident())

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(lambda: pool.run(come, seconds=20))
    return found


def _alive(workers: set[int]) -> int:
    return len(workers & {thread.ident for thread in threading.enumerate()})


def _becomes(look: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not look() and time.monotonic() < deadline:
        threading.Event().wait(0.005)
    return look()


def test_a_call_runs_elsewhere_and_its_result_or_error_comes_back() -> None:
    """Results and exceptions pass through."""

    async def main() -> None:
        pool = ThreadPool(2)
        assert await pool.run(threading.get_ident, seconds=5) != threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 // 0, seconds=5)

    anyio.run(main)


def test_no_more_than_its_size_run_at_once() -> None:
    """Further calls wait for an idle thread."""

    async def main() -> None:
        pool, running, most, lock = ThreadPool(3), [0], [0], threading.Lock()
        gate = threading.Barrier(3, timeout=5)

        def call() -> None:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            gate.wait()
            with lock:
                running[0] -= 1

        async with anyio.create_task_group() as tasks:
            for _ in range(9):
                tasks.start_soon(lambda: pool.run(call, seconds=10))
        assert most[0] == 3

    anyio.run(main)


def test_a_hanging_call_is_given_up_and_counted_until_it_ends() -> None:
    """docs/promises.md 62: TimeoutError, and others go on."""

    async def main() -> None:
        pool, release, ended = ThreadPool(1), threading.Event(), threading.Event()

        def hang() -> None:
            release.wait(10)
            ended.set()

        with pytest.raises(TimeoutError):
            await pool.run(hang, seconds=0.05)
        assert pool.stuck == 1
        assert await pool.run(lambda: "next", seconds=5) == "next"
        release.set()
        await pool.run(lambda: ended.wait(5), seconds=6)
        for _ in range(1000):
            if pool.stuck == 0:
                break
            await pool.run(lambda: None, seconds=5)
        assert pool.stuck == 0

    anyio.run(main)


def test_a_call_that_raises_timeout_itself_has_ended() -> None:
    """ETIMEDOUT is a TimeoutError too: it must not be counted as a thread that hangs for ever."""

    def fail() -> None:
        raise TimeoutError("of the call itself")

    async def main() -> None:
        pool = ThreadPool(1)
        with pytest.raises(TimeoutError, match="of the call itself"):
            await pool.run(fail, seconds=5)
        assert (pool.stuck, pool.running) == (0, 0)

    anyio.run(main)


def test_a_call_whose_caller_was_cancelled_counts_until_it_ends() -> None:
    """A removed provider's thread may hang on: it counts as stuck, and the interpreter must not wait for it."""

    async def main() -> None:
        pool, began, release, ended = ThreadPool(1), threading.Event(), threading.Event(), threading.Event()

        def hang() -> None:
            began.set()
            release.wait(10)
            ended.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: pool.run(hang, seconds=10))
            await anyio.to_thread.run_sync(began.wait, 5)
            tasks.cancel_scope.cancel()
        assert (pool.stuck, pool.running) == (1, 1)
        release.set()
        await anyio.to_thread.run_sync(ended.wait, 5)
        for _ in range(1000):
            if pool.running == 0:
                break
            await pool.run(lambda: None, seconds=5)
        assert (pool.stuck, pool.running) == (0, 0)

    anyio.run(main)


def test_where_no_thread_can_be_had_the_call_times_out() -> None:
    """docs/promises.md 73: out of threads is a reason to try again, not a bug that ends a worker."""

    async def main() -> None:
        before = threading.stack_size(1 << 46)  # no machine maps that: starting a thread fails as it does at a limit
        try:
            with pytest.raises(TimeoutError, match="no thread can be started"):
                await ThreadPool(1).run(lambda: None, seconds=5)
        finally:
            threading.stack_size(before)

    anyio.run(main)


def test_an_open_pool_needs_no_thread_that_the_machine_has_not() -> None:
    """docs/promises.md 73: made at start, kept for ever; one that hangs takes none of the others' away."""

    async def main() -> None:
        pool, release = ThreadPool(3), threading.Event()
        pool.open()
        before = threading.stack_size(1 << 46)  # from here on none can be started
        try:
            workers = await _workers(pool, 3)
            with pytest.raises(TimeoutError):
                await pool.run(lambda: release.wait(20), seconds=0.05)
            for _ in range(10):
                assert await _workers(pool, 2) < workers
            with pytest.raises(TokendError, match="no thread can be started"):
                ThreadPool(1).open()
        finally:
            threading.stack_size(before)
            release.set()

    anyio.run(main)


def test_a_thread_that_hangs_is_replaced_and_then_there_is_one_too_many() -> None:
    """There are as many as the size says besides those that hang, and never more for long."""

    async def main() -> None:
        pool, release = ThreadPool(2), threading.Event()
        pool.open()
        workers = await _workers(pool, 2)
        with pytest.raises(TimeoutError):
            await pool.run(lambda: release.wait(20), seconds=0.05)
        workers |= await _workers(pool, 2)
        assert _alive(workers) == 3
        release.set()
        await pool.run(lambda: _becomes(lambda: _alive(workers) == 2), seconds=20)
        assert _alive(workers | await _workers(pool, 2)) == 2
        assert (pool.stuck, pool.running) == (0, 0)

    anyio.run(main)


def test_the_threads_of_a_pool_that_is_gone_end() -> None:
    """Nobody can have anything done by them any more."""

    async def main() -> None:
        pool = ThreadPool(5)
        pool.open()
        workers = await _workers(pool, 5)
        assert _alive(workers) == 5
        del pool
        gc.collect()
        assert _becomes(lambda: _alive(workers) == 0)

    anyio.run(main)


def test_too_many_that_hang_leave_no_room_for_more() -> None:
    """At most 32 are left behind."""

    async def main() -> None:
        pool, release = ThreadPool(64), threading.Event()

        async def give_up() -> None:
            with pytest.raises(TimeoutError):
                await pool.run(lambda: release.wait(20), seconds=0.2)

        async with anyio.create_task_group() as tasks:
            for _ in range(MOST_STUCK):
                tasks.start_soon(give_up)
        with pytest.raises(TimeoutError, match="32 threads hang already"):
            await pool.run(lambda: None, seconds=5)
        release.set()

    anyio.run(main)


def test_at_the_end_a_call_that_hangs_is_waited_for_no_longer() -> None:
    """docs/promises.md 62: ten seconds are for a disk that may come back; an end waits two."""

    async def main() -> None:
        pool, release = ThreadPool(1), threading.Event()

        async def call() -> None:
            with pytest.raises(TimeoutError, match="no result within 2 s at the end of the daemon"):
                await pool.run(release.wait, seconds=600)
            ends.append(anyio.current_time())

        ends: list[float] = []
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            pool.hasten()
        assert LAST_SECONDS <= ends[0] - began < 60
        release.set()

    anyio.run(main)


def test_at_the_end_calls_behind_one_that_hangs_are_waited_for_no_longer_either() -> None:
    """docs/promises.md 62: a hundred files on a disk that hangs, and eight threads."""

    async def main() -> None:
        pool, release = ThreadPool(1), threading.Event()

        async def call() -> None:
            with pytest.raises(TimeoutError, match="no result within 2 s at the end of the daemon"):
                await pool.run(release.wait, seconds=600)

        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            pool.hasten()
        assert anyio.current_time() - began < 2 * LAST_SECONDS
        assert pool.stuck == 1
        release.set()

    anyio.run(main)


@pytest.mark.parametrize("kept", ["disk", "calls", "lookups"])
def test_what_an_exchange_under_way_needs_is_not_cut_short_before_it_is_saved(kept: str) -> None:
    """Its answer is read in a thread, too. A program is ended with the daemon."""
    pools, release, ended = Pools(), threading.Event(), list[str]()

    async def call(name: str) -> None:
        try:
            await getattr(pools, name).run(release.wait, seconds=60)
            ended.append(f"{name} has its result")
        except TimeoutError:
            ended.append(f"{name} was cut short")
            release.set()

    async def main() -> None:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call, kept)
                tasks.start_soon(call, "programs")
                await anyio.wait_all_tasks_blocked()
                pools.hasten(saving=False)

    anyio.run(main)
    assert ended == ["programs was cut short", f"{kept} has its result"]
