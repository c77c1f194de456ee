"""ThreadPool: bounded, and a thread that hangs is left behind."""

import threading

import anyio
import pytest

from tokend.threads import ThreadPool


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
