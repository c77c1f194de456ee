"""Refreshes of a login: journal, request, durable write, publish; and what a lost answer or a full disk changes."""

import json
from dataclasses import replace

import anyio
import pytest

from tests.engine.held.with_logins import state_on_disk
from tests.expecting import present
from tests.fake_logins import (
    HOUR,
    FakeLogin,
    login_server,
    lost,
    not_delivered,
    refused,
    undecided,
)
from tests.fakes import World, literal, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.records.login_states import Lost, Required
from tokend.values.errors import AttemptError, LoginRequiredError
from tokend.values.status import State

LOGIN = FakeLogin(refresh_token=literal("fake-refresh-0"))


def test_the_journal_is_saved_before_the_request_and_the_login_before_the_token_shows() -> None:
    """Order: journal and reserve, request, new refresh token and token in one write, publish."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        seen: list[str] = []

        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: bool(server.refreshes), seconds=10)
            seen.append(state_on_disk(world))
            assert world.state.reserved == {"a"}
            assert supervisor.entries["a"].lease is None
            await until(lambda: supervisor.entries["a"].lease is not None, seconds=10)
            saved = json.loads(world.state.content["a"])
            assert saved["login"]["state"]["login"]["refresh_token"] == "fake-refresh-1"
            assert saved["lease"]["token"]["value"] == "fake-token-1"
            assert world.state.reserved == set()
        assert seen == ["exchanging"]
        assert saved["version"] == 2

    run_virtually(main)


def test_each_refresh_uses_the_newest_refresh_token_also_after_a_restart() -> None:
    """The initial one is used once."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        for _ in range(2):
            async with world.running(provider("a", LOGIN)):
                await anyio.sleep(3 * HOUR)
        assert server.refreshes == [f"fake-refresh-{number}" for number in range(len(server.refreshes))]
        assert len(server.refreshes) > 5
        assert server.reuses == 0

    run_virtually(main)


def test_without_a_journal_nothing_is_sent() -> None:
    """A lost answer would lose the login."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        world.state.broken = True
        async with world.running(provider("a", LOGIN)) as supervisor:
            await anyio.sleep(60)
            assert server.refreshes == []
            assert "nothing was sent" in present(supervisor.entries["a"].status().last_error).detail
            world.state.broken = False
            await anyio.sleep(400)
            assert supervisor.entries["a"].status().valid

    run_virtually(main)


def test_killed_during_an_exchange_the_server_is_asked_something_harmless_before_the_repeat() -> None:
    """At least five seconds later; the journal says that an answer may be lost."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=10.0, grace=60.0)
        async with world.running(provider("a", LOGIN)):
            await until(lambda: bool(server.refreshes), seconds=10)
            # A crash cuts what a shield protects.
            world.supervisor.exchanges_under_way()[0].break_off()
        assert state_on_disk(world) == "exchanging"
        server.latency, died = 0.1, clock.instant().boot
        async with world.running(provider("a", LOGIN)) as supervisor:
            assert isinstance(world.store.get("a").login.state, Lost)
            await until(lambda: supervisor.entries["a"].status().valid, seconds=30)
            assert server.refreshes == ["fake-refresh-0", "fake-refresh-0"]
            assert died + 5 <= server.probes[0] < server.at[1]
            assert world.counters.login_retries["a"] == 1

    run_virtually(main)


def test_a_lost_answer_is_repeated_ever_more_rarely_until_an_answer_comes() -> None:
    """After 5 seconds, 1, 5 and 15 minutes, then hourly; each time something harmless first, each in the journal."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        server.script = [lost() for _ in range(8)]
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: len(server.refreshes) == 8, seconds=5 * HOUR)
            gaps = [round(b - a) for a, b in zip(server.at, server.at[1:], strict=False)]
            assert [gap // 5 * 5 for gap in gaps] == [5, 60, 300, 900, 3600, 3600, 3600]
            assert len(server.probes) == 7
            assert supervisor.entries["a"].status().state is State.PENDING
            await anyio.sleep(1)
            assert "7 repeats" in present(supervisor.entries["a"].status().note)
            await anyio.sleep(HOUR + 60)
            assert supervisor.entries["a"].status().state is State.VALID
            assert world.counters.login_retries["a"] == 8

    run_virtually(main)


@pytest.mark.parametrize(
    ("before", "fault"),
    [
        (not_delivered(), lost()),
        (not_delivered(), undecided(may_be_spent=True)),
        (undecided(may_be_spent=True), lost()),
    ],
    ids=["refused, then lost", "refused, then a 5xx", "a 5xx, then lost"],
)
def test_the_first_repeat_comes_within_a_grace_however_long_the_backoff_was(
    before: AttemptError, fault: AttemptError
) -> None:
    """An outage has made the backoff long; its last answer may have spent the refresh token."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, grace=60.0)
        server.script = [*(before for _ in range(8)), fault, fault]
        async with world.running(provider("a", LOGIN)):
            await until(lambda: len(server.refreshes) == 11, seconds=HOUR)
        gaps = [later - earlier for earlier, later in zip(server.at, server.at[1:], strict=False)]
        assert gaps[7] > 60
        assert gaps[8] < 15
        assert gaps[9] > 50

    run_virtually(main)


