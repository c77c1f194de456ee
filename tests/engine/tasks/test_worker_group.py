"""Workers: plain tasks that end with their group as anyio's own would, and are started again after a bug."""

from collections.abc import Awaitable, Callable

import anyio

from tests.virtual import VirtualClock, run_virtually
from tokend.engine.tasks.worker_group import RESTART_SECONDS, WorkerGroup


def test_the_group_ends_after_the_last_of_its_workers_and_shields_hold() -> None:
    """A write that has begun is finished also on shutdown."""

    async def main(clock: VirtualClock) -> None:
        written = []

        async def write() -> None:
            with anyio.CancelScope(shield=True):
                await clock.sleep(5)
                written.append(clock.instant().boot)
            await anyio.sleep_forever()

        start = clock.instant().boot
        async with anyio.create_task_group() as tasks:
            workers = WorkerGroup(tasks, clock)
            for _ in range(3):
                workers.start("a", write)
            await clock.sleep(1)
            tasks.cancel_scope.cancel()
        assert written == [start + 5] * 3

    run_virtually(main)


def test_one_that_is_cancelled_ends_alone_also_before_it_began() -> None:
    """The scope is its own."""

    async def main(clock: VirtualClock) -> None:
        begun, ended = [], []

        def body(name: str) -> Callable[[], Awaitable[None]]:
            async def run() -> None:
                begun.append(name)
                try:
                    await anyio.sleep_forever()
                finally:
                    ended.append(name)

            return run

        async with anyio.create_task_group() as tasks:
            workers = WorkerGroup(tasks, clock)
            workers.start("early", body("early")).cancel()
            scope = workers.start("a", body("a"))
            workers.start("b", body("b"))
            await clock.sleep(1)
            assert ended == ["early"]
            scope.cancel()
            await clock.sleep(1)
            assert (begun, ended) == (["early", "a", "b"], ["early", "a"])
            tasks.cancel_scope.cancel()
        assert ended == ["early", "a", "b"]

    run_virtually(main)


def test_one_that_another_starts_while_it_ends_is_ended_too() -> None:
    """No task outlives its group."""

    async def main(clock: VirtualClock) -> None:
        ended = []

        async def last() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                ended.append("last")

        async with anyio.create_task_group() as tasks:
            workers = WorkerGroup(tasks, clock)

            async def first() -> None:
                try:
                    await anyio.sleep_forever()
                finally:
                    workers.start("last", last)

            workers.start("first", first)
            await clock.sleep(1)
            tasks.cancel_scope.cancel()
        assert ended == ["last"]

    run_virtually(main)


def test_one_that_dies_of_a_bug_or_returns_is_started_again_after_a_pause() -> None:
    """It takes nobody with it, and is no busy loop."""

    async def main(clock: VirtualClock) -> None:
        starts = []

        async def body() -> None:
            starts.append(clock.instant().boot)
            if len(starts) % 2:
                raise RuntimeError("a bug")

        async with anyio.create_task_group() as tasks:
            WorkerGroup(tasks, clock).start("a", body)
            await clock.sleep(3.5 * RESTART_SECONDS)
            tasks.cancel_scope.cancel()
        assert [at - starts[0] for at in starts] == [0, 5, 10, 15]

    run_virtually(main)
