"""Rejected credentials of on-demand kinds: the queries that are sent as probes, and what ends the rejection."""

from datetime import UTC, datetime

import anyio
import pytest

from tests.engine.on_demand.world import running
from tests.fakes import FakeHeld, FakeOnDemand, World, literal, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.supervisor import Supervisor
from tokend.values.errors import (
    ClockError,
    InvalidParametersError,
    LoginRequiredError,
    NotSupportedError,
    RejectedError,
    TokenUnavailableError,
    TransientError,
)
from tokend.values.status import State

NO = RejectedError("Invalid signature")
DOWN = TransientError("answered 503", repeatable=True)
MINUTE = 60.0


async def refused_twice(supervisor: Supervisor) -> None:
    """Let the upstream refuse the credentials for good."""
    for _ in range(2):
        with pytest.raises((TokenUnavailableError, LoginRequiredError)):
            await supervisor.issue("o", {})


async def ask(supervisor: Supervisor) -> None:
    """Ask, and get no token."""
    with pytest.raises(LoginRequiredError):
        await supervisor.issue("o", {})


def test_a_probe_is_let_through_after_5_10_20_and_40_minutes_then_hourly_however_many_ask() -> None:
    """docs/promises.md P3. A caller who asks each ten seconds for five hours."""

    @running([NO] * 99, key=literal("wrong"))
    async def _(world: World, supervisor: Supervisor) -> None:
        await refused_twice(supervisor)
        calls = world.upstreams["one"].calls
        rejected = calls[1]
        while rejected.until(world.clock.instant()) < 300 * MINUTE:
            await anyio.sleep(10)
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(ask, supervisor)
        minutes = [round(rejected.until(call) / MINUTE) for call in calls[2:]]
        assert minutes == [5, 15, 35, 75, 135, 195, 255]


def test_without_a_caller_no_probe_is_sent() -> None:
    """It is no timer."""

    @running([NO] * 9, key=literal("wrong"))
    async def _(world: World, supervisor: Supervisor) -> None:
        await refused_twice(supervisor)
        await anyio.sleep(24 * 60 * MINUTE)
        assert len(world.upstreams["one"].calls) == 2


def test_the_error_and_the_status_say_when_the_next_probe_is_sent_and_what_clears_the_rejection() -> None:
    """503 with retry_at; `tokend refresh` is named."""

    @running([NO] * 9, key=literal("wrong"))
    async def _(world: World, supervisor: Supervisor) -> None:
        await refused_twice(supervisor)
        with pytest.raises(LoginRequiredError, match=r"at 00:05:00 UTC, or after `tokend refresh o`") as refused:
            await supervisor.issue("o", {})
        expected = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
        assert refused.value.retry_at == pytest.approx(expected.timestamp(), abs=1)
        status = supervisor.entries["o"].status()
        assert status.next_attempt_at is not None
        assert status.next_attempt_at.timestamp() == refused.value.retry_at


def test_a_probe_that_is_accepted_ends_the_rejection() -> None:
    """The vendor had locked the account for a while."""

    @running([NO, NO, "fake"], key=literal("right"))
    async def _(world: World, supervisor: Supervisor) -> None:
        await refused_twice(supervisor)
        await anyio.sleep(5 * MINUTE)
        assert (await supervisor.issue("o", {})).value.reveal() == "fake"
        status = supervisor.entries["o"].status()
        assert (status.state, status.next_attempt_at) == (State.ON_DEMAND, None)
        await supervisor.issue("o", {})


def test_a_probe_whose_fields_the_vendor_refuses_ends_the_rejection_too() -> None:
    """It read them: so it had accepted the signature."""

    @running([NO, NO, InvalidParametersError({"username": ["is taken"]})], key=literal("right"))
    async def _(world: World, supervisor: Supervisor) -> None:
        await refused_twice(supervisor)
        await anyio.sleep(5 * MINUTE)
        with pytest.raises(InvalidParametersError):
            await supervisor.issue("o", {})
        assert supervisor.entries["o"].status().state is State.ON_DEMAND


