"""`Reconciliation`: what other secrets mean for the token that is held."""

from typing import Annotated

import anyio

from tests.expecting import held, present
from tests.fakes import FakeHeld, FakeLocal, FakeSink, World, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.plugin.field_roles import Role
from tokend.plugin.secret_source import SecretField, SecretSource
from tokend.values.errors import SecretError


class FakeKeyed(FakeHeld):
    """A kind with a secret."""

    key: Annotated[SecretField | None, Role.ACCOUNT] = None


def test_a_minted_token_follows_its_secret_at_once() -> None:
    """jwt: a changed secret re-mints; minting has no minimum interval."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"S": "old"})
        async with world.running(provider("a", FakeLocal(secret=SecretSource(env="S")), FakeSink())) as supervisor:
            await anyio.sleep(0.01)
            world.environ["S"] = "new"
            held(supervisor.entries["a"]).refresher.secrets_changed()
            await anyio.sleep(0.01)
            assert world.disk["somewhere"].startswith("minted-new")

    run_virtually(main)


def test_what_a_former_process_gave_up_counts_only_after_the_first_reconciliation() -> None:
    """Secrets that cannot be read are a reason until they were read once."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        keyed = FakeKeyed(key=SecretSource(env="KEY"))
        async with world.running(provider("a", keyed)) as supervisor:
            reconciliation = held(supervisor.entries["a"]).refresher.reconciliation
            assert (reconciliation.has_been_made, reconciliation.is_due()) == (False, True)
            await anyio.sleep(1)
            assert (reconciliation.has_been_made, reconciliation.is_due()) == (True, False)
            assert present(reconciliation.unreadable).reason == SecretError.reason
            world.environ["KEY"] = "fake-key"
            held(supervisor.entries["a"]).secrets_changed()
            assert reconciliation.is_due()
            await until(lambda: supervisor.entries["a"].status().valid, seconds=60)
            assert reconciliation.unreadable is None
            del world.environ["KEY"]
            held(supervisor.entries["a"]).secrets_changed()
            await anyio.sleep(1)
            assert reconciliation.unreadable is None, "the token is valid, and was made with a secret"

    run_virtually(main)
