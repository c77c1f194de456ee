"""Notices to persons about logins: each once, also over restarts, and none for those who need none."""

import pytest

from tests.expecting import present
from tests.fake_logins import SERVERS, FakeLogin, LoginServer
from tests.fakes import FakeHeld, World
from tests.virtual import VirtualClock, run_virtually, until
from tokend.config import ProviderConfig
from tokend.engine.logins.login_watch import LoginNotice, _in_words
from tokend.values.logins import Granted
from tokend.values.secret import Secret

DAY = 86400.0


def personal(name: str = "one") -> ProviderConfig:
    return ProviderConfig(name, FakeLogin(), ())


async def log_in(world: World, server: LoginServer, *, life: float | None) -> None:
    """Let a person's login be accepted."""
    now = world.clock.instant()
    ends = None if life is None else now.after(life)
    server.valid.add("fake-person")
    granted = Granted("https://login.example:443", now, refresh_token=Secret("fake-person"), refresh_ends_at=ends)
    await world.supervisor.entries["one"].accept_login(granted, another_account=False)


def test_a_login_that_is_required_and_one_that_ends_are_noted_once_over_restarts() -> None:
    """First there is none, then one of a week; the daemon is started again in between."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), LoginServer(clock, rotates=False)
        SERVERS.append(server)
        notices: list[LoginNotice] = []
        async with world.running(personal(), ProviderConfig("other", FakeHeld(), ())) as supervisor:
            supervisor.logins.subscribe(notices.append)
            await until(lambda: bool(notices), seconds=60)
            assert (notices[0].name, notices[0].ends_at, notices[0].command) == ("one", None, "tokend login one")
            await clock.sleep(60)
        async with world.running(personal()) as supervisor:
            supervisor.logins.subscribe(notices.append)
            await clock.sleep(60)
            assert len(notices) == 1
            await log_in(world, server, life=7 * DAY)
            await clock.sleep(4 * DAY + 1)
            assert len(notices) == 2
            assert notices[1].detail.startswith("the login ends in 3 days, at 2026-01-08T")
            assert notices[1].detail.endswith(": tokend login one")
            assert present(supervisor.entries["one"].status().login).state == "ends_soon"
        async with world.running(personal()) as supervisor:
            supervisor.logins.subscribe(notices.append)
            await clock.sleep(3600)
            assert len(notices) == 2
            await clock.sleep(2 * DAY + 22 * 3600)
            words = [notice.detail.split(",")[0] for notice in notices[2:]]
            assert words == ["the login ends in 1 day", "the login ends in 6 hours", "the login ends in 1 hour"]
        SERVERS.clear()

    run_virtually(main)


def test_a_login_whose_end_each_refresh_moves_is_never_noted() -> None:
    """Nobody has to do anything."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), LoginServer(clock, login_life=7 * DAY)
        SERVERS.append(server)
        async with world.running(personal()) as supervisor:
            notices: list[LoginNotice] = []
            supervisor.logins.subscribe(notices.append)
            await until(lambda: len(notices) == 1, seconds=60)
            await log_in(world, server, life=7 * DAY)
            await clock.sleep(20 * DAY)
            assert len(server.refreshes) > 20
            assert len(notices) == 1
            assert present(supervisor.entries["one"].status().login).state == "ok"
        SERVERS.clear()

    run_virtually(main)


def test_a_provider_that_is_gone_gets_no_notice() -> None:
    """Its record is kept for the day when it is configured again."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), LoginServer(clock, rotates=False)
        SERVERS.append(server)
        notices: list[LoginNotice] = []
        async with world.running(personal()) as supervisor:
            supervisor.logins.subscribe(notices.append)
            await until(lambda: bool(notices), seconds=60)
            await log_in(world, server, life=7 * DAY)
        async with world.running(ProviderConfig("one", FakeHeld(), ())) as supervisor:
            supervisor.logins.subscribe(notices.append)
            await clock.sleep(8 * DAY)
            assert len(notices) == 1
        SERVERS.clear()

    run_virtually(main)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (14 * DAY, "14 days"),
        (DAY - 0.1, "1 day"),
        (3600.0, "1 hour"),
        (21599.9, "6 hours"),
        (90.0, "2 minutes"),
        (58.0, "less than a minute"),
    ],
)
def test_durations_are_said_in_their_largest_unit(seconds: float, words: str) -> None:
    """A notice comes a moment after its step."""
    assert _in_words(seconds) == words
