"""`Refresher`: logins over reloads, restarts, new secrets and other tables; and what readers and admins may cause."""

import anyio
import pytest

from tests.engine.held.with_logins import INITIAL, LOGIN, begun, valid
from tests.expecting import present
from tests.fake_logins import (
    HOUR,
    FakeLogin,
    client_refused,
    lost,
    refused,
)
from tests.fakes import FakeHeld, config, literal, provider
from tests.httpd.served import logged
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.logins.login_watch import LoginNotice
from tokend.engine.records.login_states import Lost, Required
from tokend.values.errors import LoginRequiredError, ThrottledError
from tokend.values.secret import Secret
from tokend.values.status import State


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


def test_where_nobody_can_log_in_nobody_is_told_to() -> None:
    """Status, readers, notices and the log name the place of the refresh token."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock)
        server.valid.clear()
        notices: list[LoginNotice] = []
        remedy = "put a newer refresh token into refresh_token (environment variable REFRESH)"
        with logged() as lines:
            async with world.running(provider("a", FakeLogin(refresh_token=INITIAL, flows=()))) as supervisor:
                supervisor.logins.subscribe(notices.append)
                await until(lambda: bool(notices), seconds=HOUR)
                with pytest.raises(LoginRequiredError) as caught:
                    await supervisor.fresh("a", 0, admin=False)
                assert caught.value.detail == remedy
                with pytest.raises(LoginRequiredError) as caught:
                    await supervisor.refresh("a", if_generation=None, reason="", admin=True)
                assert caught.value.detail == remedy
                assert supervisor.entries["a"].status().state is State.LOGIN_REQUIRED
        assert (notices[0].command, notices[0].detail) == (None, f"only a person can bring another token: {remedy}")
        assert {one["advice"] for one in lines if one.get("advice")} == {remedy}

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


def test_a_thousand_readers_cause_one_request_at_a_time() -> None:
    """They wait for the one under way."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock, latency=5.0)
        async with world.running(provider("a", LOGIN)) as supervisor, anyio.create_task_group() as readers:
            for _ in range(1000):
                readers.start_soon(lambda: supervisor.fresh("a", 0, admin=False))
        assert (server.most_busy, len(server.refreshes)) == (1, 1)

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
