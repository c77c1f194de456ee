"""`HeldProvider`: logins that persons begin and end."""

import anyio
import pytest

from tests.engine.held.with_logins import granted
from tests.expecting import held, present
from tests.fake_logins import HOUR, FakeLogin, login_server
from tests.fakes import FakeHeld, FakeOnDemand, World, literal, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.records.login_states import Required
from tokend.values.errors import StoreError
from tokend.values.status import State


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


def test_no_exchange_begins_while_a_person_ends_the_login() -> None:
    """Its new refresh token would be lost."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", FakeLogin(refresh_token=literal("fake-refresh-0")))) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            async with present(held(supervisor.entries["a"]).refresher.login).exchange.guard.barred():
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
