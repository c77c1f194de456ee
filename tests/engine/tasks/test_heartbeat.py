"""Refreshers that hang, and those that only seem to, for the watchdog (docs/promises.md P8, 70, 72, 74)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import anyio

from tests.fakes import (
    HOUR,
    FakeHeld,
    FakeOnDemand,
    FakeSink,
    InlineThreads,
    Upstream,
    World,
    config,
    literal,
    provider,
)
from tests.virtual import VirtualClock, run_virtually
from tokend.daemon.watchdog import Watchdog
from tokend.engine.tasks.heartbeat import REST_SECONDS, WORK_SECONDS, Heartbeat, HeartbeatCheck, TrackedThreads
from tokend.values.errors import TransientError

MEAL_SECONDS = 15.0


class Meals:
    """As much of a `Notifier` as the watchdog wants."""

    def __init__(self) -> None:
        self.count = 0

    def alive(self) -> None:
        self.count += 1

    def take(self) -> int:
        """How many since the last call."""
        count, self.count = self.count, 0
        return count


@asynccontextmanager
async def watched(world: World, *providers: Any) -> AsyncIterator[Meals]:
    """The engine with these providers, and its watchdog."""
    meals: Any = Meals()
    async with world.running(*providers) as supervisor, anyio.create_task_group() as tasks:
        dog = Watchdog(meals, seconds=MEAL_SECONDS, clock=world.clock, refreshers=lambda: supervisor.refreshers)
        tasks.start_soon(dog.feed)
        yield meals
        tasks.cancel_scope.cancel()


def forever(clock: VirtualClock) -> Upstream:
    """An upstream that never answers, nor gives up: an attempt that hangs in spite of its timeout."""
    return Upstream(clock, latency=1e9)


def test_all_is_well_through_days_of_refreshes_outages_and_rejections() -> None:
    """The watchdog is fed while providers rest, work, back off or wait for a person; on-demand kinds have no loop."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["down"] = Upstream(clock, broken=lambda now: TransientError("down"), latency=29)
        world.upstreams["endless"] = Upstream(clock, life=None)
        every = [
            provider("a", FakeHeld(), FakeSink()),
            provider("b", FakeHeld(base_url="down")),
            provider("c", FakeHeld(base_url="endless")),
            provider("d", FakeOnDemand()),
        ]
        async with watched(world, *every) as meals:
            await anyio.sleep(48 * HOUR - 1)
            assert meals.take() == 48 * HOUR / MEAL_SECONDS

    run_virtually(main)


def test_an_attempt_that_hangs_starves_the_watchdog_once_its_time_is_up() -> None:
    """Fed while it may still be slow; not any more when it has had several times its timeout; fed again if it goes."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["hangs"] = forever(clock)
        hung = provider("b", FakeHeld(base_url="hangs", timeout=timedelta(seconds=30)))
        others = [provider(f"a{number}", FakeHeld(username=str(number))) for number in range(11)]
        async with watched(world, *others, hung) as meals:
            allowed = WORK_SECONDS + 4 * 30  # however many there are
            await anyio.sleep(allowed - 1)
            assert meals.take() == allowed / MEAL_SECONDS
            await anyio.sleep(3 * MEAL_SECONDS)
            meals.take()
            await anyio.sleep(HOUR)
            assert meals.take() == 0
            # It is not there any more: everybody else moves.
            await world.supervisor.apply(config(*others))
            await anyio.sleep(HOUR)
            assert meals.take() == HOUR / MEAL_SECONDS

    run_virtually(main)


def test_a_rest_that_does_not_end_starves_the_watchdog() -> None:
    """A timer that was lost: the moment passed and nobody came."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with watched(world, provider("a", FakeHeld())) as meals:
            await anyio.sleep(60)
            worker = world.supervisor.entries["a"].refresher
            due = worker.heartbeat.rests_until - clock.instant().boot
            world.supervisor.entries["a"].stop()
            await anyio.sleep(due)
            meals.take()
            await anyio.sleep(REST_SECONDS)
            assert meals.take() >= 2
            await anyio.sleep(2 * MEAL_SECONDS)
            meals.take()
            await anyio.sleep(HOUR)
            assert meals.take() == 0

    run_virtually(main)


