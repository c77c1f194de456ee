"""`HeldProvider`: logins that persons begin and end."""

from dataclasses import replace
from typing import Any

import anyio
import pytest

from tests.expecting import held, present
from tests.fake_logins import HOUR, ORIGIN, FakeLogin, login_server, undecided
from tests.fakes import FakeHeld, FakeOnDemand, World, config, literal, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.held.attempt import AttemptRunner
from tokend.engine.records.login_states import Ready, Required
from tokend.values.errors import StoreError
from tokend.values.logins import Granted
from tokend.values.secret import Secret
from tokend.values.status import State
from tokend.values.tokens import Token


def granted(clock: VirtualClock, refresh: str = "fake-persons") -> Granted:
    now = clock.instant()
    token = Token(Secret("fake-access"), "Bearer", now, now.after(HOUR))
    return Granted(ORIGIN, now, token=token, refresh_token=Secret(refresh), subject="somebody")


def test_without_a_login_one_is_required_and_nothing_is_sent() -> None:
    """From the start on; a person's login ends it at once, and its token is there."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        server.valid.add("fake-persons")
        async with world.running(provider("a", FakeLogin())) as supervisor:
            await until(lambda: supervisor.entries["a"].status().state is State.LOGIN_REQUIRED, seconds=10)
            await anyio.sleep(HOUR)
            assert (supervisor.outcome(), server.refreshes) == (4, [])
            assert isinstance(world.store.get("a").login.state, Required)
            await held(supervisor.entries["a"]).accept_login(granted(clock), another_account=False)
            assert supervisor.entries["a"].status().state is State.VALID
            assert present(supervisor.entries["a"].lease).token.value.reveal() == "fake-access"
            login = present(supervisor.entries["a"].status().login)
            assert (login.state, login.subject) == ("ok", "somebody")
            await anyio.sleep(HOUR)
            assert server.refreshes == ["fake-persons"]
        async with world.running(provider("a", FakeLogin())) as supervisor:
            assert supervisor.entries["a"].status().valid

    run_virtually(main)


def test_a_login_whose_token_cannot_be_used_is_kept_and_refreshed() -> None:
    """The person is not asked again."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        server.valid.add("fake-persons")
        async with world.running(provider("a", FakeLogin())) as supervisor:
            await until(lambda: supervisor.entries["a"].status().state is State.LOGIN_REQUIRED, seconds=10)
            without = replace(granted(clock), token=None, fault=undecided())
            await held(supervisor.entries["a"]).accept_login(without, another_account=False)
            await until(lambda: supervisor.entries["a"].status().valid, seconds=30)
            assert server.refreshes == ["fake-persons"]

    run_virtually(main)


def test_another_accounts_login_withdraws_the_old_token_although_its_own_cannot_be_used() -> None:
    """Nobody gets the old account's token any more."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", FakeLogin(refresh_token=literal("fake-refresh-0")))) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            server.script = [undecided()] * 5
            without = replace(granted(clock), token=None, fault=None)
            await held(supervisor.entries["a"]).accept_login(without, another_account=True)
            assert supervisor.entries["a"].lease is None
            assert present(held(supervisor.entries["a"]).login).refresh_token == Secret("fake-persons")

    run_virtually(main)


def test_an_exchange_of_the_old_login_is_waited_for() -> None:
    """Its answer must not replace the person's login."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=20.0)
        async with world.running(provider("a", FakeLogin(refresh_token=literal("fake-refresh-0")))) as supervisor:
            await until(lambda: bool(server.refreshes), seconds=10)
            await held(supervisor.entries["a"]).accept_login(granted(clock), another_account=False)
            state = world.store.get("a").login.state
            assert isinstance(state, Ready)
            assert state.login.refresh_token == Secret("fake-persons")

    run_virtually(main)


