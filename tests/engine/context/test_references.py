"""References: a secret that is another provider's token is read at each attempt, and an attempt waits for it."""

from typing import Annotated, Literal

import anyio
import pytest

from tests.expecting import held, present
from tests.fakes import HOUR, FakeHeld, FakeLocal, FakeOnDemand, Upstream, World, config, provider
from tests.plugin.places import in_vault
from tests.publishing_sinks import PASSWORD
from tests.store_world import row, store_sink, world_with_store
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.context.references import referenced
from tokend.engine.supervisor import Supervisor
from tokend.plugin.field_roles import Role
from tokend.plugin.secret_source import SecretField, SecretSource
from tokend.providers.jwt import Jwt
from tokend.values.errors import RejectedError, TokenUnavailableError, TransientError
from tokend.values.status import State

OF_A = SecretSource(token="a")


def two_hosts(clock: VirtualClock, *, life: float = HOUR) -> tuple[World, Upstream, Upstream]:
    """An engine with the upstream of ``a``, whose tokens live ``life``, and that of ``b``, whose tokens live a day."""
    world = World(clock)
    world.upstreams["one"].life = life
    world.upstreams["two"] = Upstream(clock, life=24 * HOUR)
    return world, world.upstreams["one"], world.upstreams["two"]


class FakeKeyed(FakeHeld):
    """A held kind whose account is that of its key."""

    kind: Literal["fake-keyed"] = "fake-keyed"  # type: ignore[assignment]  # each kind has a name of its own
    key: Annotated[SecretField, Role.ACCOUNT]


A = provider("a", FakeHeld())
B = provider("b", FakeKeyed(base_url="two", key=OF_A))


async def renew(supervisor: Supervisor, name: str) -> None:
    await anyio.sleep(10)
    await supervisor.refresh(name, if_generation=None, reason="", admin=True)
    await anyio.sleep(1)


def test_the_first_attempt_waits_for_the_other_token_without_a_request() -> None:
    """No failure is counted and no pause grows: it is made as soon as the other token is there."""

    async def main(clock: VirtualClock) -> None:
        world, one, two = two_hosts(clock)
        one.broken = lambda now: TransientError("down")
        async with world.running(A, B) as supervisor:
            await anyio.sleep(2 * HOUR)
            status = supervisor.entries["b"].status()
            assert (status.state, status.failures, status.next_attempt_at) == (State.PENDING, 0, None)
            failure = present(status.last_error)
            assert (failure.reason, failure.detail) == ("waiting", "waits for a, which has no valid token now")
            assert two.calls == []
            assert not supervisor.entries["b"].is_settled()
            with pytest.raises(TokenUnavailableError, match="b: waits for a") as error:
                await supervisor.refresh("b", if_generation=None, reason="", admin=True)
            assert error.value.retry_at is None
            one.broken = lambda now: None
            await until(lambda: supervisor.entries["a"].lease is not None, seconds=HOUR)
            await until(lambda: supervisor.entries["b"].lease is not None, seconds=1)
            status = supervisor.entries["b"].status()
            assert (status.state, status.last_error, len(two.calls)) == (State.VALID, None, 1)

    run_virtually(main)


def test_a_renewed_token_is_no_other_account() -> None:
    """Neither a refresh nor a rename of the other provider withdraws the token or causes a request at once."""

    async def main(clock: VirtualClock) -> None:
        world, _, two = two_hosts(clock)
        async with world.running(A, B) as supervisor:
            await until(lambda: supervisor.entries["b"].lease is not None, seconds=10)
            before = supervisor.entries["b"].lease
            await renew(supervisor, "a")
            await anyio.sleep(HOUR)
            assert supervisor.entries["b"].lease is before
            assert len(two.calls) == 1
            renamed = provider("b", FakeKeyed(base_url="two", key=SecretSource(token="c")))
            await supervisor.apply(config(provider("c", FakeHeld()), renamed))
            await anyio.sleep(60)
            assert supervisor.entries["b"].lease is not None
        async with world.running(provider("c", FakeHeld()), renamed) as supervisor:
            await anyio.sleep(60)
            assert supervisor.entries["b"].lease is not None, "a restart finds the same account"

    run_virtually(main)


