"""Reloads of a running provider: its account, its way to the upstream, its lead, its kind, its sinks."""

from pathlib import Path
from typing import Annotated, Any

import anyio
import pytest

from tests.expecting import held, present
from tests.fakes import HOUR, FakeHeld, FakeLocal, FakeOnDemand, FakeRuntime, FakeSink, World, config, literal, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.engine import running_provider
from tokend.machine.clock import Clock
from tokend.plugin.field_roles import Role
from tokend.plugin.secret_source import SecretField, SecretSource
from tokend.plugin.settings import HeldSettings, OnDemandSettings, ProviderSettings
from tokend.plugin.settings_base import parse_duration
from tokend.values.errors import RejectedError, TokenUnavailableError, TransientError
from tokend.values.status import State
from tokend.values.tokens import Token

DOWN, NO = TransientError("down"), RejectedError("no")


def test_another_refresh_before_moves_the_moment_and_asks_nothing() -> None:
    """Lead: refresh_before; only keys that enter the request cause a fetch. The jitter stays the token's own."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            before = supervisor.entries["a"].lease
            await supervisor.apply(config(provider("a", FakeHeld(refresh_before=parse_duration("5h")))))
            await anyio.sleep(10)
            after = supervisor.entries["a"].lease
            assert present(present(after).refresh_at).until(present(present(before).refresh_at)) == pytest.approx(
                5 * HOUR - 0.2 * 12 * HOUR, abs=1
            )
            assert present(after).generation == present(before).generation
            assert len(world.upstreams["one"].calls) == 1
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            assert present(present(supervisor.entries["a"].lease).refresh_at).boot == pytest.approx(
                present(present(before).refresh_at).boot
            )
            assert len(world.upstreams["one"].calls) == 1

    run_virtually(main)


@pytest.mark.parametrize("life", [30 * 24 * HOUR, None], ids=["a month", "no end"])
def test_a_token_is_replaced_at_max_age_whatever_its_life(life: float | None) -> None:
    """Set, changed and taken away by reloads and restarts, without a request; every age is counted from the issue."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.life = life
        daily = provider("a", FakeHeld(max_age=parse_duration("24h")))
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(20 * HOUR)
            assert len(up.calls) == 1
            await supervisor.apply(config(daily))
            await anyio.sleep(1)
            due = present(present(supervisor.entries["a"].lease).refresh_at)
            assert 22.8 * HOUR <= present(supervisor.entries["a"].lease).token.issued_at.until(due) <= 24 * HOUR
        async with world.running(daily) as supervisor:
            assert present(supervisor.entries["a"].lease).refresh_at == due
            await anyio.sleep(10 * 24 * HOUR)
            assert 10 <= len(up.calls) <= 12
            await supervisor.apply(config(provider("a", FakeHeld(max_age=parse_duration("1s")))))
            await anyio.sleep(60)
            assert 20 <= len(up.calls) <= 73
            asked = len(up.calls)
            await supervisor.apply(config(provider("a", FakeHeld())))
            await anyio.sleep(5 * 24 * HOUR)
            assert len(up.calls) == asked
            assert (present(supervisor.entries["a"].lease).refresh_at is None) == (life is None)

    run_virtually(main)


def test_a_minted_token_is_replaced_at_max_age_too() -> None:
    """Kinds that sign here have no minimum interval: one per second at most."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        settings = FakeLocal(secret=literal("fake-key"), max_age=parse_duration("1s"))
        async with world.running(provider("a", settings, FakeSink())):
            await anyio.sleep(60)
            assert 55 <= len(world.written) <= 70
        with pytest.raises(ValueError, match="once per second at most"):
            FakeHeld(max_age=parse_duration("999ms"))

    run_virtually(main)


def test_the_old_accounts_token_is_withdrawn_also_while_a_request_for_it_hangs() -> None:
    """It does not belong to the new account, and what the hanging request brings is dropped."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(10)
            up.latency = 20
            async with anyio.create_task_group() as tasks:

                async def ask() -> None:
                    with pytest.raises(TokenUnavailableError, match="account was changed"):
                        await supervisor.refresh("a", if_generation=None, reason="", admin=True)

                tasks.start_soon(ask)
                await anyio.sleep(1)
                await supervisor.apply(config(provider("a", FakeHeld(username="another"), FakeSink())))
                await anyio.sleep(0.1)
                assert supervisor.entries["a"].lease is None
                assert world.disk == {}
            await anyio.sleep(60)
            assert world.written == [("somewhere", "fake-token-1"), ("somewhere", "fake-token-3")]

    run_virtually(main)


