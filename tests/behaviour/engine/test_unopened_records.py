"""A stored record that cannot be opened: its provider sends nothing and uses nothing until an admin drops it."""

from pathlib import Path

import anyio
import pytest

from tests.expecting import held, present
from tests.fake_logins import ORIGIN, FakeLogin, login_server
from tests.fakes import (
    FakeFile,
    FakeGiven,
    FakeHeld,
    FakeLocal,
    FakeOnDemand,
    FakeShowingFile,
    FakeSink,
    HangingThreads,
    InlineThreads,
    MemoryState,
    Upstream,
    World,
    config,
    literal,
    provider,
)
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.records.record import Record
from tokend.engine.records.store import TokenStore
from tokend.values.errors import StoreError, TokenUnavailableError
from tokend.values.logins import Granted
from tokend.values.status import State

LOCAL = FakeLocal(secret=literal("a-fake-secret"))
WHY = "it is sealed with another key"


@pytest.mark.parametrize("settings", [FakeHeld(), LOCAL, FakeGiven(given=literal("an-initial-fake"))])
def test_nothing_is_sent_and_no_initial_token_is_used_until_an_admin_drops_the_record(settings: FakeHeld) -> None:
    """Pending, class store, for a day; readers get the reason; what the sinks hold stays."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.state.unopened["a"] = WHY
        world.disk["a-file"] = "an-older-fake-token"
        world.upstreams["two"] = Upstream(clock)
        one = provider("a", settings, FakeSink(path="a-file"))
        other = provider("b", FakeHeld(base_url="two"))
        async with world.running(one, other) as supervisor:
            await anyio.sleep(86_400)
            status = supervisor.entries["a"].status()
            assert (status.state, status.valid, status.next_attempt_at) == (State.PENDING, False, None)
            assert present(status.last_error).reason == "store"
            assert WHY in present(status.last_error).detail
            for admin in (True, False):
                with pytest.raises(TokenUnavailableError, match=WHY):
                    await supervisor.fresh("a", 60, admin=admin)
                with pytest.raises(TokenUnavailableError, match=WHY):
                    await supervisor.refresh("a", if_generation=None, reason="", admin=admin)
            assert supervisor.entries["b"].status().valid
            assert "a" not in world.state.content
            assert world.disk["a-file"] == "an-older-fake-token"
            assert world.upstreams["one"].calls == []
            assert not supervisor.ready
            await supervisor.apply(config(one, other))  # a reload changes nothing of it
            supervisor.entries["a"].secrets_changed()
            await anyio.sleep(60)
            assert "a" not in world.state.content
            await supervisor.forget("a")
            await anyio.sleep(10)
            assert supervisor.entries["a"].status().valid
            assert world.state.unopened == {}
            assert "a" in world.state.holding()

    run_virtually(main)


def test_an_on_demand_provider_issues_nothing() -> None:
    """Its refusals and the pause of its host are not known. Forgetting drops the record, and asks for nothing."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.state.unopened["o"] = WHY
        async with world.running(provider("o", FakeOnDemand())) as supervisor:
            status = supervisor.entries["o"].status()
            assert (status.state, present(status.last_error).reason) == (State.PENDING, "store")
            with pytest.raises(TokenUnavailableError, match=WHY):
                await supervisor.issue("o", {})
            await supervisor.forget("o")
            assert supervisor.entries["o"].status().state is State.ON_DEMAND
            assert supervisor.entries["o"].status().last_error is None
            await supervisor.issue("o", {})

    run_virtually(main)


def test_another_kind_and_another_name_wait_for_the_record_too() -> None:
    """A rename moves nothing, and neither record is written: that of the old name may be the login's only copy."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.state.unopened["a"] = WHY
        one = provider("a", FakeHeld(key=literal("fake-a")))
        async with world.running(one) as supervisor:
            await supervisor.apply(config(provider("a", LOCAL)))
            await supervisor.apply(config(one))
            await supervisor.apply(config(provider("c", FakeHeld(key=literal("fake-a")))))
            assert world.state.unopened.keys() == {"a", "c"}
            await anyio.sleep(3600)
            assert supervisor.entries["c"].status().state is State.PENDING
            assert world.state.content == {}
        assert world.state.unopened.keys() == {"a", "c"}

    run_virtually(main)


def test_a_record_that_opens_is_not_moved_onto_one_that_does_not() -> None:
    """It stays under its name, and what is there stays unwritten."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(key=literal("fake-a")))) as supervisor:
            await anyio.sleep(10)
            saved = dict(world.state.content)
            world.state.unopened["c"] = WHY
            await supervisor.apply(config(provider("c", FakeHeld(key=literal("fake-a")))))
            await anyio.sleep(60)
            assert supervisor.entries["c"].status().state is State.PENDING
            assert world.state.content == saved

    run_virtually(main)


