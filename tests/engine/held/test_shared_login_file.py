"""A login in a file that daemons share: one exchange at a time, and what others have got needs no request."""

import base64
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import anyio
import pytest

from tests.expecting import held, present
from tests.fake_logins import HOUR, FakeLogin, LoginServer, login_server, lost, refused
from tests.fakes import FakeHeld, InlineThreads, World, literal, provider
from tests.httpd.served import logged
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.held.shared_login_file import SharedLoginFile
from tokend.engine.logins.logout import Logout
from tokend.engine.records.login_states import Lost, Ready, Required
from tokend.plugin.secret_source import SecretSource
from tokend.state.login_file import LoginFile, LoginLock
from tokend.state.sealing import Sealer, StateKey
from tokend.values.errors import StoreError, TokenUnavailableError
from tokend.values.logins import Granted
from tokend.values.secret import Secret
from tokend.values.status import State
from tokend.values.tokens import Token

T = TypeVar("T")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the login is kept."""
    tmp_path.chmod(0o700)
    return tmp_path / "login"


def shared(path: Path, **keys: Any) -> FakeLogin:
    return FakeLogin(login_file=path, refresh_token=literal("fake-refresh-0"), **keys)


def content(path: Path) -> Any:
    return json.loads(path.read_text())


def raw(path: Path) -> bytes:
    return path.read_bytes()


def exists(path: Path) -> bool:
    return path.exists()


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def put(path: Path, good: bytes) -> None:
    """A whole file again, in a directory that nobody else may use."""
    path.parent.chmod(0o700)
    path.unlink()
    path.write_bytes(good)
    path.chmod(0o600)


def remove(path: Path) -> None:
    path.unlink()


def state_in(path: Path) -> str:
    found: str = content(path)["logins"]["state"]["is"]
    return found


def value(world: World, name: str = "a") -> str | None:
    lease = world.supervisor.entries[name].lease
    return None if lease is None else lease.token.value.reveal()


def look(*worlds: World) -> None:
    """The file has changed: as the watch of the files says."""
    for world in worlds:
        world.supervisor.login_files_changed({world.supervisor.entries["a"].settings.login_file})


@asynccontextmanager
async def two(clock: VirtualClock, path: Path, **keys: Any) -> AsyncIterator[tuple[World, World, LoginServer]]:
    """Two daemons on one file, each with a valid token."""
    one, other, server = World(clock), World(clock, seed=2), login_server(clock, **keys)
    async with one.running(provider("a", shared(path))), other.running(provider("a", shared(path))):
        await until(lambda: value(one) is not None and value(other) is not None, seconds=60)
        yield one, other, server


def test_daemons_take_turns_and_use_what_the_other_has_got(path: Path) -> None:
    """One request at a time, each refresh token once, and one request for both."""

    async def main(clock: VirtualClock) -> None:
        async with two(clock, path) as (one, other, server):
            assert value(one) == value(other)
            assert len(server.refreshes) == 1
            for _ in range(200):
                await anyio.sleep(600)
                look(one, other)
            assert value(one) == value(other)
            assert server.refreshes == [f"fake-refresh-{number}" for number in range(len(server.refreshes))]
            assert 25 < len(server.refreshes) < 55
            assert (server.reuses, server.most_busy) == (0, 1)

    run_virtually(main)


def test_a_token_that_another_daemon_has_got_is_logged_and_counted_once(path: Path) -> None:
    """Without a watch: the attempt that has waited for the lock finds it. It was not refreshed here."""

    async def main(clock: VirtualClock) -> None:
        with logged() as lines:
            async with two(clock, path, latency=5.0) as (one, other, server):
                assert len(server.refreshes) == 1
                found = [line["event"] for line in lines if line["event"] in ("token.refreshed", "login.adopted")]
                assert found == ["token.refreshed", "login.adopted"]
                assert one.counters.refreshes["a", "success"] + other.counters.refreshes["a", "success"] == 1

    run_virtually(main)


def test_without_a_watch_the_lock_and_the_second_look_are_enough(path: Path) -> None:
    """The daemon that gets the lock reads the file again before it sends anything."""

    async def main(clock: VirtualClock) -> None:
        async with two(clock, path, latency=5.0) as (one, other, server):
            await anyio.sleep(30 * HOUR)
            assert server.reuses == 0
            assert server.most_busy == 1
            assert len(server.refreshes) < 55
            assert one.supervisor.entries["a"].status().valid
            assert other.supervisor.entries["a"].status().valid

    run_virtually(main)


def test_the_login_is_in_the_file_alone(path: Path) -> None:
    """The record remembers the number of the last write; the file is for its owner only."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        login_server(clock)
        async with world.running(provider("a", shared(path))):
            await until(lambda: value(world) is not None, seconds=60)
        assert mode_of(path) == 0o600
        assert b"fake-refresh" not in world.state.content["a"]
        saved = json.loads(world.state.content["a"])
        assert saved["login_file"] == {"path": str(path), "number": content(path)["number"], "withdrawals": 0}
        assert content(path)["logins"]["state"]["login"]["refresh_token"] == "fake-refresh-1"

    run_virtually(main)


