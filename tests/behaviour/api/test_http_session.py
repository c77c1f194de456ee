"""The socket of a real `tokend run`, as ordinary clients meet it: curl's and http.client's requests, reload, limits."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.httpd.served import PATIENCE_SECONDS, eventually

CONFIG = """\
[daemon]
socket = "s"
state_directory = "state"

[providers.partner]
kind = "jwt"
secret = { env = "BENIGN" }

[providers.wallet]
kind = "request-jwt"
key = { env = "BENIGN" }
secret = { env = "BENIGN" }
"""


class UnixConnection(http.client.HTTPConnection):
    """The standard library's client over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_SECONDS)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


@dataclass
class Daemon:
    """A running daemon and one kept-alive connection to it."""

    directory: Path
    connection: UnixConnection

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and parsed body of one exchange on the one connection."""
        self.connection.request(method, target, None if body is None else json.dumps(body), headers)
        with self.connection.getresponse() as answer:
            raw = answer.read()
        return answer.status, json.loads(raw) if raw else None

    def configure(self, text: str) -> None:
        """Replace the configuration in one step."""
        (self.directory / "new.toml").write_text(text)
        (self.directory / "new.toml").rename(self.directory / "config.toml")


def has_token(running: Daemon) -> bool:
    """Whether the daemon answers with its token. The name of its socket is there before it accepts connections."""
    try:
        return running.ask("GET", "/v1/tokens/partner")[0] == 200
    except OSError:
        running.connection.close()
        return False


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """Run the daemon in a short directory: a socket's path has little room."""
    with tempfile.TemporaryDirectory(prefix="tk-") as name:
        directory = Path(name)
        (directory / "config.toml").write_text(CONFIG)
        argv = [sys.executable, "-m", "tokend", "run", "--config", str(directory / "config.toml")]
        environ = {**os.environ, "BENIGN": "fake-secret-of-at-least-32-bytes-length"}
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(argv, env=environ, stdout=log, stderr=log)
        running = Daemon(directory, UnixConnection(directory / "s"))
        try:
            assert eventually(lambda: process.poll() is not None or has_token(running))
            assert process.poll() is None, (directory / "log").read_text()
            yield running
        finally:
            running.connection.close()
            process.send_signal(signal.SIGTERM)
            code = process.wait(PATIENCE_SECONDS)
        assert code == 0
        assert "worker.crashed" not in (directory / "log").read_text()
        assert "client.failed" not in (directory / "log").read_text()


def test_a_whole_session_on_one_connection(daemon: Daemon) -> None:
    """Every route once, by the standard library's client, without a Content-Type: each has its documented status."""
    first = daemon.ask("GET", "/v1/tokens/partner")[1]
    told = [("if_generation", first["generation"] - 1), ("reason", "unauthorized")]
    order = {"url": "/api/wallet/transfer", "currency": "BTC", "amount": "0.001", "orderId": "1"}
    assert daemon.ask("POST", "/v1/tokens/partner/refresh", dict(told)) == (200, first)
    assert daemon.ask("POST", "/v1/tokens/partner/refresh", {"if_generation": first["generation"] + 1})[0] == 409
    assert daemon.ask("GET", "/v1/tokens/partner", If_None_Match="*")[0] == 200  # underscores: not that header
    assert daemon.ask("GET", "/v1/tokens/partner", **{"If-None-Match": f'"{first["generation"]}"'}) == (304, None)
    assert daemon.ask("GET", "/v1/tokens/partner?min_ttl=1m")[0] == 200
    assert daemon.ask("GET", "/v1/tokens/partner?min_ttl=1d")[0] == 503
    assert daemon.ask("GET", "/v1/tokens/wallet")[0] == 405
    status, issued = daemon.ask("POST", "/v1/tokens/wallet/issue", order)
    assert (status, issued.keys()) == (201, first.keys() | {"extra"})
    assert daemon.ask("POST", "/v1/tokens/wallet/issue", {"url": 5})[1]["errors"] == {"url": ["must be a string"]}
    assert daemon.ask("POST", "/v1/tokens/partner/request-id")[0] == 405
    assert {one["name"] for one in daemon.ask("GET", "/v1/tokens")[1]["tokens"]} == {"partner", "wallet"}
    assert daemon.ask("GET", "/readyz") == (200, {"ready": True})
    assert daemon.ask("GET", "/openapi.json")[0] == 200
    assert daemon.ask("POST", "/v1/tokens/partner/forget")[0] == 200
    assert eventually(lambda: daemon.ask("GET", "/v1/tokens/partner")[0] == 200)
    assert daemon.ask("GET", "/v1/tokens/partner")[1]["generation"] > first["generation"]


def test_reload_answers_its_plan_and_touches_nothing_else(daemon: Daemon) -> None:
    """`POST /v1/reload`: the dry run's plan is carried out by the next; who did not change keeps its token."""
    before = daemon.ask("GET", "/v1/tokens/partner")[1]
    assert daemon.ask("POST", "/v1/reload") == (200, {"version": 1, "plan": [], "restart_needed": []})
    plan = [{"name": "wallet", "action": "remove"}]
    daemon.configure(CONFIG.partition("[providers.wallet]")[0])
    # The file's watcher may have been faster: then there is nothing left to do.
    assert daemon.ask("POST", "/v1/reload?dry_run=true")[1]["plan"] in (plan, [])
    assert daemon.ask("POST", "/v1/reload")[1]["plan"] in (plan, [])
    assert daemon.ask("POST", "/v1/tokens/wallet/issue", {})[0] == 404
    assert daemon.ask("GET", "/v1/tokens/partner")[1] == before


def test_what_only_a_restart_changes_is_said_in_the_plan(daemon: Daemon) -> None:
    """The socket and its limits are read at start: a reload does not pretend to have changed them."""
    daemon.configure(CONFIG.replace('"state"\n', '"state"\nsocket_mode = "0600"\nmax_connections = 17\n'))
    step = {"name": "[daemon]", "action": "restart needed for socket_mode, max_connections"}
    assert daemon.ask("POST", "/v1/reload?dry_run=true")[1]["plan"] in ([step], [])


def test_a_refused_reload_is_422_with_places_and_shows_everywhere(daemon: Daemon) -> None:
    """config_invalid with file, line, column and message; status and metrics say so until it is fixed."""
    daemon.configure(CONFIG + 'ttll = "60s"\n')
    for target in ("/v1/reload?dry_run=true", "/v1/reload"):
        status, problem = daemon.ask("POST", target)
        assert (status, problem["code"]) == (422, "config_invalid")
        (error,) = problem["errors"]
        assert (error["file"], error["line"], error["column"]) == (str(daemon.directory / "config.toml"), 13, 1)
        assert "ttll" in error["message"]
    assert "ttll" in daemon.ask("GET", "/v1/status")[1]["config"]["error"]
    assert daemon.ask("GET", "/v1/tokens/partner")[0] == 200
    daemon.configure(CONFIG)
    assert daemon.ask("POST", "/v1/reload")[0] == 200
    assert daemon.ask("GET", "/v1/status")[1]["config"]["error"] is None
