"""`ProviderLogin`: the initial refresh token, and what is accepted of a person."""

from dataclasses import replace

import anyio

from tests.engine.held.with_logins import INITIAL, LOGIN, begun, granted, valid
from tests.expecting import held, present
from tests.fake_logins import (
    HOUR,
    FakeLogin,
    login_server,
    undecided,
)
from tests.fakes import World, literal, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.values.secret import Secret
from tokend.values.status import State


def test_an_initial_refresh_token_that_cannot_be_read_is_needed_only_where_there_is_no_login() -> None:
    """With a login it may be gone."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock)
        for gone in ("", None):
            async with world.running(provider("a", LOGIN)) as supervisor:
                await valid(supervisor)
            world.environ.pop("REFRESH", None)
            if gone is not None:
                world.environ["REFRESH"] = gone
            async with world.running(provider("a", LOGIN)) as supervisor:
                await anyio.sleep(HOUR)
                assert supervisor.entries["a"].status().state is State.VALID
        async with world.running(provider("b", FakeLogin(username="another", refresh_token=INITIAL))) as supervisor:
            await until(lambda: supervisor.entries["b"].status().state is State.LOGIN_REQUIRED, seconds=10)
            assert present(supervisor.entries["b"].status().last_error).detail.endswith("tokend login b")
        assert server.reuses == 0

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
