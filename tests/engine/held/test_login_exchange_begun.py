"""Logins that the credentials alone begin: no person is needed, and a refused one is begun again at once."""

from dataclasses import replace

import anyio

from tests.expecting import held, present
from tests.fake_logins import HOUR, FakeLogin, client_refused, login_server, lost, undecided
from tests.fakes import World, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.records.login_states import NoLogin, Ready
from tokend.values.errors import PersonNeededError
from tokend.values.secret import Secret
from tokend.values.status import State

ALONE = FakeLogin(alone=True)


def test_the_first_request_begins_a_login_and_the_next_ones_refresh_it() -> None:
    """Also after a restart; no person sees a login."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", ALONE)) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            assert supervisor.entries["a"].status().login is None
            state = world.store.get("a").login.state
            assert present(present(state.login).refresh_token).reveal() == "fake-begun-1"
        async with world.running(provider("a", ALONE)) as supervisor:
            await until(lambda: len(server.refreshes) == 2, seconds=2 * HOUR)
            assert (server.refreshes, server.begun) == (["fake-begun-1", "fake-refresh-1"], 1)

    run_virtually(main)


def test_a_refused_refresh_is_followed_by_the_full_request_in_the_same_attempt() -> None:
    """No reader waits for a second attempt, and the refused refresh token is not sent again."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", ALONE)) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            server.valid.clear()
            await until(lambda: server.begun == 2, seconds=HOUR)
            await anyio.sleep(1)
            status = supervisor.entries["a"].status()
            assert (status.state, status.failures, server.refreshes) == (State.VALID, 0, ["fake-begun-1"])
            assert server.at[-1] - server.at[-2] < 1
            assert server.begun_after == [None, "login.example answered invalid_grant"]
            assert present(present(world.store.get("a").login.login).refresh_token) == Secret("fake-begun-2")

    run_virtually(main)


def test_a_full_request_that_fails_is_made_again_and_needs_no_person() -> None:
    """Not after a refused refresh either: the refresh token is gone, and the credentials are still there."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        server.begin_script = [undecided(), lost(), None, undecided()]
        async with world.running(provider("a", ALONE)) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=60)
            assert (server.begun, server.probes) == (3, [])
            server.valid.clear()
            await until(lambda: server.begun == 5, seconds=HOUR)
            assert (len(server.refreshes), isinstance(world.store.get("a").login.state, NoLogin)) == (1, True)
            await until(lambda: isinstance(world.store.get("a").login.state, Ready), seconds=60)

    run_virtually(main)


def test_credentials_that_are_refused_are_rejected() -> None:
    """A person at the upstream is another state, and both end the attempts."""

    async def main(clock: VirtualClock) -> None:
        for error, state in [(client_refused(), State.REJECTED), (PersonNeededError("x"), State.LOGIN_REQUIRED)]:
            world, server = World(clock), login_server(clock)
            server.begin_script = [error]
            async with world.running(provider("a", ALONE)) as supervisor:
                await until(lambda state=state: supervisor.entries["a"].status().state is state, seconds=10)  # type: ignore[misc]
                await anyio.sleep(10 * HOUR)
                assert server.begun == 1
                assert held(supervisor.entries["a"]).status().login is None

    run_virtually(main)


def test_without_a_refresh_token_each_token_takes_a_full_request() -> None:
    """The kind needs one to refresh; the token held does not hinder it."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        server.begin_script = [lambda granted: replace(granted, refresh_token=None)] * 9
        async with world.running(provider("a", ALONE)) as supervisor:
            await until(lambda: server.begun == 3, seconds=3 * HOUR)
            assert (supervisor.entries["a"].status().valid, server.refreshes) == (True, [])

    run_virtually(main)
