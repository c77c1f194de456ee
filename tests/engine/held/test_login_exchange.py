"""Refreshes of a login: journal, request, durable write, publish; and what a lost answer or a full disk changes."""

import json
from collections.abc import Callable
from dataclasses import replace

import anyio
import pytest

from tests.expecting import held, present
from tests.fake_logins import (
    HOUR,
    FakeLogin,
    login_server,
    lost,
    not_delivered,
    refused,
    undecided,
)
from tests.fakes import World, config, literal, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.held.login_exchange import LoginExchange
from tokend.engine.records.login_states import Lost, Required
from tokend.engine.records.record import Record
from tokend.values.errors import AttemptError, LoginRequiredError, StoreError
from tokend.values.logins import Granted
from tokend.values.secret import Secret
from tokend.values.status import State

LOGIN = FakeLogin(refresh_token=literal("fake-refresh-0"))


def state_on_disk(world: World) -> str:
    found: str = json.loads(world.state.content["a"])["login"]["state"]["is"]
    return found


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


def test_a_login_that_is_being_saved_can_be_cut_by_the_end_of_the_daemon_alone() -> None:
    """It is tried again each second until then."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        login_server(clock)
        async with world.running(provider("a", LOGIN)) as supervisor, anyio.create_task_group() as tasks:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            exchange = LoginExchange("a", world.context)
            granted = Granted("https://login.example:443", clock.instant(), refresh_token=Secret("fake-new"))

            async def use(_: Granted) -> Callable[[Record], Record]:
                return lambda record: record

            async def accept() -> None:
                with pytest.raises(StoreError, match="broken off: log in again"):
                    await exchange.accept(granted, LOGIN.login_client, None, use, logouts=exchange.logouts)

            world.state.broken = True
            tasks.start_soon(accept)
            await anyio.sleep(30)
            assert exchange.is_under_way
            exchange.break_off()
            await anyio.sleep(1)
            assert not exchange.is_under_way
            assert b"fake-new" not in world.state.content["a"]
            world.state.broken = False

    run_virtually(main)


def test_a_refresh_token_that_cannot_be_saved_is_written_again_every_second_and_the_old_token_served() -> None:
    """Published unsaved only when the old token has ended."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=1.0)
        async with world.running(provider("a", LOGIN)) as supervisor, anyio.create_task_group() as tasks:
            tasks.start_soon(world.store.keep_saved)
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            await until(lambda: len(server.refreshes) == 2, seconds=HOUR)
            world.state.broken = True
            await anyio.sleep(30)
            saves = world.state.saves
            assert "is not saved" in present(supervisor.entries["a"].status().note)
            assert present(supervisor.entries["a"].lease).token.value.reveal() == "fake-token-1"
            await anyio.sleep(10)
            assert 8 <= world.state.saves - saves <= 12
            await until(
                lambda: present(supervisor.entries["a"].lease).token.value.reveal() != "fake-token-1", seconds=HOUR
            )
            assert json.loads(world.state.content["a"])["login"]["state"]["is"] == "exchanging"
            world.state.broken = False
            await anyio.sleep(3)
            assert json.loads(world.state.content["a"])["login"]["state"]["login"]["refresh_token"] == "fake-refresh-2"
            tasks.cancel_scope.cancel()

    run_virtually(main)


def test_a_worker_that_is_cancelled_ends_after_the_answer_was_saved() -> None:
    """From the journal on nothing cuts it: the daemon that ends waits for it."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=20.0)
        async with world.running(provider("a", LOGIN)):
            await until(lambda: bool(server.refreshes), seconds=10)
        assert state_on_disk(world) == "ready"
        assert json.loads(world.state.content["a"])["lease"]["token"]["value"] == "fake-token-1"

    run_virtually(main)


def test_a_refresh_token_that_cannot_be_saved_does_not_hold_up_the_end_of_the_daemon() -> None:
    """It is tried once more; the journal covers it."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            await until(lambda: len(server.refreshes) == 2, seconds=HOUR)
            world.state.broken = True
            await anyio.sleep(10)
            ended = clock.instant().boot
        assert clock.instant().boot - ended < 2
        assert state_on_disk(world) == "exchanging"

    run_virtually(main)


def test_a_full_disk_after_the_request_is_no_trouble_where_space_was_reserved() -> None:
    """The reserve is for this write."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=1.0)
        world.state.reserves = True
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: bool(server.refreshes), seconds=10)
            world.state.broken = True
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            assert supervisor.entries["a"].status().note is None
            assert state_on_disk(world) == "ready"

    run_virtually(main)


def test_a_reload_a_forget_and_a_reader_cut_no_exchange() -> None:
    """A reload that takes the provider away waits for the answer."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=20.0)
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: bool(server.refreshes), seconds=10)
            await supervisor.forget("a")
            await supervisor.apply(config(provider("b", FakeLogin(client_id="other"))))
            assert "a" not in supervisor.entries
            assert json.loads(world.state.content["a"])["login"]["state"]["login"]["refresh_token"] == "fake-refresh-1"

    run_virtually(main)


def test_a_logout_while_the_server_is_asked_something_harmless_ends_the_exchange_before_it_is_sent() -> None:
    """It is no bug: nothing is sent, and a person has to log in."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=5.0)
        server.script = [lost()]
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: bool(server.probes), seconds=600)
            await held(supervisor.entries["a"]).log_out()
            await anyio.sleep(60)
            assert len(server.refreshes) == 1
            assert supervisor.entries["a"].status().state is State.LOGIN_REQUIRED
            assert "internal" not in {reason for _, reason in supervisor.counters.refresh_errors}

    run_virtually(main)


def test_an_exchange_does_not_begin_while_a_person_logs_out() -> None:
    """Nor is a login saved that was brought meanwhile. Of two logouts at a time the second one bars, too."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=5.0)
        server.script = [lost()]
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: bool(server.probes), seconds=600)
            exchange = present(held(supervisor.entries["a"]).refresher.login).exchange
            granted = Granted("https://login.example:443", clock.instant(), refresh_token=Secret("fake-new"))

            async def use(_: Granted) -> Callable[[Record], Record]:
                raise AssertionError("there is no token to use")

            async with exchange.barred():
                async with exchange.barred():
                    pass
                await anyio.sleep(10)
                assert len(server.refreshes) == 1
                with pytest.raises(StoreError, match="logged out meanwhile"):
                    await exchange.accept(granted, LOGIN.login_client, None, use, logouts=exchange.logouts)
            await until(lambda: len(server.refreshes) == 2, seconds=600)

    run_virtually(main)
