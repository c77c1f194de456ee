"""On-demand tokens: how many calls a query may cost, and when nothing is sent at all."""

from itertools import pairwise

import anyio
import pytest

from tests.engine.on_demand.world import running
from tests.fakes import FakeOnDemand, World, config, literal, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.supervisor import Supervisor
from tokend.values.errors import (
    ClockError,
    LoginRequiredError,
    RateLimitedError,
    RejectedError,
    ThrottledError,
    TokenUnavailableError,
    TransientError,
)
from tokend.values.status import State

DOWN = TransientError("answered 503", repeatable=True)
ODD = TransientError("answered nonsense")
NO = RejectedError("Invalid signature")


def test_nothing_is_asked_before_a_query_and_each_query_asks_once() -> None:
    """On demand: not prefetched, not cached."""

    @running([])
    async def _(world: World, supervisor: Supervisor) -> None:
        await anyio.sleep(3600)
        assert world.upstreams["one"].calls == []
        first, second = await supervisor.issue("o", {}), await supervisor.issue("o", {})
        assert first.value != second.value
        assert len(world.upstreams["one"].calls) == 2
        assert supervisor.entries["o"].lease is None
        assert world.state.content == {}


def test_timeouts_and_5xx_are_repeated_twice_half_a_second_and_one_second_later() -> None:
    """At most three calls."""

    @running([DOWN, DOWN])
    async def _(world: World, supervisor: Supervisor) -> None:
        await supervisor.issue("o", {})
        calls = world.upstreams["one"].calls
        assert [round(b.boot - a.boot, 2) for a, b in pairwise(calls)] == [0.6, 1.1]

    @running([DOWN] * 9)
    async def _(world: World, supervisor: Supervisor) -> None:
        with pytest.raises(TokenUnavailableError):
            await supervisor.issue("o", {})
        assert len(world.upstreams["one"].calls) == 3
        assert supervisor.entries["o"].status().state is State.ON_DEMAND


def test_a_malformed_answer_is_not_repeated() -> None:
    """The call may have had its effect."""

    @running([ODD])
    async def _(world: World, supervisor: Supervisor) -> None:
        with pytest.raises(TokenUnavailableError):
            await supervisor.issue("o", {})
        assert len(world.upstreams["one"].calls) == 1


def test_a_silent_upstream_is_called_once_because_one_call_may_take_the_whole_timeout() -> None:
    """A call that is cut short may have had its effect: three of them are three single-use tokens."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].latency = 1000
        async with world.running(provider("o", FakeOnDemand())) as supervisor:
            start = clock.instant()
            with pytest.raises(TokenUnavailableError):
                await supervisor.issue("o", {})
            assert start.until(clock.instant()) == pytest.approx(30, abs=0.1)
            assert len(world.upstreams["one"].calls) == 1

    run_virtually(main)


def test_two_refusals_in_a_row_reject_and_then_nothing_is_sent() -> None:
    """Then issues answer 503 unsent until something changes."""

    @running([NO, NO], key=literal("wrong"))
    async def _(world: World, supervisor: Supervisor) -> None:
        with pytest.raises(TokenUnavailableError):
            await supervisor.issue("o", {})
        for _ in range(3):
            with pytest.raises(LoginRequiredError):
                await supervisor.issue("o", {})
        assert len(world.upstreams["one"].calls) == 2
        assert supervisor.entries["o"].status().state is State.REJECTED
        await supervisor.apply(config(provider("o", FakeOnDemand(key=literal("right")))))
        assert (await supervisor.issue("o", {})).value.reveal() == "fake-token-1"
        assert supervisor.entries["o"].status().state is State.ON_DEMAND


def test_a_success_between_two_refusals_clears_the_first() -> None:
    """In a row means in a row."""

    @running([NO, "fake", NO])
    async def _(world: World, supervisor: Supervisor) -> None:
        for expected in (TokenUnavailableError, None, TokenUnavailableError):
            if expected is None:
                await supervisor.issue("o", {})
            else:
                with pytest.raises(expected):
                    await supervisor.issue("o", {})
        assert supervisor.entries["o"].status().state is State.ON_DEMAND


def test_a_learned_clock_is_worth_one_more_call() -> None:
    """401 once more, only if the clock is measurably off."""

    @running([ClockError("an hour behind", offset=3600.0)])
    async def _(world: World, supervisor: Supervisor) -> None:
        await supervisor.issue("o", {})
        assert len(world.upstreams["one"].calls) == 2


def test_calls_never_exceed_three_whatever_comes_together() -> None:
    """P3."""

    @running([ClockError("behind", offset=3600.0), DOWN, DOWN, DOWN])
    async def _(world: World, supervisor: Supervisor) -> None:
        with pytest.raises(TokenUnavailableError):
            await supervisor.issue("o", {})
        assert len(world.upstreams["one"].calls) == 3


def test_a_pause_that_the_host_asked_for_is_answered_without_a_call() -> None:
    """429 with Retry-After binds the next queries too."""

    @running([RateLimitedError("429", retry_after=60)])
    async def _(world: World, supervisor: Supervisor) -> None:
        for _ in range(3):
            with pytest.raises(ThrottledError) as refused:
                await supervisor.issue("o", {})
            assert refused.value.retry_at is not None
        assert len(world.upstreams["one"].calls) == 1
        await anyio.sleep(61)
        await supervisor.issue("o", {})


def test_an_unusable_token_is_not_given_out() -> None:
    """It is a failed call, which is not repeated: the upstream has issued something."""

    @running(["one\r\ntwo"])
    async def _(world: World, supervisor: Supervisor) -> None:
        with pytest.raises(TokenUnavailableError, match="the kind made an unusable token: its value holds control"):
            await supervisor.issue("o", {})
        assert len(world.upstreams["one"].calls) == 1