def test_no_repeat_is_sent_before_the_server_answers_something_harmless() -> None:
    """For as long as it takes; the probes have a backoff."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        server.script, server.probe_fault = [lost()], undecided()
        async with world.running(provider("a", LOGIN)) as supervisor:
            await anyio.sleep(2 * HOUR)
            assert len(server.refreshes) == 1
            assert 10 < len(server.probes) < 60
            server.probe_fault = None
            await anyio.sleep(400)
            assert supervisor.entries["a"].status().state is State.VALID

    run_virtually(main)


def test_after_a_lost_answer_a_refusal_is_final_and_no_timer_asks_again() -> None:
    """login_required: status, exit code, and the exact command."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        server.script = [lost()]
        server.valid.clear()
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: supervisor.entries["a"].status().state is State.LOGIN_REQUIRED, seconds=60)
            await anyio.sleep(24 * HOUR)
            assert len(server.refreshes) == 2
            status = supervisor.entries["a"].status()
            assert (status.next_attempt_at, present(status.login).state) == (None, "required")
            assert present(status.login).command == "tokend login a"
            assert supervisor.outcome() == 4
            with pytest.raises(LoginRequiredError, match=r"^tokend login a$"):
                await supervisor.fresh("a", 0, admin=False)
            with pytest.raises(LoginRequiredError):
                await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            assert len(server.refreshes) == 3  # one attempt for the admin
            assert isinstance(world.store.get("a").login.state, Required)

    run_virtually(main)


def test_a_refresh_token_that_was_accepted_before_gets_a_second_refusal() -> None:
    """One odd answer must not end a login; five seconds later it is sent once more."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, rotates=False)
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            server.script = [refused()]
            await anyio.sleep(HOUR)
            assert supervisor.entries["a"].status().state is State.VALID
            assert server.at[2] - server.at[1] >= 5
            server.script = [refused(), refused()]
            await anyio.sleep(HOUR)
            assert supervisor.entries["a"].status().state is State.LOGIN_REQUIRED
            assert len(server.refreshes) == 5

    run_virtually(main)


@pytest.mark.parametrize("spent", [False, True])
def test_an_outage_of_days_costs_no_login(spent: bool) -> None:
    """Not delivered and undecided: the refresh token stays, with the ordinary backoff, for ever."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        server.script = [not_delivered(), undecided(may_be_spent=spent)] * 200
        async with world.running(provider("a", LOGIN)) as supervisor:
            await anyio.sleep(24 * HOUR)
            assert len(server.refreshes) > 200
            server.script = []
            await anyio.sleep(600)
            assert supervisor.entries["a"].status().state is State.VALID
            assert set(server.refreshes[:200]) == {"fake-refresh-0"}
            assert server.probes == []

    run_virtually(main)


def test_a_new_refresh_token_is_kept_although_its_token_cannot_be_used() -> None:
    """The attempt is transient, and the next one uses the new refresh token."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        server.script = [lambda granted: replace(granted, token=None, fault=undecided())]
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=60)
            assert server.refreshes == ["fake-refresh-0", "fake-refresh-1"]

    run_virtually(main)


def test_a_new_refresh_token_is_kept_although_its_token_was_forgotten() -> None:
    """The server gives the forgotten token once more: it is not published, and the login is not lost."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            old = present(supervisor.entries["a"].lease).token
            server.script = [lambda granted: replace(granted, token=old)]
            await supervisor.forget("a")
            await until(lambda: supervisor.entries["a"].status().valid, seconds=60)
            assert server.refreshes == ["fake-refresh-0", "fake-refresh-1", "fake-refresh-2"]

    run_virtually(main)