def test_the_journal_is_in_the_file_before_the_request(path: Path) -> None:
    """And space for the answer is reserved."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", shared(path))):
            await until(lambda: bool(server.refreshes), seconds=10)
            assert state_in(path) == "exchanging"
            assert (path.parent / f".{path.name}.tokend-00000000").stat().st_size > 64 * 1024
            await until(lambda: value(world) is not None, seconds=10)
            assert state_in(path) == "ready"

    run_virtually(main)


def test_a_daemon_that_was_killed_in_an_exchange_leaves_a_lost_answer_to_the_others(path: Path) -> None:
    """Five seconds later at the earliest, after something harmless; the other daemon does it as well as the first."""

    async def main(clock: VirtualClock) -> None:
        one, other, server = World(clock), World(clock, seed=2), login_server(clock, latency=10.0, grace=60.0)
        async with one.running(provider("a", shared(path))):
            await until(lambda: bool(server.refreshes), seconds=10)
            one.supervisor.exchanges_under_way()[0].break_off()
        assert state_in(path) == "exchanging"
        server.latency = 0.1
        died = clock.instant().boot
        async with other.running(provider("a", shared(path))):
            await until(lambda: state_in(path) == "lost", seconds=10)
            assert isinstance(other.store.get("a").login.state, Lost)
            await until(lambda: value(other) is not None, seconds=60)
            assert server.refreshes == ["fake-refresh-0", "fake-refresh-0"]
            assert died + 5 <= server.probes[0] < server.at[1]

    run_virtually(main)


def test_while_another_daemon_holds_the_lock_nothing_is_sent(path: Path) -> None:
    """Also for an hour: a transient failure that names the file. Nobody has to log in again."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        lock = LoginLock(LoginFile(path, Sealer(), ("one", "fake-client")))
        assert lock.take()
        async with world.running(provider("a", shared(path))):
            await anyio.sleep(HOUR)
            assert server.refreshes == []
            status = world.supervisor.entries["a"].status()
            assert status.state is State.PENDING
            assert present(status.last_error).reason == "store"
            assert f"another daemon has held {path}.lock for 30 s" in present(status.last_error).detail
            lock.release()
            await until(lambda: value(world) is not None, seconds=600)

    run_virtually(main)


