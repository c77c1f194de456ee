"""`RequestTurn`: whom a provider that is due lets go first."""

from itertools import pairwise
from typing import ClassVar

import anyio
import pytest

from tests.fakes import FakeHeld, FakeRuntime, World, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.held.request_turn import RequestTurn
from tokend.engine.policy.rate_limits import REQUESTS_BURST, REQUESTS_PER_SECOND
from tokend.engine.policy.turns import LONGEST_YIELD_SECONDS, Urgency
from tokend.engine.records.record import Record
from tokend.values.tokens import Token


def test_one_that_is_due_without_an_account_waits_for_its_slot_only() -> None:
    """The slot that it has got stays its own until it begins, and then it needs another one."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running():
            turn, now = RequestTurn("a", world.context), clock.instant()
            for _ in range(REQUESTS_BURST + 1):
                world.context.request_rate.next_slot(now)
            turn.wait(None, Record(), now)
            first = turn.seconds_left(now, needs_slot=True)
            assert 0 < first <= 1 / REQUESTS_PER_SECOND
            assert turn.seconds_left(now, needs_slot=True) == first
            turn.reset()
            second = turn.seconds_left(now, needs_slot=True)
            assert second == pytest.approx(first + 1 / REQUESTS_PER_SECOND)
            assert turn.seconds_left(now, needs_slot=False) == 0

    run_virtually(main)


def test_a_more_urgent_one_of_the_account_goes_first_until_it_leaves_or_a_second_is_over() -> None:
    """One that is not due, or has no account, holds nobody up."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running():
            turn, other = RequestTurn("b", world.context), RequestTurn("a", world.context)
            now = clock.instant()
            turn.wait("key", Record(), now)
            other.wait("key", Record(), now)
            assert turn.seconds_left(now, needs_slot=False) == LONGEST_YIELD_SECONDS
            assert turn.seconds_left(now.after(LONGEST_YIELD_SECONDS), needs_slot=False) == 0
            for account, due in (("key", None), (None, now), ("key", now.after(60))):
                other.wait(account, Record(), due)
                assert turn.seconds_left(now, needs_slot=False) == 0
            other.leave()
            assert turn.seconds_left(now, needs_slot=False) == 0

    run_virtually(main)


class FakeNumbered(FakeHeld):
    """Providers of one account whose calls can be told apart, by a setting that is not the account's."""

    request_interval_seconds: ClassVar[float] = 10.0
    interval_is_per_account: ClassVar[bool] = True
    number: int = 0

    async def fetch(self, runtime: FakeRuntime, previous: Token | None) -> Token:
        ASKED.append((runtime.clock.instant().boot, self.number))
        return await super().fetch(runtime, previous)


ASKED: list[tuple[float, int]] = []


@pytest.mark.parametrize("life", [9.0, 18.0, 21.0])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_provider_that_ends_first_goes_first(count: int, life: float) -> None:
    """Lives near the account's interval: nobody has a second turn before everybody else had one."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].life = life
        ASKED.clear()
        async with world.running(*(provider(f"p{n}", FakeNumbered(number=n)) for n in range(count))):
            await anyio.sleep(60 * count)
        for number in range(count):
            turns = [boot for boot, one in ASKED if one == number]
            assert len(turns) >= 4
            assert max(later - earlier for earlier, later in pairwise(turns)) <= 10.2 * max(count, life / 20) + 0.5
        assert min(later - earlier for (earlier, _), (later, _) in pairwise(ASKED)) >= 10

    run_virtually(main)


def test_one_that_is_due_and_does_not_go_holds_nobody_up() -> None:
    """Its secret hangs in a filesystem: a second later the next one goes."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].life = 25.0
        ASKED.clear()
        async with world.running(*(provider(f"p{n}", FakeNumbered(number=n)) for n in range(2))):
            await anyio.sleep(30)
            # More urgent than any, and never gone.
            urgency = Urgency.of(None, None, holds=False)
            account = next(iter(world.context.turns._waiting))
            world.context.turns.wait(account, "stuck", due=clock.instant(), urgency=urgency)
            asked = len(ASKED)
            await anyio.sleep(60)
            assert len(ASKED) - asked >= 4
        assert set(world.context.turns._accounts) == {"stuck"}  # those that were stopped wait no longer

    run_virtually(main)
