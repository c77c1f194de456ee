"""A thousand daemons at one upstream, and outages of an hour and of a week (docs/promises.md P3, 118, 119, 124).

Two processes with one login have one state directory, which is one process's (76), or one login file. What a login that
rotates goes through is in `test_logins`. A stale writer is held off by generation and turn: `watch.Watch.wrote` looks
at each write.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import anyio
import pytest

from tests.fakes import HOUR, FakeHeld, MemoryState, Upstream, World, provider
from tests.simulation.ledger import Attempt, Ledger
from tests.virtual import VirtualClock, run_virtually
from tokend.values.errors import AttemptError, RateLimitedError, TransientError

DAEMONS = 1000
DOWN = TransientError("down", repeatable=True)


@dataclass
class Fleet:
    """Machines with a daemon each, all of one upstream."""

    clock: VirtualClock
    life: float
    size: int = DAEMONS
    upstream: Upstream = field(init=False)
    states: list[MemoryState] = field(init=False)

    def __post_init__(self) -> None:
        self.upstream = Upstream(self.clock, life=self.life)
        self.states = [MemoryState() for _ in range(self.size)]

    async def run(self, seconds: float, *, seed: int) -> None:
        """Start all of them at once, let them run, and kill them."""
        async with AsyncExitStack() as stack:
            for number, state in enumerate(self.states):
                world = World(self.clock, seed=seed + number, state=state, upstreams={"one": self.upstream})
                await stack.enter_async_context(world.running(provider("a", FakeHeld())))
            await anyio.sleep(seconds)

    def take(self) -> list[float]:
        """When they asked since the last look, in boot time."""
        calls = [call.boot for call in self.upstream.calls]
        self.upstream.calls.clear()
        return calls


def busiest(calls: Sequence[float], seconds: float) -> int:
    """The most calls in any such stretch of time."""
    ordered, first, most = sorted(calls), 0, 0
    for number, call in enumerate(ordered):
        while call - ordered[first] >= seconds:
            first += 1
        most = max(most, number - first + 1)
    return most


def test_a_thousand_daemons_with_one_expiry_do_not_ask_at_once() -> None:
    """docs/promises.md 118: lives of 4 h; in the busiest ten seconds at most 4 % refresh. Longer lives spread wider."""

    async def main(clock: VirtualClock) -> None:
        fleet = Fleet(clock, 4 * HOUR)
        await fleet.run(10, seed=1)
        assert len(fleet.take()) == DAEMONS  # their tokens end within three seconds
        await fleet.run(0.9 * 4 * HOUR, seed=1001)
        refreshes = fleet.take()
        assert len(refreshes) == DAEMONS
        assert busiest(refreshes, 10) <= 0.04 * DAEMONS

    run_virtually(main)


def test_a_mass_restart_is_spread_over_three_seconds_and_costs_nothing_where_tokens_are_valid() -> None:
    """docs/promises.md 119 and 69: a jitter of three seconds where nothing is held, else no request at all."""

    async def main(clock: VirtualClock) -> None:
        fleet = Fleet(clock, 24 * HOUR, size=300)
        begun = clock.instant().boot
        await fleet.run(4, seed=1)
        first = fleet.take()
        assert len(first) == fleet.size
        assert max(first) - begun <= 3.0
        assert busiest(first, 0.1) <= 0.08 * fleet.size
        await fleet.run(60, seed=2001)
        assert fleet.take() == []

    run_virtually(main)


def test_daemons_come_back_from_an_outage_one_after_the_other() -> None:
    """docs/promises.md 124, P3: an hour without the upstream, and no storm when it answers again."""

    async def main(clock: VirtualClock) -> None:
        fleet = Fleet(clock, 4 * HOUR, size=100)
        await fleet.run(10, seed=1)
        begun = clock.instant().boot + 2.8 * HOUR
        fleet.upstream.broken = lambda now: DOWN if begun <= now.boot < begun + HOUR else None
        fleet.take()
        await fleet.run(4.2 * HOUR, seed=1001)
        calls = fleet.take()
        assert sum(begun <= call < begun + HOUR for call in calls) <= 80 * fleet.size
        back = [call for call in calls if begun + HOUR <= call < begun + HOUR + 300]
        assert len(back) >= 0.99 * fleet.size
        assert busiest(back, 10) <= 0.15 * fleet.size

    run_virtually(main)


@pytest.mark.parametrize("error", [DOWN, RateLimitedError("answered 429", retry_after=5)])
@pytest.mark.parametrize("life", [900.0, 24 * HOUR])
def test_a_week_without_the_upstream_stays_within_the_budget(life: float, error: AttemptError) -> None:
    """docs/promises.md P3, 124: 80 requests in the first hour, 20 in a later one, 40 around the end; it goes on."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.life = life
        begun = clock.instant().boot + 60
        up.broken = lambda now: error if begun <= now.boot < begun + 7 * 24 * HOUR else None
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(30)
            lease = supervisor.entries["a"].lease
            assert lease is not None
            assert lease.token.expires_at is not None
            ends = lease.token.expires_at.boot
            await anyio.sleep(7 * 24 * HOUR + 400)
            assert supervisor.entries["a"].status().valid
        broken: list[str] = []
        ledger = Ledger(lambda condition, what: None if condition else broken.append(what), ends=[ends])
        for call in up.calls:
            if begun <= call.boot < begun + 7 * 24 * HOUR:
                ledger.asked(Attempt("a", ""), call.boot, reason="failure")
        assert broken == []
        assert len(ledger.run) > 100 or len(up.calls) > 2000

    run_virtually(main)
