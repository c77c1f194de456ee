"""On-demand tokens: which refusals count against the credentials, and what a restart must not forget."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from tests.fakes import FakeHeld, FakeOnDemand, World, literal, provider
from tests.httpd.served import logged
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.supervisor import Supervisor
from tokend.values.errors import (
    AttemptError,
    ClockError,
    InvalidParametersError,
    LoginRequiredError,
    RateLimitedError,
    RejectedError,
    ThrottledError,
    TokenUnavailableError,
)
from tokend.values.status import State

NO = RejectedError("Invalid signature")
BEHIND = ClockError("an hour behind", offset=3600.0)
FIELDS = InvalidParametersError({"username": ["is taken"]})


def issuing(script: list[Any], body: Callable[[World, Supervisor], Awaitable[None]]) -> None:
    """Run ``body`` with a provider whose upstream follows ``script``."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].script = list(script)
        async with world.running(provider("o", FakeOnDemand(key=literal("fake")))) as supervisor:
            await body(world, supervisor)

    run_virtually(main)


def test_a_refusal_that_the_learned_clock_does_not_fix_was_the_second_in_a_row() -> None:
    """P3: a wrong secret behind a wrong clock costs two requests, not three."""

    async def body(world: World, supervisor: Supervisor) -> None:
        for _ in range(3):
            with pytest.raises(LoginRequiredError):
                await supervisor.issue("o", {})
        assert len(world.upstreams["one"].calls) == 2

    issuing([BEHIND, NO], body)


def test_queries_side_by_side_that_meet_the_same_wrong_clock_reject_nobody() -> None:
    """A clock that was stepped is learned by each query under way; good credentials stay good."""

    async def body(world: World, supervisor: Supervisor) -> None:
        await supervisor.issue("o", {})
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(supervisor.issue, "o", {})
        assert supervisor.entries["o"].status().state is State.ON_DEMAND
        assert len(world.upstreams["one"].calls) == 11

    issuing(["first", *[BEHIND] * 5], body)


def test_the_vendors_word_on_the_fields_clears_a_refusal() -> None:
    """It read them: so it had accepted the signature, and the next refusal is the first again."""

    async def body(world: World, supervisor: Supervisor) -> None:
        for expected in (TokenUnavailableError, InvalidParametersError, TokenUnavailableError):
            with pytest.raises(expected):
                await supervisor.issue("o", {})
        assert supervisor.entries["o"].status().state is State.ON_DEMAND

    issuing([NO, FIELDS, NO], body)


def test_fields_that_no_vendor_has_read_clear_no_refusal() -> None:
    """A caller could keep wrong credentials from being rejected."""

    async def body(world: World, supervisor: Supervisor) -> None:
        for expected in (TokenUnavailableError, InvalidParametersError, LoginRequiredError):
            with pytest.raises(expected):
                await supervisor.issue("o", {})
        assert supervisor.entries["o"].status().state is State.REJECTED

    issuing([NO, InvalidParametersError({"note": ["does not fit"]}, is_sent=False), NO], body)


def test_a_restart_is_no_way_around_a_pause_that_the_host_asked_for() -> None:
    """Neither for the provider that got it, nor for another one of that host, until it is over."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].script = [RateLimitedError("429", retry_after=300)]
        told, other = provider("o", FakeOnDemand()), provider("p", FakeHeld())
        async with world.running(told) as supervisor:
            with pytest.raises(ThrottledError):
                await supervisor.issue("o", {})
        async with world.running(told, other) as supervisor:
            await anyio.sleep(200)
            with pytest.raises(ThrottledError):
                await supervisor.issue("o", {})
            assert len(world.upstreams["one"].calls) == 1
            await anyio.sleep(101)
            assert (await supervisor.issue("o", {})).value.reveal()
            assert supervisor.entries["p"].status().state is State.VALID

    run_virtually(main)


def with_words(error: AttemptError) -> AttemptError:
    """Let the upstream say something of its own."""
    error.said = "Planted words"
    return error


def test_the_vendors_words_reach_the_caller_and_the_status_and_not_the_log() -> None:
    """Each class of error; a caller who was not sent gets tokend's words alone: they may be about somebody else."""

    async def body(world: World, supervisor: Supervisor) -> None:
        with logged() as lines:
            for error in (TokenUnavailableError, LoginRequiredError):
                with pytest.raises(error, match="the upstream said: Planted words"):
                    await supervisor.issue("o", {})
            with pytest.raises(LoginRequiredError) as unsent:
                await supervisor.issue("o", {})
            assert "Planted" not in str(unsent.value)
            last = supervisor.entries["o"].status().last_error
            assert last is not None
            assert (last.detail, last.said) == ("no", "Planted words")
        assert lines
        assert "Planted" not in str(lines)

    issuing([with_words(RejectedError("no")), with_words(RejectedError("no"))], body)

    async def paused(world: World, supervisor: Supervisor) -> None:
        with pytest.raises(ThrottledError, match="the upstream said: Planted words"):
            await supervisor.issue("o", {})

    issuing([with_words(RateLimitedError("429", retry_after=60))], paused)
