"""The end of the daemon while a refresh of a login is under way: its answer is waited for, and nothing else is."""

import json
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.daemon.harness import Daemon, Home, until
from tests.small_server import QuietHandler, serving

LOGIN = """
[providers.login]
kind = "slow-login"
base_url = "{url}"
refresh_token = {{ file = "s/refresh" }}
timeout = "20s"
"""


@dataclass
class Server:
    """A token endpoint that answers when it is let to; ``got`` are the refresh tokens."""

    url: str = ""
    got: list[str] = field(default_factory=list)
    let: threading.Event = field(default_factory=threading.Event)


@contextmanager
def token_server() -> Iterator[Server]:
    server = Server()

    class Handler(QuietHandler):
        def get(self) -> None:
            self.reply(405, {})

        def post(self) -> None:
            server.got.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            server.let.wait(30)
            number = len(server.got)
            self.reply(
                200,
                {"access_token": f"fake-{number}", "refresh_token": f"fake-refresh-{number}", "expires_in": 3600},
            )

    with serving(Handler) as server.url:
        try:
            yield server
        finally:
            server.let.set()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that holds its answers back."""
    with token_server() as one:
        yield one


@pytest.fixture
def asking(home: Home, server: Server) -> Daemon:
    """A daemon whose first refresh is under way."""
    return start(home, server)


def start(home: Home, server: Server, *, wrap: tuple[str, ...] = (), **changes: str) -> Daemon:
    packages = home.path / "packages"
    metadata = packages / "slow_login-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-login\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[tokend.providers]\nslow-login = slow_login:SlowLogin\n")
    shutil.copy(Path(__file__).with_name("slow_login.py"), packages)
    home.environ["PYTHONPATH"] = f"{packages}:{Path(__file__).parents[3]}"
    home.secret("refresh", "fake-refresh-0")
    table = LOGIN
    for old, new in changes.items():
        table = table.replace(f'{old} = "20s"', f'{old} = "{new}"')
    daemon = home.start(table.replace("{url}", server.url), wrap=wrap)
    until(lambda: server.got, "the request")
    return daemon


def state_of(home: Home) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((home.path / "state" / "tokens" / "login.json").read_text())
    return dict(record["login"]["state"])


def test_its_answer_is_waited_for_and_saved_and_all_else_ends(home: Home, server: Server, asking: Daemon) -> None:
    """systemd gets EXTEND_TIMEOUT_USEC and STATUS=waiting for HOST's answer; readers find no socket meanwhile."""
    asking.send(signal.SIGTERM)
    host = urlsplit(server.url).netloc
    until(lambda: asking.noted(f"STATUS=waiting for {host}'s answer"), "the status")
    assert asking.noted("EXTEND_TIMEOUT_USEC=35000000") == 1
    began = time.monotonic()
    until(lambda: not home.socket.exists(), "the end of all else")
    assert time.monotonic() - began < 15
    assert asking.process.poll() is None
    assert state_of(home)["is"] == "exchanging"
    server.let.set()
    assert asking.process.wait(20) == 0
    assert state_of(home)["login"]["refresh_token"] == "fake-refresh-1"
    assert server.got == ["fake-refresh-0"]


def test_the_watchdog_is_fed_while_it_waits(home: Home, server: Server, asking: Daemon) -> None:
    """A service manager must not kill what it was asked to wait for."""
    asking.send(signal.SIGTERM)
    until(lambda: asking.noted("STATUS=waiting for"), "the status")
    fed = asking.noted("WATCHDOG=1")
    until(lambda: asking.noted("WATCHDOG=1") >= fed + 2, "two more meals")
    server.let.set()
    assert asking.process.wait(20) == 0


def test_a_second_signal_ends_it_at_once_and_the_journal_says_what_was_under_way(home: Home, asking: Daemon) -> None:
    """The next start asks the server something harmless before it sends the refresh token again."""
    asking.send(signal.SIGTERM)
    until(lambda: asking.noted("STATUS=waiting for"), "the status")
    assert asking.end(signal.SIGTERM, seconds=15) == 128 + signal.SIGTERM
    assert state_of(home)["is"] == "exchanging"


def test_a_server_that_never_answers_is_waited_for_no_longer_than_the_timeout(home: Home, server: Server) -> None:
    """The end is a good one all the same."""
    daemon = start(home, server, timeout="2s")
    assert daemon.end(seconds=15) == 0
    assert state_of(home)["is"] in {"exchanging", "lost"}


def test_a_trial_beside_the_daemon_spends_no_refresh_token(home: Home, server: Server) -> None:
    """`tokend check --try` reads the daemon's state, and could not save what comes of it."""
    server.let.set()
    start(home, server).settled()
    done = home.run("check", str(home.config), "--try", "login")
    assert "its login is the daemon's, and would be spent: tokend refresh login" in done.stdout + done.stderr
    assert server.got == ["fake-refresh-0"]


def test_without_an_exchange_nothing_is_waited_for(home: Home, server: Server) -> None:
    """It ends as any other daemon does."""
    server.let.set()
    daemon = start(home, server)
    daemon.settled().quiet()
    assert daemon.end() == 0
    assert not daemon.noted("STATUS=waiting")