def test_a_probe_is_one_call_and_one_that_met_an_outage_leaves_the_pause_as_it_was() -> None:
    """5xx says nothing about the credentials; the pause neither ends nor grows."""

    @running([NO, NO, DOWN, ClockError("behind", offset=3600.0), NO], key=literal("wrong"))
    async def _(world: World, supervisor: Supervisor) -> None:
        await refused_twice(supervisor)
        calls = world.upstreams["one"].calls
        for minutes, expected in ((5, 3), (4.5, 3), (0.6, 4), (5.1, 4), (5, 5)):
            await anyio.sleep(minutes * MINUTE)
            with pytest.raises(LoginRequiredError):
                await supervisor.issue("o", {})
            assert len(calls) == expected


def test_a_restart_is_no_way_around_the_pause_nor_is_a_crash_during_a_probe() -> None:
    """The probe is noted before it is sent."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.script = [NO, NO]
        configured = provider("o", FakeOnDemand(key=literal("wrong")))
        async with world.running(configured) as supervisor:
            await refused_twice(supervisor)
            await anyio.sleep(4 * MINUTE)
        async with world.running(configured) as supervisor:
            with pytest.raises(LoginRequiredError):
                await supervisor.issue("o", {})
            assert len(up.calls) == 2
            await anyio.sleep(MINUTE)
            up.latency = 1000
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(supervisor.issue, "o", {})
                await anyio.sleep(1)
                tasks.cancel_scope.cancel()
            assert len(up.calls) == 3
        up.latency = 0.1
        async with world.running(configured) as supervisor:
            await anyio.sleep(9 * MINUTE)
            with pytest.raises(LoginRequiredError):
                await supervisor.issue("o", {})
            assert len(up.calls) == 3
            await anyio.sleep(MINUTE)
            assert (await supervisor.issue("o", {})).value.reveal()

    run_virtually(main)


def test_a_rejection_that_0_1_0_stored_has_no_pause_yet_and_lets_the_first_query_through() -> None:
    """It has no moment for a probe, and perhaps lasts for weeks already."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].script = [NO, NO, NO]
        configured = provider("o", FakeOnDemand(key=literal("wrong")))
        async with world.running(configured) as supervisor:
            await refused_twice(supervisor)
        content = world.state.content["o"]
        world.state.content["o"] = content.replace(b'"next_probe": [', b'"another_key": [')
        async with world.running(configured) as supervisor:
            assert supervisor.entries["o"].status().next_attempt_at is None
            for _ in range(2):
                with pytest.raises(LoginRequiredError):
                    await supervisor.issue("o", {})
            assert len(world.upstreams["one"].calls) == 3

    run_virtually(main)


def test_a_person_lets_the_next_query_try_and_one_more_refusal_rejects_again() -> None:
    """`tokend refresh NAME`; the pauses begin with the first one again."""

    @running([NO, NO, NO], key=literal("wrong"))
    async def _(world: World, supervisor: Supervisor) -> None:
        await refused_twice(supervisor)
        await supervisor.resume("o")
        assert supervisor.entries["o"].status().state is State.ON_DEMAND
        for _ in range(2):
            with pytest.raises(LoginRequiredError):
                await supervisor.issue("o", {})
        assert len(world.upstreams["one"].calls) == 3
        assert supervisor.entries["o"].status().state is State.REJECTED
        await anyio.sleep(5 * MINUTE)
        await supervisor.issue("o", {})


def test_only_rejected_credentials_of_an_on_demand_kind_can_be_tried_again() -> None:
    """405 for all others; the message names the way that works."""

    async def main(clock: VirtualClock) -> None:
        async with World(clock).running(provider("o", FakeOnDemand()), provider("h", FakeHeld())) as supervisor:
            with pytest.raises(NotSupportedError, match="its credentials are not rejected: POST /v1/tokens/o/issue"):
                await supervisor.resume("o")
            with pytest.raises(NotSupportedError, match="POST /v1/tokens/h/refresh"):
                await supervisor.resume("h")

    run_virtually(main)