def test_settings_that_change_during_a_request_keep_its_token_where_the_account_is_the_same() -> None:
    """A token of the right account is a token; the new settings ask once more."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.latency = 5
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(4)
            await supervisor.apply(config(provider("a", FakeHeld(key=literal("new")))))
            await anyio.sleep(3)
            assert present(supervisor.entries["a"].lease).token.value.reveal() == "fake-token-1"
            await anyio.sleep(20)
            assert present(supervisor.entries["a"].lease).token.value.reveal() == "fake-token-2"
            assert len(up.calls) == 2

    run_virtually(main)


def test_a_secret_that_makes_another_account_withdraws_the_token_when_it_is_read() -> None:
    """tt: the key is the account. A content that changed is seen by its fingerprint."""

    class Keyed(FakeHeld):
        key: Annotated[SecretField | None, Role.ACCOUNT] = None

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"KEY": "one"})
        up = world.upstreams["one"]
        settings = Keyed(key=SecretSource(env="KEY"))
        async with world.running(provider("a", settings, FakeSink())) as supervisor:
            await anyio.sleep(10)
            up.latency = 20  # whatever the next request comes to, it has not come to it yet
            world.environ["KEY"] = "two"
            held(supervisor.entries["a"]).refresher.secrets_changed()
            await anyio.sleep(1)
            assert (supervisor.entries["a"].lease, world.disk) == (None, {})

    run_virtually(main)


@pytest.mark.parametrize(("error", "state"), [(DOWN, State.PENDING), (NO, State.REJECTED)])
def test_another_way_to_the_upstream_is_tried_at_once(error: RejectedError | TransientError, state: State) -> None:
    """A proxy, a certificate, a timeout may be what was missing: nobody waits for the backoff, which begins again."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.broken = lambda now: error
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(2 * HOUR)
            assert supervisor.entries["a"].status().state is state
            before = len(up.calls)
            await supervisor.apply(config(provider("a", FakeHeld(timeout=parse_duration("9s")))))
            await anyio.sleep(20)
            assert len(up.calls) == before + (1 if error is NO else 3)
            assert supervisor.entries["a"].status().state is state
            before = len(up.calls) - 1
            up.broken = lambda now: None
            await supervisor.apply(config(provider("a", FakeHeld(timeout=parse_duration("8s")))))
            await anyio.sleep(6)
            assert supervisor.entries["a"].status().state is State.VALID
            await supervisor.apply(config(provider("a", FakeHeld(timeout=parse_duration("7s")))))
            await anyio.sleep(60)
            assert len(up.calls) == before + 2

    run_virtually(main)


def test_a_minted_token_is_withdrawn_when_its_successor_cannot_be_made() -> None:
    """The account changed: as soon as minting fails, the gap is due; an unreadable secret alone changes nothing."""

    class Refusing(FakeLocal):
        async def fetch(self, runtime: FakeRuntime, previous: Token | None) -> Token:
            if (await runtime.reveal(self.secret)).reveal() == "bad":
                raise TransientError("not a key")
            return await FakeLocal.fetch(self, runtime, previous)

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"S": "good"})
        settings = Refusing(secret=SecretSource(env="S"))
        async with world.running(provider("a", settings, FakeSink())) as supervisor:
            await anyio.sleep(1)
            world.environ["S"] = ""
            held(supervisor.entries["a"]).refresher.secrets_changed()
            await anyio.sleep(1)
            assert supervisor.entries["a"].status().valid
            world.environ["S"] = "bad"
            held(supervisor.entries["a"]).refresher.secrets_changed()
            await anyio.sleep(1)
            assert (supervisor.entries["a"].lease, world.disk) == (None, {})

    run_virtually(main)