def test_a_logout_withdraws_the_token_and_the_initial_refresh_token_is_not_used_again() -> None:
    """The login waits for the server's confirmation, then it is dropped."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=5.0)
        settings = FakeLogin(refresh_token=literal("fake-refresh-0"))
        async with world.running(provider("a", settings)) as supervisor:
            entry = held(supervisor.entries["a"])
            await until(lambda: bool(server.refreshes), seconds=10)
            await entry.log_out()  # the answer is waited for: there is something to revoke
            assert [login.refresh_token for login in entry.logged_out] == [Secret("fake-refresh-1")]
            assert (entry.lease, entry.login) == (None, None)
            await until(lambda: entry.status().state is State.LOGIN_REQUIRED, seconds=10)
            await entry.drop_logged_out()
            assert not entry.logged_out
            assert b"fake-refresh" not in world.state.content["a"]
        async with world.running(provider("a", settings)) as supervisor:
            await anyio.sleep(HOUR)
            assert (supervisor.entries["a"].status().state, len(server.refreshes)) == (State.LOGIN_REQUIRED, 1)

    run_virtually(main)


def test_no_exchange_begins_while_a_person_ends_the_login() -> None:
    """Its new refresh token would be lost."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", FakeLogin(refresh_token=literal("fake-refresh-0")))) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            async with present(held(supervisor.entries["a"]).refresher.exchange).barred():
                await anyio.sleep(HOUR)
                assert "a person ends the login" in present(supervisor.entries["a"].status().last_error).detail
                assert len(server.refreshes) == 1
            await until(lambda: supervisor.entries["a"].status().valid, seconds=400)

    run_virtually(main)


def test_a_logout_of_a_kind_whose_exchange_is_not_under_way_returns_at_once() -> None:
    """It withdraws the token in any case."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        login_server(clock)
        async with world.running(provider("a", FakeLogin(grant="client"))) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            entry = held(supervisor.entries["a"])
            with pytest.raises(StoreError, match="use no login"):
                await entry.accept_login(granted(clock), another_account=False)
            await entry.log_out()
            assert entry.lease is None
            assert entry.login_runtime.recall("metadata") is None

    run_virtually(main)


def test_a_login_for_a_provider_that_is_taken_away_is_refused() -> None:
    """The person gets an answer."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=20.0)
        failures: list[StoreError] = []

        async def accept(entry: Any) -> None:
            try:
                await held(entry).accept_login(granted(clock), another_account=False)
            except StoreError as error:
                failures.append(error)

        async with world.running(provider("a", FakeLogin(refresh_token=literal("fake-refresh-0")))) as supervisor:
            await until(lambda: bool(server.refreshes), seconds=10)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(accept, supervisor.entries["a"])
                await anyio.sleep(1)
                held(supervisor.entries["a"]).stop()
            assert "log in again" in failures[0].detail
            await supervisor.apply(config())

    run_virtually(main)


def test_a_bug_while_a_login_is_saved_answers_the_person_too() -> None:
    """It is logged, and the loop goes on."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        login_server(clock)
        async with world.running(provider("a", FakeLogin())) as supervisor:
            await until(lambda: supervisor.entries["a"].status().state is State.LOGIN_REQUIRED, seconds=10)
            odd = replace(granted(clock), refresh_token="no secret")  # type: ignore[arg-type]
            with pytest.raises(StoreError, match="a bug in kind fake-login"):
                await held(supervisor.entries["a"]).accept_login(odd, another_account=False)
            await held(supervisor.entries["a"]).accept_login(granted(clock), another_account=False)
            assert supervisor.entries["a"].status().valid

    run_virtually(main)


@pytest.mark.parametrize("latency", [20.0, 0.1])
def test_a_login_that_comes_while_the_daemon_ends_is_saved_without_the_loop(latency: float) -> None:
    """The loop has ended, or ends while the login waits for a refresh; the next daemon has the person's login."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=latency)
        server.valid.add("fake-persons")
        settings = FakeLogin(refresh_token=literal("fake-refresh-0"))
        async with world.running(provider("a", settings)) as supervisor, anyio.create_task_group() as persons:
            await until(lambda: bool(server.refreshes), seconds=10)
            entry = held(supervisor.entries["a"])

            async def accept() -> None:
                with anyio.CancelScope(shield=True):
                    await entry.accept_login(granted(clock), another_account=False)

            if latency > 1:
                persons.start_soon(accept)
                await anyio.sleep(1)
            entry._scope.cancel()  # as the end of the daemon does
            await anyio.sleep(1)
            if latency < 1:
                persons.start_soon(accept)
        async with world.running(provider("a", settings)) as supervisor:
            assert present(supervisor.entries["a"].status().login).subject == "somebody"
            assert present(supervisor.entries["a"].lease).token.value.reveal() == "fake-access"

    run_virtually(main)


