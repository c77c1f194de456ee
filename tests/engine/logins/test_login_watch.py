"""Notices to persons about logins: each once, also over restarts, and none for those who need none."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import anyio
import pytest

from tests.expecting import present
from tests.fake_logins import SERVERS, FakeLogin, LoginServer, login_server, refused
from tests.fakes import FakeHeld, InlineThreads, World, literal
from tests.virtual import VirtualClock, run_virtually, until
from tokend.config import ProviderConfig
from tokend.engine.logins.login_watch import LoginNotice, _in_words
from tokend.state.login_file import LoginFile, LoginLock
from tokend.state.sealing import Sealer
from tokend.values.logins import Granted
from tokend.values.secret import Secret

T = TypeVar("T")
DAY = 86400.0


def personal(name: str = "one") -> ProviderConfig:
    return ProviderConfig(name, FakeLogin(), ())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a login is kept that daemons share."""
    tmp_path.chmod(0o700)
    return tmp_path / "login"


def shared(path: Path, *, refresh: str | None = None) -> ProviderConfig:
    initial = None if refresh is None else literal(refresh)
    return ProviderConfig("one", FakeLogin(login_file=path, refresh_token=initial), ())


def noticed(path: Path) -> list[str]:
    """The notices that the login file knows."""
    found: list[str] = json.loads(path.read_text())["logins"]["notices"]
    return found


def number(path: Path) -> int:
    """The number of the last write of the login file."""
    found: int = json.loads(path.read_text())["number"]
    return found


def look(*worlds: World) -> None:
    """The login file has changed: as the watch of the files says."""
    for world in worlds:
        world.supervisor.login_files_changed({world.supervisor.entries["one"].settings.login_file})


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


class SlowThreads(InlineThreads):
    """A disk on which a write takes five seconds."""

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        await anyio.sleep(5)
        return call()


def test_a_login_that_is_just_being_saved_gets_no_notice_of_the_one_before() -> None:
    """Nor is it remembered that it got one: its own end comes later."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, rotates=False, life=90 * DAY)
        notices: list[LoginNotice] = []
        async with world.running(personal()) as supervisor, anyio.create_task_group() as persons:
            supervisor.logins.subscribe(notices.append)
            await until(lambda: len(notices) == 1, seconds=60)
            await log_in(world, server, life=7 * DAY)
            world.disk_threads = world.store._threads = SlowThreads()
            await clock.sleep(4 * DAY - 2)
            persons.start_soon(lambda: log_in(world, server, life=7 * DAY))
            await clock.sleep(60)
            assert len(notices) == 1
            assert world.store.get("one").login.notices == ()

    run_virtually(main)


def test_a_notice_about_a_shared_login_comes_from_one_daemon_and_once(path: Path) -> None:
    """Also over restarts, where they see nothing but the file."""

    async def main(clock: VirtualClock) -> None:
        one, other, server = World(clock), World(clock, seed=2), login_server(clock, rotates=False, life=90 * DAY)
        server.script = [refused()]
        configured = shared(path, refresh="fake-refresh-0")
        notices: list[LoginNotice] = []
        for is_again in (False, True):
            async with one.running(configured) as first, other.running(configured) as second:
                first.logins.subscribe(notices.append)
                second.logins.subscribe(notices.append)
                await clock.sleep(600)
                if not is_again:
                    assert [notice.ends_at for notice in notices] == [None]
                    await log_in(one, server, life=7 * DAY)
                    look(other)
                    await clock.sleep(3 * DAY)
                    written = number(path)
                    await clock.sleep(1 * DAY + 60)
                    assert number(path) == written + 1, "who finds that it was given writes nothing"
                look(one, other)
                await clock.sleep(600)
                assert len(notices) == 2
                assert noticed(path) == ["72h"]
            async with World(clock, seed=3).running(shared(path)) as third:
                third.logins.subscribe(notices.append)
                await clock.sleep(600)
                assert len(notices) == 2

    run_virtually(main)


@asynccontextmanager
async def logged_in(clock: VirtualClock, path: Path) -> AsyncIterator[tuple[World, list[LoginNotice]]]:
    """An engine with a login of 7 days in the file, and the notices about it."""
    world, server = World(clock), login_server(clock, rotates=False, life=90 * DAY)
    notices: list[LoginNotice] = []
    async with world.running(shared(path, refresh="fake-refresh-0")) as supervisor:
        supervisor.logins.subscribe(notices.append)
        await until(lambda: supervisor.entries["one"].status().valid, seconds=60)
        await log_in(world, server, life=7 * DAY)
        yield world, notices


def test_a_notice_comes_once_although_it_could_not_be_written_to_the_login_file(path: Path) -> None:
    """Another program holds the lock. The file has it after the next refresh."""

    async def main(clock: VirtualClock) -> None:
        async with logged_in(clock, path) as (world, notices):
            await clock.sleep(4 * DAY - 60)
            lock = LoginLock(LoginFile(path, Sealer(), ("one", "fake-client")))
            assert lock.take()
            await clock.sleep(120)
            assert len(notices) == 1
            lock.release()
            look(world)
            await clock.sleep(600)
            assert (len(notices), noticed(path)) == (1, [])
            await world.supervisor.refresh("one", if_generation=None, reason="test", admin=True)
            assert (len(notices), noticed(path)) == (1, ["72h"])

    run_virtually(main)


def test_a_notice_replaces_no_login_file_that_is_gone(path: Path) -> None:
    """Only a login does that: another daemon may have the newest refresh token."""

    async def main(clock: VirtualClock) -> None:
        async with logged_in(clock, path) as (_, notices):
            remove(path)
            await clock.sleep(5 * DAY)
            assert len(notices) == 1
            assert not exists(path)

    run_virtually(main)


def exists(path: Path) -> bool:
    return path.exists()


def remove(path: Path) -> None:
    path.unlink()


def test_that_nobody_has_logged_in_yet_is_noted_once_where_the_login_file_is_not_made(path: Path) -> None:
    """Over restarts and looks at the file, too."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, rotates=False)
        notices: list[LoginNotice] = []
        for _ in range(2):
            async with world.running(shared(path)) as supervisor:
                supervisor.logins.subscribe(notices.append)
                await clock.sleep(600)
                look(world)
                await clock.sleep(600)
                assert [notice.ends_at for notice in notices] == [None]
                assert not exists(path)
        async with world.running(shared(path)) as supervisor:
            supervisor.logins.subscribe(notices.append)
            await log_in(world, server, life=None)
            server.script = [refused(), refused()]
            await clock.sleep(3600)
            assert [notice.ends_at for notice in notices] == [None, None]  # of this login, too

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
