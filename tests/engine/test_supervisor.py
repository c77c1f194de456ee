"""The supervisor: a reload changes what changed, and nothing else."""

from dataclasses import replace
from typing import NoReturn

import anyio
import pytest

from tests.expecting import held, present
from tests.fakes import HOUR, FakeHeld, FakeLocal, FakeOnDemand, FakeSink, Upstream, World, config, literal, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.values.errors import NotSupportedError, TokenUnavailableError, TransientError, UnknownTokenError
from tokend.values.status import State


def bug(_: object) -> NoReturn:
    raise ZeroDivisionError


def test_an_untouched_provider_notices_nothing_of_a_reload() -> None:
    """No request, no write, no gap: the very same lease object and one call in all."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        stays = provider("a", FakeHeld(), FakeSink())
        async with world.running(stays, provider("b", FakeHeld(username="b"))) as supervisor:
            await anyio.sleep(10)
            lease, worker = supervisor.entries["a"].lease, held(supervisor.entries["a"]).refresher
            new = config(provider("a", FakeHeld(), FakeSink()), provider("c", FakeHeld(username="c")))
            assert list(await supervisor.apply(new)) == [
                {"name": "b", "action": "remove"},
                {"name": "c", "action": "add"},
            ]
            assert list(supervisor.plan(new)) == []
            await anyio.sleep(10)
            assert supervisor.entries["a"].lease is lease
            assert held(supervisor.entries["a"]).refresher is worker
            assert len(world.upstreams["one"].calls) == 3
            assert len(world.written) == 1

    run_virtually(main)


def test_keys_that_do_not_enter_the_request_cause_none() -> None:
    """refresh_before, on_expiry, required, headers, access, timeout: no fetch."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            changed = FakeHeld(on_expiry="remove", required=False, headers={"X-Extra": "1"})
            await supervisor.apply(config(provider("a", changed)))
            await anyio.sleep(60)
            assert len(world.upstreams["one"].calls) == 1
            assert supervisor.entries["a"].settings.headers == {"X-Extra": "1"}

    run_virtually(main)


def test_changed_request_keys_fetch_while_the_old_token_is_served() -> None:
    """A changed provider keeps serving its old token until the new settings have produced one."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(10)
            up.broken = lambda now: TransientError("down")
            await supervisor.apply(config(provider("a", FakeHeld(key=literal("other")), FakeSink())))
            await anyio.sleep(60)
            assert present(supervisor.entries["a"].lease).token.value.reveal() == "fake-token-1"
            assert supervisor.entries["a"].status().state is State.FAILING
            up.broken = lambda now: None
            await anyio.sleep(300)
            assert present(supervisor.entries["a"].lease).token.value.reveal() == "fake-token-2"

    run_virtually(main)


def test_another_account_withdraws_the_old_token_at_once() -> None:
    """It does not belong to the new account: as if it had expired with on_expiry = remove."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].broken = lambda now: TransientError("down") if clock.instant().boot > 1010 else None
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(9)
            assert world.disk
            await anyio.sleep(9)
            await supervisor.apply(config(provider("a", FakeHeld(username="another"), FakeSink())))
            await anyio.sleep(1)
            assert supervisor.entries["a"].lease is None
            assert world.disk == {}

    run_virtually(main)


def test_another_account_over_a_restart_withdraws_too() -> None:
    """The state is bound to its account."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld(), FakeSink())):
            await anyio.sleep(10)
        up.broken = lambda now: TransientError("down")
        async with world.running(provider("a", FakeHeld(username="another"), FakeSink())) as supervisor:
            await anyio.sleep(1)
            assert supervisor.entries["a"].lease is None
            assert world.disk == {}

    run_virtually(main)


def test_a_minted_token_of_another_account_is_replaced_without_a_gap() -> None:
    """Local kinds mint first; when that fails the old one is withdrawn all the same."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeLocal(secret=literal("one")), FakeSink())) as supervisor:
            await anyio.sleep(1)
            await supervisor.apply(config(provider("a", FakeLocal(secret=literal("two")), FakeSink())))
            assert world.disk
            await anyio.sleep(0.01)
            assert world.disk["somewhere"].startswith("minted-two")

    run_virtually(main)


