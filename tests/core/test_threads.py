"""ThreadPool: bounded, and a thread that hangs is left behind."""

import threading

import anyio
import pytest

from tokend.threads import MOST_STUCK, ThreadPool


def test_a_call_runs_elsewhere_and_its_result_or_error_comes_back():
    """Results and exceptions pass through."""

    async def main():
        pool = ThreadPool(2)
        assert await pool.run(threading.get_ident, seconds=5) != threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 // 0, seconds=5)

    anyio.run(main)


def test_no_more_than_its_size_run_at_once():
    """The rest waits for its turn."""

    async def main():
        pool, running, most, lock = ThreadPool(3), [0], [0], threading.Lock()
        gate = threading.Barrier(3, timeout=5)

        def call():
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


def test_a_hanging_call_is_given_up_and_counted_until_it_ends():
    """docs/promises.md 62: TimeoutError, and others go on."""

    async def main():
        pool, release, ended = ThreadPool(1), threading.Event(), threading.Event()

        def hang():
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


def test_a_call_that_raises_timeout_itself_has_ended():
    """ETIMEDOUT is a TimeoutError too: it must not be counted as a thread that hangs for ever."""

    def fail():
        raise TimeoutError("of the call itself")

    async def main():
        pool = ThreadPool(1)
        with pytest.raises(TimeoutError, match="of the call itself"):
            await pool.run(fail, seconds=5)
        assert (pool.stuck, pool.running) == (0, 0)

    anyio.run(main)


def test_a_call_whose_caller_was_cancelled_counts_until_it_ends():
    """A removed provider's thread may hang on: it counts as stuck, and the interpreter must not wait for it."""

    async def main():
        pool, began, release, ended = ThreadPool(1), threading.Event(), threading.Event(), threading.Event()

        def hang():
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


def test_where_no_thread_can_be_had_the_call_times_out():
    """docs/promises.md 73: out of threads is a reason to try again, not a bug that ends a worker."""

    async def main():
        before = threading.stack_size(1 << 46)  # no machine maps that: starting a thread fails as it does at a limit
        try:
            with pytest.raises(TimeoutError, match="no thread can be started"):
                await ThreadPool(1).run(lambda: None, seconds=5)
        finally:
            threading.stack_size(before)

    anyio.run(main)


def test_too_many_that_hang_leave_no_room_for_more():
    """At most 32 are left behind."""

    async def main():
        pool, release = ThreadPool(64), threading.Event()

        async def give_up():
            with pytest.raises(TimeoutError):
                await pool.run(lambda: release.wait(20), seconds=0.2)

        async with anyio.create_task_group() as tasks:
            for _ in range(MOST_STUCK):
                tasks.start_soon(give_up)
        with pytest.raises(TimeoutError, match="32 threads hang already"):
            await pool.run(lambda: None, seconds=5)
        release.set()

    anyio.run(main)
