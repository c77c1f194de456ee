"""The logins that a record keeps: over other tables and other initial refresh tokens, and ended by persons."""

import anyio

from tests.engine.held.with_logins import LOGIN, begun, valid
from tests.expecting import held, present
from tests.fake_logins import (
    HOUR,
    ORIGIN,
    FakeLogin,
    login_server,
    refused,
)
from tests.fakes import FakeHeld, World, config, literal, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.records.login_states import NoLogin, Ready
from tokend.values.logins import Granted
from tokend.values.secret import Secret
from tokend.values.status import State


def test_another_initial_refresh_token_replaces_the_login_and_the_same_one_never_does() -> None:
    """Also over a restart: the content counts, not the moment."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock)
        server.valid.add("fake-second")
        async with world.running(provider("a", LOGIN)) as supervisor:
            await valid(supervisor)
            held(supervisor.entries["a"]).secrets_changed()
            await anyio.sleep(10)
            assert server.refreshes == ["fake-refresh-0"]
        async with world.running(provider("a", LOGIN)) as supervisor:
            await anyio.sleep(10)
            world.environ["REFRESH"] = "fake-second"
            held(supervisor.entries["a"]).secrets_changed()
            await until(lambda: len(server.refreshes) == 2, seconds=30)
        assert server.refreshes == ["fake-refresh-0", "fake-second"]

    run_virtually(main)


def test_another_initial_refresh_token_ends_a_login_that_is_required() -> None:
    """At once; the one that was refused is not sent again."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock)
        server.script = [refused()]
        server.valid.add("fake-second")
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: supervisor.entries["a"].status().state is State.LOGIN_REQUIRED, seconds=10)
            world.environ["REFRESH"] = "fake-second"
            held(supervisor.entries["a"]).secrets_changed()
            await valid(supervisor)
        assert server.refreshes == ["fake-refresh-0", "fake-second"]

    run_virtually(main)


def test_a_login_of_another_client_is_set_aside_and_used_again_when_the_table_is_changed_back() -> None:
    """The rotated one, not the initial one that it came from."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock)
        other = FakeLogin(client_id="other", username="another")
        async with world.running(provider("a", LOGIN)) as supervisor:
            await valid(supervisor)
            await supervisor.apply(config(provider("a", other)))
            await until(lambda: supervisor.entries["a"].status().state is State.LOGIN_REQUIRED, seconds=30)
            await supervisor.apply(config(provider("a", LOGIN)))
            await valid(supervisor)
        assert server.refreshes == ["fake-refresh-0", "fake-refresh-1"]

    run_virtually(main)


def test_a_login_that_was_set_aside_is_dropped_after_thirty_days_without_a_reload() -> None:
    """The daemon may run for years."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock, life=24 * HOUR)
        server.valid.add("fake-other")
        other = FakeLogin(client_id="other", username="another", refresh_token=literal("fake-other"))
        async with world.running(provider("a", LOGIN)) as supervisor:
            await valid(supervisor)
            await supervisor.apply(config(provider("a", other)))
            await anyio.sleep(29 * 24 * HOUR)
            assert len(world.store.get("a").login.aside) == 1
            await anyio.sleep(2 * 24 * HOUR)
            assert world.store.get("a").login.aside == ()
            assert b"fake-refresh-1" not in world.state.content["a"]

    run_virtually(main)


def test_a_name_that_passes_to_another_kind_and_back_keeps_its_login() -> None:
    """A kind without logins sets it aside; a grant without one, too."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock)
        async with world.running(provider("a", LOGIN)) as supervisor:
            for between in (FakeHeld(), FakeLogin(grant="client")):
                await valid(supervisor)
                await supervisor.apply(config(provider("a", between)))
                await until(lambda: isinstance(world.store.get("a").login.state, NoLogin), seconds=30)
                kept = present(held(supervisor.entries["a"]).login).refresh_token
                assert present(kept).reveal().startswith("fake-refresh-")
                await supervisor.apply(config(provider("a", LOGIN)))
                await until(lambda: isinstance(world.store.get("a").login.state, Ready), seconds=30)
            await anyio.sleep(HOUR)
        assert server.reuses == 0

    run_virtually(main)


def test_a_logout_withdraws_the_token_and_the_initial_refresh_token_is_not_used_again() -> None:
    """The login waits for the server's confirmation, then it is dropped."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=5.0)
        settings = FakeLogin(refresh_token=literal("fake-refresh-0"))
        async with world.running(provider("a", settings)) as supervisor:
            entry = held(supervisor.entries["a"])
            await until(lambda: bool(server.refreshes), seconds=10)
            await entry.log_out()  # the answer is waited for: there is something to revoke
            assert [login.refresh_token for login in entry.logged_out] == [Secret("fake-refresh-1")]
            assert (entry.lease, entry.login) == (None, None)
            await until(lambda: entry.status().state is State.LOGIN_REQUIRED, seconds=10)
            await entry.drop_logged_out(entry.logged_out)
            assert not entry.logged_out
            assert b"fake-refresh" not in world.state.content["a"]
        async with world.running(provider("a", settings)) as supervisor:
            await anyio.sleep(HOUR)
            assert (supervisor.entries["a"].status().state, len(server.refreshes)) == (State.LOGIN_REQUIRED, 1)

    run_virtually(main)


def test_what_a_later_logout_has_ended_stays_where_an_earlier_one_drops_its_own() -> None:
    """It is still to be revoked."""

    async def main(clock: VirtualClock) -> None:
        world, _ = begun(clock)
        async with world.running(provider("a", LOGIN)) as supervisor:
            await valid(supervisor)
            entry = held(supervisor.entries["a"])
            await entry.log_out()
            ended = entry.logged_out
            later = Granted(ORIGIN, clock.instant(), refresh_token=Secret("fake-later"))
            await entry.accept_login(later, another_account=False)
            await entry.log_out()
            await entry.drop_logged_out(ended)
            assert [login.refresh_token for login in entry.logged_out] == [Secret("fake-later")]
            assert b"fake-refresh-1" not in world.state.content["a"]
            await entry.drop_logged_out(entry.logged_out)
            assert not entry.logged_out

    run_virtually(main)


def test_a_kind_without_a_login_can_be_logged_out() -> None:
    """A reload may have replaced the kind during a logout: the token is withdrawn, and nothing else happens."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("one", FakeHeld())) as supervisor:
            refresher = held(supervisor.entries["one"]).refresher
            await until(refresher.is_valid, seconds=10)
            await held(supervisor.entries["one"]).log_out()
            assert world.store.get("one").withdrawn
            await held(supervisor.entries["one"]).drop_logged_out(())
            assert world.store.get("one").login.aside == ()

    run_virtually(main)
