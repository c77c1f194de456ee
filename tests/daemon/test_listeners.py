"""The daemon's own listeners: none of them ends the daemon; one that cannot be made is reported and tried again."""

import http.client
import json
import os
import socket
from contextlib import closing
from pathlib import Path

import pytest

from tests.behaviour.api.test_loopback_port import SECRET, get, listening
from tests.daemon.harness import Daemon, Home, loopback_address, until
from tests.daemon.tables import DAEMON, PARTNER, PX

CREDENTIALS = DAEMON + 'credentials_socket = "run/credentials.sock"\n'


def state(daemon: Daemon, name: str) -> tuple[str, str | None]:
    (row,) = [row for row in daemon.status()["listeners"] if row["name"] == name]
    return row["state"], row["error"]


def squatting(path: Path) -> socket.socket:
    path.parent.mkdir(exist_ok=True)
    other = socket.socket(socket.AF_UNIX)
    other.bind(str(path))
    other.listen()
    return other


def test_a_daemon_whose_socket_is_taken_keeps_its_tokens_fresh_and_takes_the_path_when_it_is_free(home: Home) -> None:
    """Another process listens there: an error in the log and in systemd's status; sinks get their tokens meanwhile."""
    with squatting(home.socket):
        daemon = home.start(PX)
        until(lambda: home.out("bot.env").exists(), "the file of a sink")
        (line,) = daemon.log("listener.failed")
        assert f"another process listens on {home.socket}" in line
        assert "socket=" not in daemon.log("daemon.ready")[0]  # nobody can connect to it
        until(
            lambda: daemon.noted(f"STATUS=1 token, all well; api: another process listens on {home.socket}"), "status"
        )
    until(lambda: daemon.lease("px"), "the socket")
    assert state(daemon, "api") == ("ok", None)
    assert daemon.log("listener.recovered")
    until(lambda: "STATUS=1 token, all well" in daemon.notes[-1], "the new status")
    assert daemon.end() == 0
    assert not home.socket.exists()


def test_a_port_that_another_user_holds_is_taken_when_it_is_free(home: Home) -> None:
    """The error is in the status, the socket serves, the client's secret is not ours to protect meanwhile."""
    listen = loopback_address()
    host, _, port = listen.partition(":")
    home.secret("listen", SECRET)
    home.write(PARTNER, daemon=listening(listen))
    with socket.create_server((host, int(port))):
        daemon = home.start().settled()
        assert state(daemon, "loopback") == ("failing", f"cannot listen on {listen}: Address already in use")
        shown = home.run("status")
        assert f"loopback at {listen}: failing: cannot listen on {listen}" in " ".join(shown.stdout.split())
    until(lambda: get(listen, "/v1/tokens/partner", SECRET).status == 200, "the port")
    assert state(daemon, "loopback") == ("ok", None)
    assert daemon.end() == 0


def test_a_credentials_socket_that_cannot_be_made_is_reported(home: Home) -> None:
    """Everything else goes on; with the place free again it serves."""
    home.write(PARTNER, daemon=CREDENTIALS)
    path = home.socket.parent / "credentials.sock"
    path.parent.mkdir(mode=0o750)
    path.write_text("somebody's file")
    daemon = home.start().settled()
    assert state(daemon, "credentials")[0] == "failing"
    assert f"{path} exists and is no socket" in str(state(daemon, "credentials")[1])
    assert path.read_text() == "somebody's file"
    path.unlink()
    until(lambda: state(daemon, "credentials") == ("ok", None), "credentials.sock")
    assert path.is_socket()


def test_no_socket_is_made_in_a_directory_that_everybody_may_write(home: Home) -> None:
    """Another file could take its place while it is made. With the directory closed it is made without a restart."""
    home.write(PARTNER)
    assert home.start().end() == 0
    home.socket.parent.chmod(0o777)
    daemon = home.start()
    until(lambda: daemon.log("listener.failed"), "the error")
    assert str(home.socket.parent) in daemon.log("listener.failed")[0]
    home.socket.parent.chmod(0o750)
    until(lambda: daemon.lease("partner"), "the socket")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_loopback_port_is_taken_from_a_socket_unit(home: Home, host: str) -> None:
    """FileDescriptorName=loopback: systemd binds it at boot, before any user can, and keeps it between daemons."""
    home.secret("listen", SECRET)
    home.write(PARTNER, daemon=DAEMON + 'listen_secret = { file = "s/listen" }\n')
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as passed:
        port = passed.getsockname()[1]
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        daemon = home.start(passing=[("loopback", passed.fileno())]).settled()
        assert get(where, "/v1/tokens/partner", SECRET).status == 200
        assert get(where, "/v1/tokens/partner").status == 401
        assert daemon.status()["listeners"][-1] == {
            "name": "loopback", "address": where, "state": "ok", "error": None,
        }  # fmt: skip
        assert daemon.end() == 0
        with closing(http.client.HTTPConnection(host, port, timeout=20)) as early:
            early.request("GET", "/v1/tokens/partner", headers={"Authorization": SECRET})  # waits in the backlog
            home.start(passing=[("loopback", passed.fileno())])
            assert json.loads(early.getresponse().read())["name"] == "partner"


def test_a_passed_port_without_a_secret_serves_nobody_and_says_why(home: Home) -> None:
    """The daemon runs; the status names the key."""
    home.write(PARTNER)
    with socket.create_server(("127.0.0.1", 0)) as passed:
        daemon = home.start(passing=[("loopback", passed.fileno())]).settled()
        assert state(daemon, "loopback") == ("failing", "the loopback port has no listen_secret: set it in [daemon]")


@pytest.mark.parametrize("host", ["0.0.0.0", os.devnull])  # noqa: S104  # that it is refused is the test
def test_a_passed_port_that_others_can_reach_is_refused(home: Home, host: str) -> None:
    """The words have the line for the unit."""
    home.write(PARTNER)
    family = socket.AF_INET if host[0] != "/" else socket.AF_UNIX
    with socket.socket(family) as passed:
        passed.bind((host, 0) if family == socket.AF_INET else str(home.path / "x"))
        passed.listen()
        daemon = home.start(ready=False, passing=[("loopback", passed.fileno())])
        assert daemon.process.wait(20) == 78
    assert "use ListenStream=127.0.0.1:PORT" in home.log.read_text()


def test_only_administrators_see_listeners(home: Home) -> None:
    """Errors name paths."""
    listen = loopback_address()
    home.secret("listen", SECRET)
    home.write(PARTNER, daemon=listening(listen))
    daemon = home.start().settled()
    assert [row["name"] for row in daemon.status()["listeners"]] == ["api", "loopback"]
    assert "listeners" not in get(listen, "/v1/status", SECRET).json
