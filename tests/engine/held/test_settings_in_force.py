"""`SettingsInForce`: what follows from settings, and what a reload during an attempt means."""

import pytest

from tests.fake_logins import FakeLogin
from tests.fakes import FakeGiven, FakeHeld, World, minutes
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.held.remembering_runtime import RecordRuntime
from tokend.engine.held.settings_in_force import SettingsInForce
from tokend.plugin.secret_source import SecretSource
from tokend.values.errors import TransientError


def test_a_token_of_an_account_that_a_reload_has_replaced_is_refused() -> None:
    """Other settings of the same account do no harm."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running():
            old = FakeHeld(username="one")
            in_force = SettingsInForce("a", old, world.context)
            identity = await in_force.identify()
            await in_force.refuse_stale(old, identity)
            in_force.replace(FakeHeld(username="one", refresh_before=minutes(10)))
            await in_force.refuse_stale(old, identity)
            in_force.replace(FakeHeld(username="another"))
            with pytest.raises(TransientError, match="the account was changed"):
                await in_force.refuse_stale(old, identity)

    run_virtually(main)


def test_only_a_kind_that_may_use_a_login_keeps_documents_in_its_record() -> None:
    """The others have the plain runtime."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running():
            kinds = FakeHeld(), FakeLogin(), FakeLogin(grant="client")
            found = [isinstance(SettingsInForce("a", one, world.context).runtime, RecordRuntime) for one in kinds]
            assert found == [False, True, True]

    run_virtually(main)


def test_a_given_token_is_renewable_where_the_settings_have_credentials() -> None:
    """So is every token of a kind that takes no given one."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running():
            given = SecretSource(env="GIVEN")
            kinds = FakeHeld(), FakeGiven(given=given), FakeGiven(given=given, renewable=False)
            assert [SettingsInForce("a", one, world.context).renewable for one in kinds] == [True, True, False]

    run_virtually(main)