def test_secret_files_wake_those_who_read_them_and_nobody_else(tmp_path: Path) -> None:
    """The files are watched: jwt is minted at once, rejected providers wake, others use it at their next refresh."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        one, other = tmp_path / "one", tmp_path / "other"
        one.write_text("old")
        other.write_text("old")
        providers = [
            provider("minted", FakeLocal(secret=SecretSource(file=one)), FakeSink(path="minted")),
            provider("held", FakeHeld(key=SecretSource(file=one))),
            provider("demand", FakeOnDemand(key=SecretSource(file=one))),
            provider("apart", FakeLocal(secret=SecretSource(file=other)), FakeSink(path="apart")),
        ]
        async with world.running(*providers) as supervisor:
            await anyio.sleep(10)
            up.script = [NO, NO]
            for _ in range(2):
                with pytest.raises(Exception, match="no"):
                    await supervisor.issue("demand", {})
            one.write_text("new")
            other.write_text("new")
            calls = len(up.calls)
            supervisor.secrets_changed({one})
            await anyio.sleep(0.05)
            assert world.disk["minted"].startswith("minted-new")
            assert world.disk["apart"].startswith("minted-old")
            assert supervisor.entries["demand"].status().state is State.ON_DEMAND
            await anyio.sleep(60)
            assert len(up.calls) == calls

    run_virtually(main)


def test_a_name_that_passes_to_another_kind_keeps_nothing_but_its_generations() -> None:
    """Nothing of the old one is the new one's, not for a moment: neither a reader nor a file sees it."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(10)
            generation = present(supervisor.entries["a"].lease).generation
            await supervisor.apply(config(provider("a", FakeLocal(secret=literal("s")), FakeSink(path="new"))))
            assert supervisor.entries["a"].lease is None
            await anyio.sleep(10)
            assert present(supervisor.entries["a"].lease).generation > generation
            assert [content[:6] for path, content in world.written if path == "new"] == ["minted"]
            await supervisor.apply(config(provider("a", FakeOnDemand())))
            assert supervisor.entries["a"].lease is None
            assert b"minted-" not in world.state.content["a"]

    run_virtually(main)


def test_a_provider_renamed_while_nobody_looked_keeps_its_token() -> None:
    """docs/promises.md 80, over a restart: the settings are the same, only the name is not."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("old", FakeHeld()), provider("else", FakeHeld(username="else"))):
            await anyio.sleep(10)
        async with world.running(
            provider("new", FakeHeld()), provider("else", FakeHeld(username="else"))
        ) as supervisor:
            await anyio.sleep(60)
            assert present(supervisor.entries["new"].lease).token.value.reveal() == "fake-token-1"
            assert world.state.holding() == {"new", "else"}
            assert len(world.upstreams["one"].calls) == 2

    run_virtually(main)


def test_a_settings_class_that_is_neither_held_nor_on_demand_is_refused() -> None:
    """A plugin's mistake, said in words."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running():
            with pytest.raises(TypeError, match="neither held nor on demand"):
                unused: Any = None
                running_provider.make(provider("a", ProviderSettings(kind="odd")), world.context, sinks=unused)

    run_virtually(main)


def test_a_held_kind_without_fetch_and_an_on_demand_kind_without_issue_are_bugs_that_are_shown() -> None:
    """A plugin's mistake stays its own."""

    class NoFetch(HeldSettings):
        kind: str = "no-fetch"

    class NoIssue(OnDemandSettings):
        kind: str = "no-issue"

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", NoFetch()), provider("o", NoIssue())) as supervisor:
            await anyio.sleep(10)
            assert present(supervisor.entries["a"].status().last_error).reason == "internal"
            with pytest.raises(TypeError, match="no Issuer"):
                await supervisor.issue("o", {})

    run_virtually(main)


def test_the_engine_answers_what_the_socket_asks() -> None:
    """interfaces.Engine: clock, counters, reload, subscribe, outcome of a single run."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        told: list[str] = []
        async with world.running(provider("a", FakeHeld()), provider("o", FakeOnDemand())) as supervisor:
            is_clock: Clock = supervisor.clock
            assert is_clock is clock
            leave = supervisor.subscribe(told.append)
            assert supervisor.outcome() is None
            await anyio.sleep(10)
            assert supervisor.outcome() == 0
            assert supervisor.counters.refreshes["a", "success"] == 1
            planned = await supervisor.reload(dry_run=True, path=Path("/other.toml"))
            assert planned.plan == [{"name": "/other.toml", "action": "dry"}]
            assert "a" in told
            leave()
            await supervisor.forget("a")
            await anyio.sleep(10)
            up.broken = lambda now: NO
            await supervisor.apply(config(provider("b", FakeHeld(username="b"))))
            await anyio.sleep(10)
            assert supervisor.outcome() == 4
            up.broken = lambda now: DOWN
            await supervisor.apply(config(provider("c", FakeHeld(username="c"))))
            await anyio.sleep(10)
            assert (supervisor.outcome(), supervisor.outcome_now()) == (None, 7)

    run_virtually(main)
