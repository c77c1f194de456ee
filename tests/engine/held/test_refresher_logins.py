"""`Refresher`: logins over reloads, restarts, new secrets and other tables; and what readers and admins may cause."""

from dataclasses import replace

import anyio
import pytest

from tests.expecting import held, present
from tests.fake_logins import (
    HOUR,
    FakeLogin,
    LoginServer,
    client_refused,
    login_server,
    lost,
    refused,
    undecided,
)
from tests.fakes import FakeHeld, World, config, literal, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.records.login_states import Lost, NoLogin, Ready, Required
from tokend.engine.supervisor import Supervisor
from tokend.plugin.secret_source import SecretSource
from tokend.values.errors import LoginRequiredError, ThrottledError
from tokend.values.secret import Secret
from tokend.values.status import State

INITIAL = SecretSource(env="REFRESH")
LOGIN = FakeLogin(refresh_token=INITIAL)


def begun(clock: VirtualClock, **keys: object) -> tuple[World, LoginServer]:
    """An engine whose initial refresh token is one that the server knows."""
    return World(clock, environ={"REFRESH": "fake-refresh-0"}), login_server(clock, **keys)


async def valid(supervisor: Supervisor, name: str = "a") -> None:
    await until(lambda: supervisor.entries[name].status().valid, seconds=60)


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
                assert (
                    present(present(held(supervisor.entries["a"]).login).refresh_token)
                    .reveal()
                    .startswith("fake-refresh-")
                )
                await supervisor.apply(config(provider("a", LOGIN)))
                await until(lambda: isinstance(world.store.get("a").login.state, Ready), seconds=30)
            await anyio.sleep(HOUR)
        assert server.reuses == 0

    run_virtually(main)


def test_a_provider_that_is_renamed_keeps_its_login_and_forget_drops_the_token_only() -> None:
    """A new token comes by a refresh."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock)
        async with world.running(provider("a", LOGIN)) as supervisor:
            await valid(supervisor)
            await supervisor.apply(config(provider("b", LOGIN)))
            await valid(supervisor, "b")
            assert world.store.get("a").login.login is None
            await supervisor.forget("b")
            await until(lambda: len(server.refreshes) == 2, seconds=30)
        assert server.refreshes == ["fake-refresh-0", "fake-refresh-1"]

    run_virtually(main)


def test_the_old_token_is_served_to_its_end_when_a_login_is_required() -> None:
    """Readers who want a fresher one get the command; then all do, and readers cause nothing."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock)
        async with world.running(provider("a", LOGIN)) as supervisor:
            await valid(supervisor)
            server.valid.clear()
            await until(lambda: supervisor.entries["a"].status().state is State.LOGIN_REQUIRED, seconds=HOUR)
            asked = len(server.refreshes)
            assert supervisor.entries["a"].status().valid
            assert (await supervisor.fresh("a", 0, admin=False)).token.value == Secret("fake-token-1")
            with pytest.raises(Exception, match="a person has to log in"):
                await supervisor.fresh("a", 3000, admin=False)
            await anyio.sleep(HOUR)
            for program in ("if_generation", None):
                with pytest.raises(LoginRequiredError, match=r"^tokend login a$"):
                    newest = present(supervisor.entries["a"].lease).generation if program else None
                    await supervisor.refresh("a", if_generation=newest, reason="", admin=program is not None)
            assert len(server.refreshes) == asked

    run_virtually(main)


def test_readers_do_not_hasten_a_repeat_and_an_admin_does() -> None:
    """After a lost answer each repeat may count as reuse."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock)
        server.script = [lost(), lost(), lost()]
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: len(server.refreshes) == 3, seconds=HOUR)
            await until(lambda: isinstance(world.store.get("a").login.state, Lost), seconds=10)
            with pytest.raises(ThrottledError, match="the answer to a refresh was lost"):
                await supervisor.fresh("a", 0, admin=False)
            assert len(server.refreshes) == 3
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            assert supervisor.entries["a"].status().valid
            assert len(server.probes) == 3

    run_virtually(main)


def test_a_client_that_is_refused_is_rejected_and_its_login_stays() -> None:
    """Corrected there, and an admin's refresh goes on with the same refresh token."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock)
        server.script = [client_refused(), client_refused()]
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: supervisor.entries["a"].status().state is State.REJECTED, seconds=60)
            server.script = []
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
        assert set(server.refreshes) == {"fake-refresh-0"}

    run_virtually(main)