def test_a_renamed_provider_keeps_its_token_without_a_request() -> None:
    """docs/promises.md 80."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("old", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(10)
            generation = present(supervisor.entries["old"].lease).generation
            plan = await supervisor.apply(config(provider("new", FakeHeld(), FakeSink())))
            assert list(plan) == [{"name": "new", "action": "rename"}]
            await anyio.sleep(10)
            assert present(supervisor.entries["new"].lease).generation == generation
            assert present(supervisor.entries["new"].lease).name == "new"
            assert len(world.upstreams["one"].calls) == 1
            assert world.state.holding() == {"new"}

    run_virtually(main)


def test_a_removed_providers_files_stay() -> None:
    """docs/promises.md 79."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(10)
            await supervisor.apply(config())
            await anyio.sleep(HOUR)
            assert world.disk == {"somewhere": "fake-token-1"}
            assert dict(supervisor.entries) == {}

    run_virtually(main)


def test_a_bug_in_one_provider_is_that_providers_alone() -> None:
    """docs/promises.md 70: logged, the worker restarted, nobody else touched."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        bad = Upstream(clock, latency=0)
        bad.broken = bug
        world.upstreams["bad"] = bad
        async with world.running(provider("a", FakeHeld()), provider("b", FakeHeld(base_url="bad"))) as supervisor:
            await anyio.sleep(60)
            assert supervisor.entries["a"].status().state is State.VALID
            assert 2 <= len(bad.calls) <= 13
            bad.broken = lambda now: None
            await anyio.sleep(60)
            assert supervisor.entries["b"].status().state is State.VALID

    run_virtually(main)


def test_kinds_refuse_what_is_not_theirs() -> None:
    """Held tokens are not issued, on-demand ones neither refreshed nor forgotten, unknown names unknown."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld()), provider("o", FakeOnDemand())) as supervisor:
            for call in (
                lambda: supervisor.issue("a", {}),
                lambda: supervisor.refresh("o", if_generation=None, reason="", admin=True),
                lambda: supervisor.forget("o"),
                lambda: supervisor.request_id("a"),
            ):
                with pytest.raises(NotSupportedError):
                    await call()
            with pytest.raises(UnknownTokenError):
                await supervisor.fresh("nobody", 1, admin=True)

    run_virtually(main)


def test_an_on_demand_kind_shows_nothing_that_an_earlier_daemon_held_under_its_name() -> None:
    """The table became another kind while no daemon ran: what is stored is no token of it."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            assert supervisor.entries["a"].lease is not None
        async with world.running(provider("a", FakeOnDemand())) as supervisor:
            assert supervisor.entries["a"].lease is None
            status = supervisor.entries["a"].status()
            assert (status.state, status.generation, status.fingerprint) == (State.ON_DEMAND, None, None)

    run_virtually(main)


def test_a_daemon_that_goes_on_without_a_required_provider_is_not_ready() -> None:
    """Its kind could not be loaded at the start; the next configuration has it."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            assert supervisor.ready
            await supervisor.apply(replace(config(provider("a", FakeHeld())), left_out=frozenset({"b"})))
            assert (supervisor.ready, supervisor.outcome()) == (False, 7)
            await supervisor.apply(config(provider("a", FakeHeld())))
            assert (supervisor.ready, supervisor.outcome()) == (True, 0)

    run_virtually(main)


def test_a_provider_from_an_unsafe_file_makes_no_attempt_until_the_file_is_safe() -> None:
    """Somebody else may have written its settings: nothing of it is asked for, held or on demand; both say why."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        safe = provider("held", FakeHeld(key=literal("fake"))), provider("asked", FakeOnDemand())
        unsafe = [replace(one, unsafe="every user may write to conf.d") for one in safe]
        async with world.running(*unsafe) as supervisor:
            await anyio.sleep(HOUR)
            assert world.upstreams["one"].calls == []
            for name, state in (("held", State.PENDING), ("asked", State.ON_DEMAND)):
                status = supervisor.entries[name].status()
                error = present(status.last_error)
                assert (status.state, error.reason) == (state, "unsafe_path")
                assert error.detail == "every user may write to conf.d"
            with pytest.raises(TokenUnavailableError, match="every user may write"):
                await supervisor.issue("asked", {})
            await supervisor.apply(config(*safe))
            await anyio.sleep(6)
            assert supervisor.entries["held"].status().state is State.VALID
            assert supervisor.entries["asked"].status().last_error is None
            await supervisor.issue("asked", {})
            # At a reload the file is an error: only a start meets it, with the token of the state.
        async with world.running(*unsafe) as supervisor:
            await anyio.sleep(1)
            status = supervisor.entries["held"].status()
            assert (status.state, status.valid, present(status.last_error).reason) == (
                State.FAILING,
                True,
                "unsafe_path",
            )

    run_virtually(main)
