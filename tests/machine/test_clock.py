"""The machine's clocks, on a virtual loop: what is waited for, and who is woken when they move."""

import anyio
import pytest

from tests.virtual import BOOT, EPOCH, VirtualClock, run_virtually
from tokend.machine.clock import LONGEST_TIMER_SECONDS, TICK_SECONDS, SystemClock, is_plausible
from tokend.machine.event import Event
from tokend.values.instant import Instant


class SteppedClock(SystemClock):
    """The machine's clocks as if they moved against each other between two looks."""

    lines = ((100.0, 0.0), (100.0, 0.0), (100.5, -0.5), (3700.5, -0.5), (3700.5, -9000.0))

    looks = 0

    def instant(self) -> Instant:
        return Instant(EPOCH, BOOT)

    def _lines(self) -> tuple[float, float]:
        self.looks += 1
        return self.lines[min(self.looks, len(self.lines)) - 1]


class WrongForAWhile(SystemClock):
    """The machine's clocks, with an error of the wall clock that can be set."""

    error = 0.0

    def _now(self) -> tuple[float, float]:
        wall, boot = super()._now()
        return wall + self.error, boot


def test_a_wait_ends_when_its_moment_comes_or_it_is_woken() -> None:
    """until on either line, wake, or None for never."""

    async def main(_: VirtualClock) -> None:
        clock = SystemClock()
        start = anyio.current_time()
        await clock.wait(clock.instant().after(30), Event())
        assert anyio.current_time() - start == pytest.approx(30, abs=1)
        await clock.wait(clock.instant().after(-30), Event())
        assert anyio.current_time() - start == pytest.approx(30, abs=1)
        await clock.sleep(5)
        wake = Event()
        wake.set()
        await clock.wait(None, wake)
        assert anyio.current_time() - start == pytest.approx(35, abs=1)

    run_virtually(main)


def test_no_timer_is_trusted_for_longer_than_an_hour() -> None:
    """docs/promises.md 33."""

    async def main(_: VirtualClock) -> None:
        clock = SystemClock()
        for until in (None, clock.instant().after(1e6)):
            start = anyio.current_time()
            await clock.wait(until, Event())
            assert anyio.current_time() - start == pytest.approx(LONGEST_TIMER_SECONDS, abs=1)

    run_virtually(main)


def test_clocks_that_moved_wake_everybody_within_a_tick_and_drift_wakes_nobody() -> None:
    """P6: a step of the wall clock, a suspend; half a second is neither."""

    async def main(_: VirtualClock) -> None:
        clock, woken = SteppedClock(), []

        async def wait() -> None:
            while True:
                await clock.wait(None, Event())
                woken.append(anyio.current_time())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            tasks.start_soon(clock.watch)
            await anyio.sleep(6.5 * TICK_SECONDS)
            tasks.cancel_scope.cancel()
        assert woken == [pytest.approx(3 * TICK_SECONDS), pytest.approx(4 * TICK_SECONDS)]

    run_virtually(main)


@pytest.mark.parametrize(("steps", "woken"), [((70.0, -70.0), True), ((-70.0, 70.0), True), ((1.0, -1.0), False)])
@pytest.mark.parametrize("looked", [True, False], ids=["somebody looked in between", "nobody looked"])
def test_a_clock_that_is_set_to_and_fro_between_two_ticks_wakes_those_who_may_have_believed_it(
    steps: tuple[float, float], woken: bool, looked: bool
) -> None:
    """A token dated in between says that it ends when it does not; where nobody looked there is none."""

    async def main(_: VirtualClock) -> None:
        clock, ended = WrongForAWhile(), []

        async def wait() -> None:
            await clock.wait(None, Event())
            ended.append(anyio.current_time())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            tasks.start_soon(clock.watch)
            await anyio.sleep(1.5 * TICK_SECONDS)
            for step in steps:
                clock.error += step
                if looked:
                    clock.instant()
            await anyio.sleep(4 * TICK_SECONDS)
            tasks.cancel_scope.cancel()
        assert ended == ([2 * TICK_SECONDS] if woken and looked else [])

    run_virtually(main)


def test_the_machines_own_lines_agree_with_each_other() -> None:
    """Without a step or a suspend, two looks differ by nothing that matters: nobody is woken."""

    async def main(_: VirtualClock) -> None:
        clock, woken = SystemClock(), []

        async def wait() -> None:
            await clock.wait(None, Event())
            woken.append(1)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            tasks.start_soon(clock.watch)
            await anyio.sleep(50 * TICK_SECONDS)
            assert not woken
            tasks.cancel_scope.cancel()

    run_virtually(main)


def test_those_whom_a_moved_clock_wakes_go_in_the_order_of_what_ends_first() -> None:
    """docs/promises.md 28: refreshed in order of remaining life."""

    async def main(_: VirtualClock) -> None:
        clock, order = SystemClock(), []

        async def wait(name: str, ends: Instant | None) -> None:
            await clock.wait(clock.instant().after(500), Event(), ends=ends)
            order.append(name)

        async with anyio.create_task_group() as tasks:
            for name, left in (("late", 900), ("endless", None), ("soon", 600), ("past", -5)):
                tasks.start_soon(wait, name, None if left is None else clock.instant().after(left))
            await anyio.sleep(1)
            clock.wake_all()
        assert order == ["past", "soon", "late", "endless"]

    run_virtually(main)


def test_an_event_that_many_share_is_not_set_by_a_moved_clock() -> None:
    """It belongs to the callers: one that stays set would make them spin."""

    async def main(_: int | VirtualClock) -> None:
        clock, shared = SystemClock(), Event()
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(clock.wait, None, shared)
            await anyio.sleep(1)
            clock.wake_all()
        assert not shared.is_set()

    run_virtually(main)


@pytest.mark.parametrize(("year", "plausible"), [(1970, False), (2023, False), (2026, True), (2099, False)])
def test_a_clock_without_a_battery_is_not_believed(year: int, plausible: bool) -> None:
    """docs/promises.md 36."""
    assert is_plausible(SystemClock().instant().wall.replace(year=year, day=1)) is plausible