def test_a_login_that_the_end_of_the_loop_interrupts_is_saved_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop was reading the initial refresh token."""
    read = AttemptRunner.initial_refresh_token

    async def main(clock: VirtualClock) -> None:
        world, _ = World(clock), login_server(clock)
        async with world.running(provider("a", FakeLogin())) as supervisor:
            await until(lambda: supervisor.entries["a"].status().state is State.LOGIN_REQUIRED, seconds=10)
            entry = held(supervisor.entries["a"])

            async def slowly(_: AttemptRunner) -> None:
                monkeypatch.setattr(AttemptRunner, "initial_refresh_token", read)
                entry._scope.cancel()
                await anyio.sleep(1)

            monkeypatch.setattr(AttemptRunner, "initial_refresh_token", slowly)
            with anyio.CancelScope(shield=True):
                await entry.accept_login(granted(clock), another_account=False)
            assert present(entry.status().login).subject == "somebody"

    run_virtually(main)


def test_a_provider_that_was_taken_away_accepts_no_login_later() -> None:
    """Its exchange was on its way when the configuration changed."""

    async def main(clock: VirtualClock) -> None:
        world, _ = World(clock), login_server(clock)
        async with world.running(provider("a", FakeLogin())) as supervisor:
            await until(lambda: supervisor.entries["a"].status().state is State.LOGIN_REQUIRED, seconds=10)
            entry = held(supervisor.entries["a"])
            entry.stop()
            with pytest.raises(StoreError, match="log in again"):
                await entry.accept_login(granted(clock), another_account=False)

    run_virtually(main)


def test_a_login_that_waits_for_a_loop_that_ends_is_saved_all_the_same() -> None:
    """The daemon ends while an exchange is under way: who brings the login saves it himself."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        server.script, server.latency = [undecided()], 20.0
        configured = provider("a", FakeLogin(refresh_token=literal("fake-refresh-0")))
        async with anyio.create_task_group() as persons, world.running(configured) as supervisor:
            await until(lambda: server.busy == 1, seconds=10)
            entry = held(supervisor.entries["a"])
            persons.start_soon(lambda: entry.accept_login(granted(clock), another_account=False))
            await anyio.sleep(1)
            assert entry.lease is None
        state = world.store.get("a").login.state
        assert isinstance(state, Ready)
        assert present(state.login.refresh_token).reveal() == "fake-persons"

    run_virtually(main)


def test_a_kind_without_a_login_can_be_logged_out() -> None:
    """A reload may have replaced the kind during a logout: the token is withdrawn, and nothing else happens."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("one", FakeHeld())) as supervisor:
            refresher = held(supervisor.entries["one"]).refresher
            await until(refresher.is_valid, seconds=10)
            await refresher.log_out()
            assert world.store.get("one").withdrawn
            await refresher.drop_logged_out()
            assert world.store.get("one").login.aside == ()

    run_virtually(main)


def test_the_scopes_that_new_settings_lack_are_known_before_they_are_in_force() -> None:
    """Of a login that has named its scopes; nothing is said of other kinds."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        server.scopes = ("read",)
        login = FakeLogin(refresh_token=literal("fake-refresh-0"), scope=("read",))
        async with world.running(provider("a", login), provider("b", FakeHeld())) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            assert supervisor.scopes_note(provider("a", login)) is None
            more = login.model_copy(update={"scope": ("read", "write")})
            assert supervisor.scopes_note(provider("a", more)) == "scopes missing: write \N{EM DASH} tokend login a"
            assert supervisor.scopes_note(provider("b", FakeHeld())) is None
            assert supervisor.scopes_note(provider("o", FakeOnDemand())) is None

    run_virtually(main)