def test_a_daemon_that_waits_for_the_lock_can_be_stopped_and_leaves_no_lock(path: Path) -> None:
    """A cancelled wait gives back what it was about to get."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        login_server(clock)
        lock = LoginLock(LoginFile(path, Sealer(), ("one", "fake-client")))
        assert lock.take()
        async with world.running(provider("a", shared(path))):
            await anyio.sleep(20)
        lock.release()
        again = LoginLock(LoginFile(path, Sealer(), ("one", "fake-client")))
        assert again.take()
        again.release()

    run_virtually(main)


def test_an_older_file_that_was_put_back_is_refused_and_a_login_replaces_it(path: Path) -> None:
    """Its refresh token is spent. Nothing is sent, and the initial refresh token is not used either."""

    async def main(clock: VirtualClock) -> None:
        async with two(clock, path) as (one, other, server):
            shutil.copy(path, path.with_name("copy"))
            await until(lambda: len(server.refreshes) == 2, seconds=HOUR)
            await anyio.sleep(1)
            look(one, other)
            await anyio.sleep(1)
            shutil.copy(path.with_name("copy"), path)
            look(one, other)
            await anyio.sleep(24 * HOUR)
            assert len(server.refreshes) == 2
            for world in (one, other):
                status = world.supervisor.entries["a"].status()
                assert "is older than it was" in present(status.note)
                assert present(status.last_error).reason == "store"
            server.valid.add("fake-refresh-new")
            await log_in(one, clock, "fake-refresh-new")
            look(other)
            await until(lambda: value(other) == "fake-token-of-a-person", seconds=10)
            assert server.reuses == 0

    run_virtually(main)


def test_a_file_that_is_gone_is_not_begun_again_with_the_initial_refresh_token(path: Path) -> None:
    """After a restart as well: it is spent. A login makes another file, with a higher number."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", shared(path))):
            await until(lambda: value(world) is not None, seconds=60)
        number = content(path)["number"]
        remove(path)
        async with world.running(provider("a", shared(path))):
            await anyio.sleep(24 * HOUR)
            assert len(server.refreshes) == 1
            assert not exists(path)
            assert "is gone" in present(world.supervisor.entries["a"].status().note)
            await log_in(world, clock, "fake-refresh-new")
            assert content(path)["number"] > number
            assert present(world.supervisor.entries["a"].status()).note is None

    run_virtually(main)