def test_another_account_behind_the_other_token_is_another_account_here() -> None:
    """The token held was got with the old account's; it goes when the new account's token is there."""

    async def main(clock: VirtualClock) -> None:
        world, _, two = two_hosts(clock)
        async with world.running(A, B) as supervisor:
            await until(lambda: bool(two.answered), seconds=10)
            await anyio.sleep(10)
            generation = present(supervisor.entries["b"].lease).generation
            await supervisor.apply(config(provider("a", FakeHeld(username="else")), B))
            await until(lambda: two.made == 2, seconds=60)
            await anyio.sleep(1)
            assert present(supervisor.entries["b"].lease).generation > generation

    run_virtually(main)


def test_a_kind_that_signs_here_signs_anew_with_the_newer_token() -> None:
    """As with every secret that changes: at once, without a gap, and not at all while there is none."""

    async def main(clock: VirtualClock) -> None:
        world, one, _ = two_hosts(clock)
        async with world.running(A, provider("b", FakeLocal(secret=OF_A, life=24 * HOUR))) as supervisor:
            await until(lambda: supervisor.entries["b"].lease is not None, seconds=10)
            assert "fake-token-1" in present(supervisor.entries["b"].lease).token.value.reveal()
            await renew(supervisor, "a")
            assert "fake-token-2" in present(supervisor.entries["b"].lease).token.value.reveal()
            one.broken = lambda now: TransientError("down")
            await anyio.sleep(2 * HOUR)
            assert not supervisor.entries["a"].status().valid
            assert "fake-token-2" in present(supervisor.entries["b"].lease).token.value.reveal()
            assert supervisor.entries["b"].status().state is State.VALID, "no attempt is due: nothing is wrong"

    run_virtually(main)


def test_a_refresh_that_is_due_waits_and_the_old_token_is_served() -> None:
    """The state is failing, with the reason; a restart changes nothing about that."""

    async def main(clock: VirtualClock) -> None:
        world, one, two = two_hosts(clock)
        two.life = 3 * HOUR
        async with world.running(A, B) as supervisor:
            await until(lambda: supervisor.entries["b"].lease is not None, seconds=10)
            one.broken = lambda now: TransientError("down")
            await anyio.sleep(2.9 * HOUR)
            assert (supervisor.entries["b"].status().state, len(two.calls)) == (State.FAILING, 1)
        async with world.running(A, B) as supervisor:
            await anyio.sleep(60)
            status = supervisor.entries["b"].status()
            assert (status.valid, status.state, present(status.last_error).reason) == (True, State.FAILING, "waiting")
            assert (held(supervisor.entries["b"]).was_tried(), status.next_attempt_at) == (True, None)
            await anyio.sleep(600)
            status = supervisor.entries["b"].status()
            assert (status.state, len(two.calls)) == (State.EXPIRED, 1)
            one.broken = lambda now: None
            await until(lambda: supervisor.entries["b"].status().state is State.VALID, seconds=HOUR)
            assert len(two.calls) == 2

    run_virtually(main)


def test_readers_who_wait_for_an_attempt_are_told_when_the_other_token_ends() -> None:
    """The attempt was to be made after the minimum interval; the other token is forgotten meanwhile."""

    async def main(clock: VirtualClock) -> None:
        world, one, _ = two_hosts(clock)
        async with world.running(A, B) as supervisor:
            await until(lambda: supervisor.entries["b"].lease is not None, seconds=10)
            told: list[str] = []

            async def ask() -> None:
                with pytest.raises(TokenUnavailableError) as error:
                    await supervisor.refresh("b", if_generation=None, reason="", admin=True)
                told.append(str(error.value))

            async with anyio.create_task_group() as group:
                group.start_soon(ask)
                await anyio.sleep(0.1)
                one.broken = lambda now: TransientError("down")
                await supervisor.forget("a")
                await anyio.sleep(20)
            assert told[0].startswith("b: waits for a")
            assert supervisor.entries["b"].status().failures == 0

    run_virtually(main)


