"""On-demand providers behind the interface: what they refuse, and what they never hold."""

from pathlib import Path

import anyio
import pytest

from tests.fakes import FakeHeld, FakeOnDemand, FakeSink, World, config, literal, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.plugin.secret_source import SecretSource
from tokend.values.errors import LoginRequiredError, NotSupportedError, ReaderError, RejectedError
from tokend.values.status import State


def test_nothing_is_held_refreshed_or_forgotten() -> None:
    """The message names the way that works."""

    async def main(clock: VirtualClock) -> None:
        async with World(clock).running(provider("o", FakeOnDemand())) as supervisor:
            assert supervisor.entries["o"].is_on_demand
            with pytest.raises(NotSupportedError, match="POST /v1/tokens/o/issue"):
                await supervisor.fresh("o", 60, admin=True)
            with pytest.raises(NotSupportedError, match="POST /v1/tokens/o/issue"):
                await supervisor.refresh("o", if_generation=None, reason="", admin=True)
            with pytest.raises(NotSupportedError, match="there is nothing to forget"):
                await supervisor.forget("o")

    run_virtually(main)


def test_a_token_that_a_held_kind_left_under_the_name_is_not_shown() -> None:
    """The kind was changed while the daemon was stopped."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("o", FakeHeld())):
            await anyio.sleep(10)
        async with world.running(provider("o", FakeOnDemand())) as supervisor:
            assert world.store.get("o").lease is not None
            assert supervisor.entries["o"].lease is None
            status = supervisor.entries["o"].status()
            assert (status.valid, status.generation, status.required) == (False, None, False)

    run_virtually(main)


def test_rejected_credentials_keep_no_single_run_and_no_readiness_waiting() -> None:
    """Nothing is fetched ahead of time: there is nothing to wait for."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].script = [RejectedError("401")] * 2
        async with world.running(provider("o", FakeOnDemand(key=literal("wrong")))) as supervisor:
            entry = supervisor.entries["o"]
            assert not entry.has_given_up()
            for _ in range(2):
                with pytest.raises(ReaderError):
                    await supervisor.issue("o", {})
            assert entry.has_given_up()
            assert entry.is_settled()
            assert supervisor.ready
            assert supervisor.outcome() == 0

    run_virtually(main)


def test_a_secret_that_changed_while_the_daemon_was_stopped_ends_the_rejection() -> None:
    """It is reconsidered at the start; the same secret stays rejected."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"KEY": "wrong"})
        configured = provider("o", FakeOnDemand(key=SecretSource(env="KEY")))
        world.upstreams["one"].script = [RejectedError("401")] * 2
        async with world.running(configured) as supervisor:
            for _ in range(2):
                with pytest.raises(ReaderError):
                    await supervisor.issue("o", {})
        async with world.running(configured) as supervisor:
            await anyio.sleep(1)
            with pytest.raises(LoginRequiredError):
                await supervisor.issue("o", {})
        world.environ["KEY"] = "right"
        async with world.running(configured) as supervisor:
            await anyio.sleep(1)
            assert (await supervisor.issue("o", {})).value.reveal()

    run_virtually(main)


def test_settings_that_are_equal_reconsider_nothing() -> None:
    """A change of the sinks alone is none of the issuer's."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("o", FakeOnDemand())) as supervisor:
            entry = supervisor.entries["o"]
            changed = provider("o", FakeOnDemand(), FakeSink(path="file"))
            assert list(await supervisor.apply(config(changed))) == [{"name": "o", "action": "change"}]
            assert supervisor.entries["o"] is entry
            assert [sink.path for sink in entry.status().sinks] == ["file"]

    run_virtually(main)


def test_a_secret_file_that_changes_ends_the_rejection_without_a_query(tmp_path: Path) -> None:
    """Status shows it at once; another file's change is none of its."""
    secret = tmp_path / "key"
    secret.write_text("wrong")
    secret.chmod(0o600)

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].script = [RejectedError("401")] * 2
        async with world.running(provider("o", FakeOnDemand(key=SecretSource(file=secret)))) as supervisor:
            for _ in range(2):
                with pytest.raises(ReaderError):
                    await supervisor.issue("o", {})
            secret.write_text("right")
            supervisor.secrets_changed({tmp_path / "another"})
            await anyio.sleep(1)
            assert supervisor.entries["o"].is_rejected
            supervisor.secrets_changed({secret})
            await anyio.sleep(1)
            assert not supervisor.entries["o"].is_rejected
            assert supervisor.entries["o"].status().state is State.ON_DEMAND

    run_virtually(main)