def test_where_nobody_can_log_in_a_logout_and_another_refresh_token_replace_a_file_that_is_gone(path: Path) -> None:
    """As the note says."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock, environ={"REFRESH": "fake-refresh-0"}), login_server(clock)
        settings = FakeLogin(login_file=path, refresh_token=SecretSource(env="REFRESH"), flows=())
        async with world.running(provider("a", settings)) as supervisor:
            await until(lambda: value(world) is not None, seconds=60)
            remove(path)
            await until(lambda: supervisor.entries["a"].status().note is not None, seconds=HOUR)
            said = (
                "run tokend logout a, then put a newer refresh token into refresh_token (environment variable REFRESH)"
            )
            assert said in present(supervisor.entries["a"].status().note)
            await held(supervisor.entries["a"]).log_out()
            server.valid.add("fake-second")
            world.environ["REFRESH"] = "fake-second"
            held(supervisor.entries["a"]).secrets_changed()
            await until(lambda: supervisor.entries["a"].status().valid, seconds=600)
            assert server.refreshes[-1] == "fake-second"

    run_virtually(main)


async def log_in(
    world: World, clock: VirtualClock, refresh: str, subject: str | None = None, *, other: bool = False
) -> None:
    now = clock.instant()
    token = Token(Secret("fake-token-of-a-person"), "Bearer", now, now.after(HOUR))
    granted = Granted("https://login.example:443", now, token=token, refresh_token=Secret(refresh), subject=subject)
    await world.supervisor.entries["a"].accept_login(granted, another_account=other)


def test_a_login_made_in_one_daemon_is_everybodys(path: Path) -> None:
    """Without a request, also where a login was required."""

    async def main(clock: VirtualClock) -> None:
        one, other, server = World(clock), World(clock, seed=2), login_server(clock)
        server.valid.clear()
        async with one.running(provider("a", shared(path))), other.running(provider("a", shared(path))):
            await until(lambda: one.store.get("a").requires_login, seconds=60)
            look(other)
            await until(lambda: other.store.get("a").requires_login, seconds=60)
            sent = len(server.refreshes)
            await log_in(one, clock, "fake-refresh-new", "fake-subject")
            look(other)
            await until(lambda: value(other) == "fake-token-of-a-person", seconds=10)
            status = present(other.supervisor.entries["a"].status().login)
            assert (status.state, status.subject) == ("ok", "fake-subject")
            assert len(server.refreshes) == sent

    run_virtually(main)


def test_a_logout_in_one_daemon_is_everybodys_also_of_one_that_was_not_running(path: Path) -> None:
    """The token is withdrawn, and the initial refresh token is not used again."""

    async def main(clock: VirtualClock) -> None:
        async with two(clock, path) as (one, other, server):
            third = World(clock, seed=3)
            async with third.running(provider("a", shared(path))):
                await until(lambda: value(third) is not None, seconds=60)
            await one.supervisor.entries["a"].log_out()
            assert [login.refresh_token.reveal() for login in one.supervisor.entries["a"].logged_out] == [
                "fake-refresh-1"
            ]
            await one.supervisor.entries["a"].drop_logged_out(one.supervisor.entries["a"].logged_out)
            look(other)
            await until(lambda: value(other) is None, seconds=10)
            async with third.running(provider("a", shared(path))):
                await until(lambda: value(third) is None, seconds=10)
            await anyio.sleep(24 * HOUR)
            assert len(server.refreshes) == 1
            assert b"fake-refresh" not in raw(path)

    run_virtually(main)


def test_a_login_of_another_account_withdraws_the_token_of_everybody(path: Path) -> None:
    """Also where it brings no token that can be used."""

    async def main(clock: VirtualClock) -> None:
        async with two(clock, path) as (one, other, server):
            now = clock.instant()
            server.script = [refused()] * 9
            granted = Granted(
                "https://login.example:443", now, refresh_token=Secret("fake-refresh-new"), subject="other"
            )
            await one.supervisor.entries["a"].accept_login(granted, another_account=True)
            look(other)
            await until(lambda: value(other) is None, seconds=10)

    run_virtually(main)


def test_a_token_that_was_asked_for_with_other_settings_is_not_adopted(path: Path) -> None:
    """One login, two audiences: each daemon asks for its own, in turn."""

    async def main(clock: VirtualClock) -> None:
        one, other, server = World(clock), World(clock, seed=2), login_server(clock)
        asks_otherwise = shared(path, username="another")
        async with one.running(provider("a", shared(path))), other.running(provider("a", asks_otherwise)):
            await until(lambda: value(one) is not None and value(other) is not None, seconds=60)
            look(one, other)
            await anyio.sleep(10)
            assert value(one) != value(other)
            assert server.refreshes == ["fake-refresh-0", "fake-refresh-1"]

    run_virtually(main)


def test_the_login_of_the_record_moves_into_a_file_that_has_none(path: Path) -> None:
    """Nobody logs in again for a new key in the table; without the key, nothing of the file is used."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", replace_file(None))):
            await until(lambda: value(world) is not None, seconds=60)
        async with world.running(provider("a", replace_file(path))):
            await anyio.sleep(HOUR)
            assert len(server.refreshes) == 2
            assert content(path)["logins"]["state"]["login"]["refresh_token"] == "fake-refresh-2"
        assert b"fake-refresh" not in world.state.content["a"]
        async with world.running(provider("a", FakeLogin())):
            await until(lambda: world.store.get("a").seen is None, seconds=10)
            assert world.store.get("a").login.login is None
        assert server.reuses == 0

    run_virtually(main)


def replace_file(path: Path | None) -> FakeLogin:
    return FakeLogin(login_file=path, refresh_token=literal("fake-refresh-0"))


