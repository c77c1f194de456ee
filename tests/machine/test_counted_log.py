"""Log lines that stand for several events."""

import anyio

from tests.virtual import VirtualClock, run_virtually
from tokend.machine.counted_log import MOST_KEYS, CountedLog


def test_the_first_event_is_logged_at_once_and_the_others_of_a_second_together() -> None:
    """A quiet second ends the counting: the next event is logged at once again."""

    async def main(clock: VirtualClock) -> None:
        lines: list[tuple[float, int]] = []
        start = clock.instant()

        def write(count: int) -> None:
            lines.append((round(start.until(clock.instant()), 1), count))

        async with anyio.create_task_group() as tasks:
            log = CountedLog(tasks, clock)
            for _ in range(15):
                log.line("a", write)
                await anyio.sleep(0.1)
            await anyio.sleep(10)
            log.line("a", write)
        assert lines == [(0.0, 1), (1.0, 10), (2.0, 4), (11.5, 1)]

    run_virtually(main)


def test_what_was_counted_when_the_daemon_stops_is_logged() -> None:
    """No count is lost."""

    async def main(clock: VirtualClock) -> None:
        counts: list[int] = []
        async with anyio.create_task_group() as tasks:
            log = CountedLog(tasks, clock)
            for _ in range(5):
                log.line("a", counts.append)
            await anyio.sleep(0.1)
            tasks.cancel_scope.cancel()
        assert counts == [1, 4]

    run_virtually(main)


def test_more_keys_than_are_kept_share_one_line() -> None:
    """A user may have thousands of uids."""

    async def main(clock: VirtualClock) -> None:
        counts: list[int] = []
        async with anyio.create_task_group() as tasks:
            log = CountedLog(tasks, clock)
            for key in range(MOST_KEYS + 100):
                log.line(key, counts.append)
        assert len(counts) == MOST_KEYS + 2
        assert sum(counts) == MOST_KEYS + 100

    run_virtually(main)