def test_a_renewed_token_lets_rejected_credentials_be_tried_again() -> None:
    """The refused one was another secret."""

    async def main(clock: VirtualClock) -> None:
        world, _, two = two_hosts(clock)
        two.script = [RejectedError("401")]
        async with world.running(A, B) as supervisor:
            await until(lambda: supervisor.entries["b"].status().state is State.REJECTED, seconds=10)
            await anyio.sleep(300)
            assert len(two.calls) == 1
            await renew(supervisor, "a")
            assert (supervisor.entries["b"].status().state, len(two.calls)) == (State.VALID, 2)

    run_virtually(main)


def test_a_query_of_an_on_demand_kind_is_refused_while_the_other_token_is_missing() -> None:
    """It is the caller's to ask again: nothing is counted against the credentials."""

    async def main(clock: VirtualClock) -> None:
        world, one, two = two_hosts(clock)
        one.broken = lambda now: TransientError("down")
        async with world.running(A, provider("b", FakeOnDemand(base_url="two", key=OF_A))) as supervisor:
            with pytest.raises(TokenUnavailableError, match="b: waits for a"):
                await supervisor.issue("b", {})
            assert (two.calls, supervisor.entries["b"].status().failures) == ([], 0)
            one.broken = lambda now: None
            await until(lambda: supervisor.entries["a"].lease is not None, seconds=HOUR)
            two.script = [RejectedError("401"), RejectedError("401")]
            for _ in range(2):
                with pytest.raises(Exception, match="401"):
                    await supervisor.issue("b", {})
            assert supervisor.entries["b"].status().state is State.REJECTED
            await renew(supervisor, "a")
            assert supervisor.entries["b"].status().state is State.ON_DEMAND
            assert (await supervisor.issue("b", {})).value.reveal() == "fake-token-1"

    run_virtually(main)


def test_a_sink_waits_for_the_token_that_it_needs_as_a_secret() -> None:
    """No request, no failure; a renewed one ends the pause after a failure."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        two = world.upstreams["two"] = Upstream(clock)
        two.script = [TransientError("down"), TransientError("down"), PASSWORD]
        mine = provider("b", FakeHeld(base_url="two"))
        async with world.running(provider("a", FakeHeld(), store_sink(auth=SecretSource(token="b"))), mine) as engine:
            await anyio.sleep(3)
            assert (row(engine).state, row(engine).error) == (
                "waiting",
                "store:app: waits for b, which has no valid token now",
            )
            assert store.requests == []
            await until(lambda: engine.ready, seconds=HOUR)
            assert store.held["app"][1] == "fake-token-1"
            two.script = ["wrong-fake-password", PASSWORD]
            await renew(engine, "b")
            await renew(engine, "a")
            await anyio.sleep(1000)
            assert row(engine).state == "rejected"
            await renew(engine, "b")
            assert (row(engine).state, store.held["app"][1]) == ("ok", "fake-token-2")

    run_virtually(main)


def test_a_single_run_ends_when_the_other_provider_has_given_up() -> None:
    """Waiting longer changes nothing; a person must act."""

    async def main(clock: VirtualClock) -> None:
        world, one, _ = two_hosts(clock)
        one.script = [RejectedError("401")]
        async with world.running(A, B) as supervisor:
            await anyio.sleep(5)
            assert (supervisor.outcome(), supervisor.outcome_now()) == (4, 4)

    run_virtually(main)


def test_a_reader_that_a_reload_removes_is_not_looked_for() -> None:
    """The token that it used is renamed in the same reload, which is a change of it."""

    async def main(clock: VirtualClock) -> None:
        world, _, two = two_hosts(clock)
        async with world.running(A, B) as supervisor:
            await until(lambda: supervisor.entries["b"].lease is not None, seconds=10)
            await supervisor.apply(config(provider("c", FakeHeld())))
            await renew(supervisor, "c")
            assert [*supervisor.entries] == ["c"]
            assert len(two.calls) == 1

    run_virtually(main)


def test_a_secret_in_a_vault_needs_the_token_that_opens_it() -> None:
    """The attempt waits for it as for a secret that is a token itself."""
    opened = in_vault({"address": "https://vault.example", "auth": SecretSource(token="login")}, path="a", field="b")
    plain = in_vault({"address": "https://vault.example", "auth": SecretSource(env="TOKEN")}, path="a", field="b")
    assert referenced(Jwt(secret=opened)) == ("login",)
    assert referenced(Jwt(secret=plain)) == ()