def test_a_login_of_the_record_gives_way_to_one_in_the_file(path: Path) -> None:
    """The file's is everybody's."""

    async def main(clock: VirtualClock) -> None:
        one, other, server = World(clock), World(clock, seed=2), login_server(clock)
        server.valid.add("fake-refresh-own")
        own = FakeLogin(refresh_token=literal("fake-refresh-own"))
        async with one.running(provider("a", shared(path))), other.running(provider("a", own)):
            await until(lambda: value(one) is not None and value(other) is not None, seconds=60)
        async with other.running(provider("a", FakeLogin(login_file=path))):
            await anyio.sleep(2 * HOUR)
            assert server.refreshes[2] == "fake-refresh-1"
            assert "fake-refresh-own" not in server.refreshes[2:]

    run_virtually(main)


def test_a_file_that_cannot_be_used_stays_and_its_provider_sends_nothing(path: Path) -> None:
    """Damaged, readable by others, a link, another client's: the state is pending, the class store."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", shared(path))):
            await until(lambda: value(world) is not None, seconds=60)
        good, sent = raw(path), len(server.refreshes)
        for spoil, words in (
            (lambda: path.write_bytes(b"{"), "it is damaged"),
            (lambda: path.write_bytes(good.replace(b"tokend login file 1", b"tokend login file 9")), "another version"),
            (lambda: path.write_bytes(good.replace(b'"fake-client"', b'"other-client"')), "another client"),
            (lambda: path.chmod(0o640), "chmod 600"),
            (
                lambda: path.rename(path.with_name("real")).with_name("login").symlink_to(path.with_name("real")),
                "it is a link",
            ),
            (lambda: path.parent.chmod(0o707), "every user may write"),
        ):
            spoil()
            fresh = World(clock)
            before = raw(path)
            async with fresh.running(provider("a", shared(path))):
                await anyio.sleep(120)
                status = fresh.supervisor.entries["a"].status()
                assert status.state is State.PENDING
                assert present(status.last_error).reason == "store"
                assert words in present(status.last_error).detail, words
                with pytest.raises(StoreError):
                    await fresh.supervisor.entries["a"].log_out()
                with pytest.raises(StoreError, match=words):
                    await log_in(fresh, clock, "fake-refresh-new")
                assert raw(path) == before
            put(path, good)
        assert len(server.refreshes) == sent
        async with World(clock).running(provider("a", shared(path))) as supervisor:
            await until(lambda: supervisor.entries["a"].lease is not None, seconds=10)
        assert len(server.refreshes) == sent

    run_virtually(main)


def key(path: Path, byte: int) -> SecretSource:
    path.write_bytes(base64.b64encode(bytes([byte]) * 32))
    path.chmod(0o600)
    return SecretSource(file=path, encoding="base64")


def test_a_sealed_file_opens_with_its_key_only(path: Path) -> None:
    """Nothing in it is in clear; with another key, or none, nothing is sent and it stays."""

    async def main(clock: VirtualClock) -> None:
        first, second = key(path.with_name("key"), 1), key(path.with_name("other-key"), 2)
        one, server = World(clock), login_server(clock)
        async with one.running(provider("a", shared(path, login_file_key=first))):
            await until(lambda: value(one) is not None, seconds=60)
            await until(lambda: len(server.refreshes) == 2, seconds=HOUR)
            await anyio.sleep(1)
        sealed = raw(path)
        assert b"fake" not in sealed
        for source in (second, None):
            other = World(clock)
            async with other.running(provider("a", shared(path, login_file_key=source))):
                await anyio.sleep(600)
                assert present(other.supervisor.entries["a"].status().last_error).reason == "store"
            assert raw(path) == sealed
        other = World(clock)
        async with other.running(provider("a", shared(path, login_file_key=second))):
            await anyio.sleep(60)
            shutil.copy(path.with_name("key"), path.with_name("other-key"))
            look(other)
            await until(lambda: value(other) is not None, seconds=60)
        assert len(server.refreshes) == 2

    run_virtually(main)


def test_a_key_that_cannot_be_read_is_no_reason_to_write_in_clear(path: Path) -> None:
    """Nothing is sent."""

    async def main(clock: VirtualClock) -> None:
        source = key(path.with_name("key"), 1)
        path.with_name("key").unlink()
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", shared(path, login_file_key=source))):
            await anyio.sleep(60)
            assert server.refreshes == []
            assert not exists(path)

    run_virtually(main)


def test_a_refusal_is_believed_by_all_and_an_admins_attempt_is_one(path: Path) -> None:
    """login_required: no daemon asks on its own."""

    async def main(clock: VirtualClock) -> None:
        async with two(clock, path) as (one, other, server):
            server.valid.clear()
            await until(lambda: state_in(path) == "required", seconds=HOUR)
            look(one, other)
            await anyio.sleep(24 * HOUR)
            sent = len(server.refreshes)
            for world in (one, other):
                assert isinstance(world.store.get("a").login.state, Required)
            await anyio.sleep(24 * HOUR)
            assert len(server.refreshes) == sent
            server.valid.add(server.refreshes[-1])
            await other.supervisor.refresh("a", if_generation=None, reason="", admin=True)
            assert len(server.refreshes) == sent + 1
            look(one)
            await until(lambda: value(one) == value(other), seconds=10)
            assert isinstance(one.store.get("a").login.state, Ready)

    run_virtually(main)


def test_a_refresh_token_that_was_refused_once_is_sent_again_five_seconds_later_by_whomever(path: Path) -> None:
    """The second refusal is final, not the first."""

    async def main(clock: VirtualClock) -> None:
        one, other, server = World(clock), World(clock, seed=2), login_server(clock, rotates=False)
        async with one.running(provider("a", shared(path))):
            await until(lambda: value(one) is not None, seconds=60)
            server.script = [refused()]
            await until(lambda: state_in(path) == "refused_once", seconds=HOUR)
        async with other.running(provider("a", shared(path))):
            await anyio.sleep(HOUR)
            assert server.at[2] - server.at[1] >= 5
            assert state_in(path) == "ready"

    run_virtually(main)


def test_repeats_after_a_lost_answer_are_as_rare_for_two_daemons_as_for_one(path: Path) -> None:
    """After 5 seconds, 1, 5 and 15 minutes, then hourly."""

    async def main(clock: VirtualClock) -> None:
        one, other, server = World(clock), World(clock, seed=2), login_server(clock)
        server.script = [lost() for _ in range(6)]
        async with one.running(provider("a", shared(path))), other.running(provider("a", shared(path))):
            await until(lambda: len(server.refreshes) == 6, seconds=5 * HOUR)
            gaps = [round(b - a) for a, b in zip(server.at, server.at[1:], strict=False)]
            assert all(gap >= least for gap, least in zip(gaps, (5, 60, 300, 900, 3600), strict=True))
            await anyio.sleep(2 * HOUR)
            assert value(one) is not None
            assert one.supervisor.entries["a"].status().valid

    run_virtually(main)


def test_a_refresh_token_that_cannot_be_written_keeps_the_lock_until_it_is(path: Path) -> None:
    """Nobody may send the spent one. The old token is served; the new one is published when that has ended."""

    async def main(clock: VirtualClock) -> None:
        async with two(clock, path, latency=1.0) as (one, other, server):
            await until(lambda: len(server.refreshes) == 2, seconds=HOUR)
            moved = path.parent.rename(path.parent.with_name("moved"))
            first = one if one.supervisor.exchanges_under_way() else other
            second = other if first is one else one
            await anyio.sleep(120)
            assert "is not saved" in present(first.supervisor.entries["a"].status().note)
            assert value(first) == "fake-token-1"
            await until(lambda: value(first) == "fake-token-2", seconds=HOUR)
            assert len(server.refreshes) == 2
            moved.rename(path.parent)
            await anyio.sleep(3)
            assert content(path)["logins"]["state"]["login"]["refresh_token"] == "fake-refresh-2"
            assert content(path)["token"]["value"] == "fake-token-2"
            look(second)
            await until(lambda: value(second) == "fake-token-2", seconds=60)
            assert server.reuses == 0

    run_virtually(main)


def test_without_a_journal_in_the_file_nothing_is_sent(path: Path) -> None:
    """A directory in which nothing can be written."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        missing = path.parent / "missing" / "login"
        async with world.running(provider("a", shared(missing))):
            await anyio.sleep(60)
            assert server.refreshes == []
            assert "there is no directory" in present(world.supervisor.entries["a"].status().last_error).detail
            missing.parent.mkdir(0o700)
            await until(lambda: value(world) is not None, seconds=600)

    run_virtually(main)