def test_a_record_that_cannot_be_read_now_is_kept_where_it_may_hold_a_login() -> None:
    """A disk with an error at a start must not cost a login. The others begin with nothing, and lose a request."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        world.state.unread = {name: Path(name) for name in ("a", "b", "gone")}
        one = provider("a", FakeLogin(refresh_token=literal("fake-refresh-0")))
        async with world.running(one, provider("b", FakeHeld())) as supervisor:
            await anyio.sleep(3600)
            assert world.state.unopened.keys() == {"a"}
            assert (supervisor.entries["a"].status().state, server.refreshes) == (State.PENDING, [])
            assert supervisor.entries["b"].status().valid
            assert world.state.content.keys() == {"b"}

    run_virtually(main)


def test_a_newer_generation_in_a_target_is_noted_and_not_saved() -> None:
    """Generations never fall, also after the record was dropped."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.state.unopened["a"] = WHY
        world.shown["a-file"] = 4_000_000_000
        async with world.running(provider("a", FakeHeld(), FakeShowingFile(path="a-file"))) as supervisor:
            await anyio.sleep(60)
            assert world.state.content == {}
            await supervisor.forget("a")
            await anyio.sleep(60)
            assert present(supervisor.entries["a"].lease).generation > 4_000_000_000

    run_virtually(main)


def test_a_record_that_cannot_be_set_aside_stays_in_force() -> None:
    """A disk that is full, or hangs: the admin gets the reason, and nothing begins."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.state.unopened["a"] = WHY
        world.disk_threads = threads = HangingThreads(clock)
        async with world.running(provider("a", FakeHeld(), FakeFile(path="a-file"))) as supervisor:
            world.state.broken = True
            with pytest.raises(TokenUnavailableError, match="no space"):
                await supervisor.forget("a")
            world.state.broken, threads.hanging = False, True
            with pytest.raises(TokenUnavailableError, match="the disk hangs"):
                await supervisor.forget("a")
            threads.release()
            await anyio.sleep(60)

    run_virtually(main)


def test_a_save_wakes_who_waits_for_the_next_one() -> None:
    """A record, marks, and a record that is written again in another form."""

    async def main(clock: VirtualClock) -> None:
        state = MemoryState()
        store = TokenStore(state=state, threads=InlineThreads(), clock=clock)
        saved = store.next_save()
        await store.update("a", lambda _: Record(generation=1))
        await clock.wait(None, saved)
        saved = store.next_save()
        await store.rewrite("a")
        await clock.wait(None, saved)
        saved = store.next_save()
        await store.marks.rewrite("a")
        await clock.wait(None, saved)
        await store.rewrite("unknown")
        assert state.content.keys() == {"a"}
        state.broken = True
        await store.rewrite("a")
        assert store.unsaved() == 1

    run_virtually(main)


def test_a_login_waits_for_its_record_and_only_logout_drops_it() -> None:
    """The record may hold a refresh token that replaced the initial one: that is spent, and must not be sent. No person
    can log in meanwhile, and `forget` drops the token only."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        world.state.unopened["a"] = WHY
        async with world.running(provider("a", FakeLogin(refresh_token=literal("fake-refresh-0")))) as supervisor:
            await anyio.sleep(86_400)
            entry = held(supervisor.entries["a"])
            assert (server.refreshes, entry.status().state) == ([], State.PENDING)
            with pytest.raises(StoreError, match=WHY):
                await entry.accept_login(Granted(ORIGIN, clock.instant()), another_account=False)
            with pytest.raises(StoreError, match=WHY):
                await world.store.commit("a", lambda record: record)
            with pytest.raises(TokenUnavailableError, match="tokend logout a drops it"):
                await supervisor.forget("a")
            await anyio.sleep(60)
            assert (server.refreshes, world.state.content) == ([], {})
            await entry.log_out()
            await anyio.sleep(60)
            assert world.state.unopened == {}
            assert server.refreshes == ["fake-refresh-0"]
            assert entry.status().valid

    run_virtually(main)