def test_a_refresh_is_due_where_the_refresh_token_ends_before_the_token() -> None:
    """A fifth of its life before its end."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock, life=10 * HOUR, login_life=HOUR)
        async with world.running(provider("a", LOGIN)) as supervisor:
            await valid(supervisor)
            await anyio.sleep(4 * HOUR)
            gaps = [later - earlier for earlier, later in zip(server.at, server.at[1:], strict=False)]
            assert len(gaps) >= 4
            assert all(abs(gap - 0.8 * HOUR) < 60 for gap in gaps)

    run_virtually(main)


def test_an_end_that_refreshes_do_not_move_is_no_loop() -> None:
    """One refresh for it, then those of the token."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock, life=10 * HOUR, rotates=False)
        ends = clock.instant().after(5 * HOUR)
        server.script = [lambda granted: replace(granted, refresh_ends_at=ends)] * 10
        async with world.running(provider("a", LOGIN)) as supervisor:
            await valid(supervisor)
            await anyio.sleep(5 * HOUR)
            assert len(server.refreshes) == 2

    run_virtually(main)


def test_a_thousand_readers_cause_one_request_at_a_time() -> None:
    """They wait for the one under way."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock, latency=5.0)
        async with world.running(provider("a", LOGIN)) as supervisor, anyio.create_task_group() as readers:
            for _ in range(1000):
                readers.start_soon(lambda: supervisor.fresh("a", 0, admin=False))
        assert (server.most_busy, len(server.refreshes)) == (1, 1)

    run_virtually(main)


def test_the_repeats_keep_their_times_however_long_the_outage_before_them_was() -> None:
    """1, 5 and 15 minutes, then hourly, also where the backoff would be longer."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock)
        server.script = [*[undecided() for _ in range(12)], *[lost() for _ in range(5)]]
        async with world.running(provider("a", LOGIN)):
            await until(lambda: len(server.refreshes) == 17, seconds=8 * HOUR)
        gaps = [round(later - earlier) // 5 * 5 for earlier, later in zip(server.at[12:], server.at[13:], strict=False)]
        assert gaps == [5, 60, 300, 900]

    run_virtually(main)


def test_the_end_of_the_daemon_waits_for_every_exchange_and_then_cuts_it() -> None:
    """What is cut counts as lost."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock, latency=20.0)
        other = FakeLogin(username="another", client_id="other", refresh_token=literal("fake-other"))
        server.valid.add("fake-other")
        async with world.running(provider("a", LOGIN), provider("b", other), provider("c", FakeHeld())) as supervisor:
            await until(lambda: len(server.refreshes) == 2, seconds=10)
            waits = supervisor.exchanges_under_way()
            assert [(one.host, one.timeout_seconds) for one in waits] == [("one", 30.0)] * 2
            with anyio.move_on_after(5):
                await supervisor.finish()
            assert len(supervisor.exchanges_under_way()) == 2
            await supervisor.finish()
            assert supervisor.exchanges_under_way() == []
            for one in waits:
                one.break_off()  # too late: nothing is cut
            await valid(supervisor)
            await valid(supervisor, "b")

    run_virtually(main)


def test_a_login_that_was_refused_is_found_again_after_a_restart() -> None:
    """No request is made for it."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock)
        server.script = [refused()]
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: supervisor.entries["a"].status().state is State.LOGIN_REQUIRED, seconds=10)
        world.state.boot_id = "boot-2"
        async with world.running(provider("a", LOGIN)) as supervisor:
            await anyio.sleep(HOUR)
            assert supervisor.entries["a"].status().state is State.LOGIN_REQUIRED
            assert isinstance(world.store.get("a").login.state, Required)
        assert len(server.refreshes) == 1

    run_virtually(main)