def test_another_boot_takes_the_login_and_not_the_token(path: Path) -> None:
    """Only the wall clock would know the token's end."""

    async def main(clock: VirtualClock) -> None:
        one, other, server = World(clock), World(clock, seed=2), login_server(clock)
        async with one.running(provider("a", shared(path))):
            await until(lambda: value(one) is not None, seconds=60)
        other.state.boot_id = "boot-2"
        async with other.running(provider("a", shared(path))):
            await until(lambda: value(other) is not None, seconds=60)
        assert server.refreshes == ["fake-refresh-0", "fake-refresh-1"]

    run_virtually(main)


def test_a_provider_that_is_renamed_goes_on_with_its_file(path: Path) -> None:
    """The number that was seen moves with the record."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", shared(path))):
            await until(lambda: value(world) is not None, seconds=60)
            await world.store.rename("a", "b")
            assert present(world.store.get("b").seen).number == content(path)["number"]
            assert world.store.get("a").seen is None
        assert server.reuses == 0

    run_virtually(main)


class LateReads(InlineThreads):
    """Threads whose results of a read come late, while ``late`` is set, or never, while ``never`` is."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.late = self.never = False

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        if self.never:
            await self._clock.sleep(seconds)
            raise TimeoutError
        result = call()
        if self.late and getattr(call, "__name__", "") == "read":
            await self._clock.sleep(5)
        return result


