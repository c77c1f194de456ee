"""On-demand tokens: how often each uid may ask, and how many log lines that makes."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from tests.engine.on_demand.world import running
from tests.fakes import FakeOnDemand, World, literal, provider
from tests.httpd.served import logged
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.supervisor import Supervisor
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import NetworkSettings
from tokend.values.errors import ThrottledError, TokenUnavailableError


class CallingKind(FakeOnDemand):
    """An on-demand kind that calls an upstream, with the limits that such kinds have by default."""

    local = False


async def asked(supervisor: Supervisor, times: int, *, uid: int = 1000) -> int:
    """Ask ``times`` times at once; return how many were answered."""
    given = 0
    for _ in range(times):
        try:
            await supervisor.issue("o", {}, uid=uid)
        except ThrottledError:
            continue
        given += 1
    return given


def limited(settings: FakeOnDemand, body: Callable[[World, Supervisor], Awaitable[None]]) -> None:
    """Run ``body`` with an upstream that answers at once."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].latency = 0
        async with world.running(provider("o", settings)) as supervisor:
            await body(world, supervisor)

    run_virtually(main)


def test_a_kind_that_calls_an_upstream_gives_each_uid_twenty_at_once_and_five_a_second() -> None:
    """Root included; another uid has its own."""

    async def body(world: World, supervisor: Supervisor) -> None:
        for uid in (0, 1000):
            assert await asked(supervisor, 40, uid=uid) == 20
        await anyio.sleep(1)
        assert await asked(supervisor, 40, uid=0) == 5
        await anyio.sleep(3600)
        assert await asked(supervisor, 40, uid=0) == 20
        assert len(world.upstreams["one"].calls) == 65

    limited(CallingKind(), body)


def test_a_kind_that_signs_locally_has_no_limit_unless_one_is_set() -> None:
    """Signing costs nobody anything."""

    async def body(world: World, supervisor: Supervisor) -> None:
        assert await asked(supervisor, 500) == 500

    limited(FakeOnDemand(base_url=None), body)

    async def one_a_second(world: World, supervisor: Supervisor) -> None:
        assert await asked(supervisor, 50) == 3
        await anyio.sleep(2)
        assert await asked(supervisor, 50) == 1

    limited(FakeOnDemand(base_url=None, issue_rate=0.5, issue_burst=3), one_a_second)


def test_the_refusal_says_which_key_and_when_to_ask_again() -> None:
    """429 with retry_at; nothing is sent."""

    async def body(world: World, supervisor: Supervisor) -> None:
        await asked(supervisor, 2)
        with pytest.raises(ThrottledError, match=r"uid 7 asks more than issue_rate = 0.25 times a second") as refused:
            for _ in range(3):
                await supervisor.issue("o", {}, uid=7)
        assert refused.value.retry_at == datetime(2026, 1, 1, 0, 0, 4, tzinfo=UTC).timestamp()

    limited(CallingKind(issue_rate=0.25, issue_burst=2), body)


def test_what_is_issued_makes_a_line_a_second_and_uid_with_a_count() -> None:
    """No count is lost, also where the daemon ends within the second."""

    async def body(world: World, supervisor: Supervisor) -> None:
        for _ in range(3):
            await asked(supervisor, 10)
            await asked(supervisor, 1, uid=0)
            await anyio.sleep(0.3)
        await anyio.sleep(5)
        await asked(supervisor, 4)

    with logged() as lines:
        limited(FakeOnDemand(base_url=None), body)
    counts: dict[int, list[int]] = {}
    for line in lines:
        if line["event"] == "token.issued":
            counts.setdefault(line["uid"], []).append(line["count"])
    assert counts == {1000: [1, 29, 1, 3], 0: [1, 2]}


def test_failures_make_a_line_a_second_and_uid_too() -> None:
    """A secret that cannot be read fails each query, a thousand times a second."""

    @running([], key=SecretSource(env="ABSENT"))
    async def _(world: World, supervisor: Supervisor) -> None:
        with logged() as lines:
            for _ in range(50):
                with pytest.raises(TokenUnavailableError):
                    await supervisor.issue("o", {}, uid=5)
            await anyio.sleep(2)
        found = [(line["uid"], line["count"]) for line in lines if line["event"] == "token.issue_failed"]
        assert found == [(5, 1), (5, 49)]


def test_unsent_queries_of_rejected_credentials_cost_nothing_of_the_allowance() -> None:
    """The answer is the typed 503, not 429."""
    assert NetworkSettings.local is False
    secret: Any = literal("fake")
    assert CallingKind(key=secret).issue_limit == (5.0, 20)
    assert CallingKind(issue_rate=50.0).issue_limit == (50.0, 20)
    assert FakeOnDemand(issue_burst=7).issue_limit == (5.0, 7)
    assert FakeOnDemand().issue_limit is None