def test_a_provider_that_crashes_again_and_again_starves_nobody() -> None:
    """docs/promises.md 70: a bug in one provider is that provider's own, in an attempt as at rest."""

    crashes: list[Any] = []

    class Crashing(FakeHeld):
        async def fetch(self, runtime: Any, previous: Any) -> Any:
            raise ZeroDivisionError

    class CrashingEarly(FakeHeld):
        async def initial(self, runtime: Any) -> Any:
            crashes.append(runtime)
            raise ZeroDivisionError

        @property
        def can_renew(self) -> bool:
            return True

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        bad = [provider("b", Crashing(key=literal("x"))), provider("c", CrashingEarly(key=literal("x")))]
        async with watched(world, provider("a", FakeHeld()), *bad) as meals:
            await anyio.sleep(24 * HOUR - 1)
            assert meals.take() == 24 * HOUR / MEAL_SECONDS
            assert len(crashes) > 10_000

    run_virtually(main)


def test_a_suspend_a_step_and_a_frozen_machine_look_like_nobody_hung() -> None:
    """docs/promises.md P6: on waking everybody is overdue, and in an attempt for hours; nobody has hung."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["slow"] = Upstream(clock, latency=25)
        async with watched(world, provider("a", FakeHeld()), provider("b", FakeHeld(base_url="slow"))) as meals:
            await anyio.sleep(10)  # b is being answered
            for upset in (clock.suspend, clock.step):
                upset(30 * HOUR)
                await anyio.sleep(HOUR)
                assert meals.take() >= HOUR / MEAL_SECONDS
            clock.step(-40 * HOUR)
            await anyio.sleep(48 * HOUR)
            assert meals.take() >= 48 * HOUR / MEAL_SECONDS

    run_virtually(main)


class OneAtATime(InlineThreads):
    """One thread for all, whose calls need their time; or which stands still."""

    def __init__(self, clock: VirtualClock, seconds: float) -> None:
        self._clock = clock
        self.seconds = seconds
        self._turn = anyio.Lock()

    async def run(self, call: Any, *, seconds: float) -> Any:
        async with self._turn:
            await self._clock.sleep(self.seconds)
            return call()


def test_who_waits_for_a_thread_behind_all_others_has_not_hung_while_the_queue_moves() -> None:
    """The bound does not grow with the number of providers: 74, and nobody is taken for dead in a long queue."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        threads = OneAtATime(clock, 0.0)
        world.disk_threads = TrackedThreads(threads)
        world.upstreams["one"].latency = 0
        every = [provider(f"a{number}", FakeHeld(username=str(number))) for number in range(300)]
        async with watched(world, *every) as meals:
            await anyio.sleep(10)
            threads.seconds = 9.0  # 300 of them need 45 minutes for one round of saving
            for entry in world.supervisor.entries.values():
                entry.refresher.request_attempt(despite_rejection=False)
            meals.take()
            await anyio.sleep(HOUR)
            assert meals.take() == HOUR / MEAL_SECONDS
            threads.seconds = 1e9
            await anyio.sleep(9 + WORK_SECONDS + 4 * 30 + 3 * MEAL_SECONDS)
            meals.take()
            await anyio.sleep(HOUR)
            assert meals.take() == 0

    run_virtually(main)


def test_calls_of_others_than_refreshers_move_the_queue_too() -> None:
    """The API's own work waits in the same queue; it has no heartbeat."""

    async def main(clock: VirtualClock) -> None:
        queue = TrackedThreads(InlineThreads())
        assert await queue.run(lambda: 7, seconds=1) == 7
        assert queue.moves == 2

    run_virtually(main)


@dataclass
class Worker:
    """As much of a refresher as is looked at."""

    name: str = "a"
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    timeout_seconds: float = 1.0


def test_a_refresher_that_was_replaced_is_not_taken_for_the_old_one() -> None:
    """Another one under the same name has all its time, however many beats it has had."""
    progress, old, new = HeartbeatCheck(), Worker(), Worker()
    assert progress.look([old], boot=0, seconds=1e9) == []
    assert progress.look([old], boot=0, seconds=1e9) == ["a"]
    assert progress.look([new], boot=0, seconds=1e9) == []
    assert progress.look([new], boot=0, seconds=1e9) == ["a"]
    new.heartbeat.rests(until=5)
    assert [progress.look([new], boot=boot, seconds=1e9) for boot in (0, 5, 5.1)] == [[], [], ["a"]]