def test_a_logout_overtakes_a_look_at_the_file(path: Path) -> None:
    """What was read before it is not believed after it."""

    async def main(clock: VirtualClock) -> None:
        threads = LateReads(clock)
        world = World(clock, disk_threads=threads)
        login_server(clock)
        async with world.running(provider("a", shared(path))):
            await until(lambda: value(world) is not None, seconds=60)
            threads.late = True
            look(world)
            await anyio.sleep(1)
            threads.late = False
            await world.supervisor.entries["a"].log_out()
            await anyio.sleep(10)
            assert value(world) is None
            assert world.store.get("a").login.login is None
            assert world.supervisor.entries["a"].status().note is None

    run_virtually(main)


def test_a_logout_while_another_daemon_holds_the_lock_is_refused(path: Path) -> None:
    """After a while; nothing is changed then."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        login_server(clock)
        async with world.running(provider("a", shared(path))) as supervisor:
            await until(lambda: value(world) is not None, seconds=60)
            lock = LoginLock(LoginFile(path, Sealer(), ("one", "fake-client")))
            assert lock.take()
            with pytest.raises(TokenUnavailableError, match="another daemon has held"):
                await Logout(world.context, supervisor.entries).log_out("a", uid=0, force=False)
            assert value(world) is not None
            lock.release()

    run_virtually(main)


def test_a_file_is_not_made_before_there_is_a_login(path: Path) -> None:
    """A person's login makes it, also without an initial refresh token."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        login_server(clock)
        async with world.running(provider("a", FakeLogin(login_file=path))):
            await until(lambda: world.store.get("a").requires_login, seconds=60)
            assert not exists(path)
            await log_in(world, clock, "fake-refresh-new")
            assert state_in(path) == "ready"

    run_virtually(main)


