"""`HeldProvider`: logins without a refresh token. Their token is the last, until a person logs in again."""

from dataclasses import replace
from datetime import timedelta

import anyio
import pytest

from tests.engine.held.with_logins import granted
from tests.expecting import held, present
from tests.fake_logins import HOUR, FakeLogin, LoginServer, login_server, lost, refused, undecided
from tests.fakes import FakeHeld, World, config, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.held.held_provider import HeldProvider
from tokend.engine.records.login_states import Ready, Required
from tokend.engine.running_provider import RunningProvider
from tokend.values.errors import LoginRequiredError, PersonNeededError, TokenUnavailableError
from tokend.values.logins import Granted
from tokend.values.secret import Secret
from tokend.values.status import State


def bare(clock: VirtualClock, value: str = "fake-access") -> Granted:
    """What a server without refresh tokens grants to a person."""
    whole = granted(clock)
    return replace(whole, token=replace(present(whole.token), value=Secret(value)), refresh_token=None)


async def logged_in(entry: RunningProvider, server: LoginServer) -> HeldProvider:
    """Log in as a person; returns the provider."""
    provider = held(entry)
    await until(lambda: provider.status().state is State.LOGIN_REQUIRED, seconds=10)
    await provider.accept_login(bare(server.clock), another_account=False)
    return provider


def test_the_token_is_kept_until_its_end_over_restarts_and_then_a_login_is_required() -> None:
    """Nothing is sent, before or after; the status has the account and the end from the first moment on."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", FakeLogin())) as supervisor:
            entry = await logged_in(supervisor.entries["a"], server)
            status = entry.status()
            login = present(status.login)
            assert (status.state, status.next_attempt_at, login.state) == (State.VALID, None, "ok")
            assert (login.subject, login.ends_at) == ("somebody", status.expires_at)
            assert "gave no refresh token" in present(status.note)
            await anyio.sleep(HOUR / 2)
        async with world.running(provider("a", FakeLogin())) as supervisor:
            entry = held(supervisor.entries["a"])
            await anyio.sleep(HOUR / 2 - 10)
            assert (entry.status().state, entry.status().failures) == (State.VALID, 0)
            await until(lambda: entry.status().state is State.LOGIN_REQUIRED, seconds=20)
            assert not entry.status().valid
            await anyio.sleep(HOUR)
            with pytest.raises(LoginRequiredError, match="tokend login a"):
                await entry.fresh(1, admin=True)
            assert (server.refreshes, server.probes, entry.status().failures) == ([], [], 1)
            await entry.accept_login(bare(clock, "fake-other"), another_account=False)
            assert entry.status().valid
            login = present(entry.status().login)
            assert (login.state, login.ends_at) == ("ok", entry.status().expires_at)

    run_virtually(main)


def test_nobody_who_wants_a_newer_token_spoils_the_one_that_is_held() -> None:
    """A program whose call was refused, an admin, a reload, another secret: the token stays until its end."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", FakeLogin())) as supervisor:
            entry = await logged_in(supervisor.entries["a"], server)
            generation = present(entry.lease).generation
            for number in (None, generation):
                with pytest.raises(TokenUnavailableError, match="tokend login a") as caught:
                    await entry.refresh(number, admin=True)
                assert caught.value.retry_at is None
            await supervisor.apply(config(provider("a", FakeLogin(refresh_before=timedelta(minutes=20)))))
            entry.secrets_changed()
            await anyio.sleep(60)
            status = entry.status()
            assert (status.state, status.failures, status.valid) == (State.VALID, 0, True)
            assert server.refreshes == []

    run_virtually(main)


def test_who_waits_while_a_person_logs_in_gets_the_token() -> None:
    """The attempt that was wanted is not made any more."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=1.0)
        async with world.running(provider("a", FakeLogin())) as supervisor:
            entry = await logged_in(supervisor.entries["a"], server)
            await entry.forget()
            await until(lambda: entry.status().state is State.LOGIN_REQUIRED, seconds=10)
            tokens: list[str] = []

            async def ask() -> None:
                tokens.append((await entry.refresh(None, admin=True)).token.value.reveal())

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await entry.accept_login(bare(clock, "fake-other"), another_account=False)
            assert tokens == ["fake-other"]

    run_virtually(main)


def test_a_logout_withdraws_the_token_and_leaves_nothing_to_be_confirmed() -> None:
    """A restart serves it no more."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", FakeLogin())) as supervisor:
            entry = await logged_in(supervisor.entries["a"], server)
            await entry.log_out()
            assert (entry.lease, entry.login) == (None, None)
            assert [login.refresh_token for login in entry.logged_out] == [None]
            await entry.drop_logged_out(entry.logged_out)
        async with world.running(provider("a", FakeLogin())) as supervisor:
            entry = held(supervisor.entries["a"])
            await until(lambda: entry.status().state is State.LOGIN_REQUIRED, seconds=10)
            assert (entry.lease, server.refreshes) == (None, [])

    run_virtually(main)


def test_a_kind_that_refreshes_by_the_token_does_so_until_the_token_has_ended() -> None:
    """The journal and the pauses are those of any login; after the end nothing is sent any more."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, rotates=False)
        server.valid.add("by its token")
        async with world.running(provider("a", FakeLogin(by_token=True))) as supervisor:
            entry = await logged_in(supervisor.entries["a"], server)
            await until(lambda: len(server.refreshes) == 3, seconds=3 * HOUR)
            await until(lambda: isinstance(world.store.get("a").login.state, Ready), seconds=10)
            assert present(present(entry.status().login).ends_at) == entry.status().expires_at
            server.script, server.probe_fault = [lost()], undecided()
            await until(lambda: entry.status().state is State.LOGIN_REQUIRED, seconds=3 * HOUR)
            assert not entry.status().valid
            sent = len(server.refreshes)
            await anyio.sleep(10 * HOUR)
            assert (sent, len(server.refreshes)) == (4, 4)

    run_virtually(main)


def test_a_refusal_that_is_repeated_ends_a_login_that_is_refreshed_by_its_token() -> None:
    """The token is served until its end."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, rotates=False)
        server.script = [refused(), refused()]
        async with world.running(provider("a", FakeLogin(by_token=True))) as supervisor:
            entry = await logged_in(supervisor.entries["a"], server)
            await until(lambda: isinstance(world.store.get("a").login.state, Required), seconds=HOUR)
            assert (entry.status().state, entry.status().valid) == (State.LOGIN_REQUIRED, True)
            await anyio.sleep(10 * HOUR)
            assert len(server.refreshes) <= 2

    run_virtually(main)


def test_credentials_for_which_the_upstream_wants_a_person_are_tried_once() -> None:
    """A captcha: the state says that a person is needed, over restarts, and an admin's wish tries once more."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.script = ["fake-first", *[PersonNeededError("one wants a captcha")] * 3]
        for seconds in (12 * HOUR, 0):
            async with world.running(provider("a", FakeHeld())) as supervisor:
                await anyio.sleep(seconds)
                status = supervisor.entries["a"].status()
                assert (status.state, status.login) == (State.LOGIN_REQUIRED, None)
                await anyio.sleep(10 * HOUR)
                assert (len(up.calls), supervisor.outcome()) == (2, 4)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            with pytest.raises(LoginRequiredError, match="captcha"):
                await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            assert len(up.calls) == 3

    run_virtually(main)