def test_nothing_is_written_without_the_lock(path: Path) -> None:
    """Whatever a caller does."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        login_server(clock)
        async with world.running(provider("a", shared(path))):
            await until(lambda: value(world) is not None, seconds=60)
            before = raw(path)
            with pytest.raises(StoreError, match="the lock is lost"):
                await SharedLoginFile("a", cast(Any, shared(path)), world.context).commit(lambda record: record)
            assert raw(path) == before

    run_virtually(main)


def test_a_sealed_file_with_the_number_of_another_write_is_refused(path: Path) -> None:
    """Its header and its content agree."""

    async def main(clock: VirtualClock) -> None:
        source = key(path.with_name("key"), 1)
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", shared(path, login_file_key=source))):
            await until(lambda: value(world) is not None, seconds=60)
            file = LoginFile(path, Sealer(StateKey(bytes([1]) * 32)), ("one", "fake-client"))
            opened = present(file.read())
            file.write(present(opened.number) + 9, opened.content)
            await anyio.sleep(HOUR)
            assert "numbers differ" in present(world.supervisor.entries["a"].status().note)
            assert len(server.refreshes) == 1

    run_virtually(main)


def test_a_disk_that_hangs_sends_nothing(path: Path) -> None:
    """And the lock is not kept."""

    async def main(clock: VirtualClock) -> None:
        threads = LateReads(clock)
        world, server = World(clock, disk_threads=threads), login_server(clock)
        async with world.running(provider("a", shared(path))):
            await until(lambda: value(world) is not None, seconds=60)
            threads.never = True
            look(world)
            await anyio.sleep(30)
            assert "the disk hangs" in present(world.supervisor.entries["a"].status().note)
            threads.never = False
            look(world)
            await until(lambda: world.supervisor.entries["a"].status().note is None, seconds=60)
            assert len(server.refreshes) == 1

    run_virtually(main)


def test_a_token_is_not_adopted_while_a_secret_cannot_be_read(path: Path) -> None:
    """Whose it is would not be known."""

    async def main(clock: VirtualClock) -> None:
        one, other = World(clock, environ={"KEY": "x"}), World(clock, seed=2, environ={"KEY": "x"})
        login_server(clock)
        table = shared(path, key=SecretSource(env="KEY"))
        async with one.running(provider("a", table)), other.running(provider("a", table)):
            await until(lambda: value(one) is not None and value(other) is not None, seconds=60)
            await anyio.sleep(10)
            await one.supervisor.refresh("a", if_generation=None, reason="", admin=True)
            other.environ.clear()
            look(other)
            await anyio.sleep(10)
            assert value(other) != value(one)
            other.environ["KEY"] = "x"
            look(other)
            await until(lambda: value(other) == value(one), seconds=10)

    run_virtually(main)


def test_a_file_of_another_provider_is_none_of_ours(path: Path) -> None:
    """Only the providers that use a changed file look at it."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", shared(path)), provider("b", FakeHeld())) as supervisor:
            await until(lambda: value(world) is not None, seconds=60)
            look(world)
            supervisor.login_files_changed({path.parent / "another"})
            await anyio.sleep(10)
            assert len(server.refreshes) == 1

    run_virtually(main)


def test_who_gives_up_waiting_for_the_lock_leaves_it_to_the_one_who_holds_it(path: Path) -> None:
    """The exchange under way saves its answer all the same."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=40.0)
        async with world.running(provider("a", shared(path))) as supervisor:
            await until(lambda: server.busy == 1, seconds=60)
            with anyio.move_on_after(2):
                await held(supervisor.entries["a"]).drop_logged_out(())
            await until(lambda: value(world) is not None, seconds=100)
            assert supervisor.entries["a"].status().note is None
            assert server.refreshes == ["fake-refresh-0"]

    run_virtually(main)
