"""Socket activation: the API on a socket that systemd made and keeps."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import Home, until
from tests.daemon.tables import DAEMON, PARTNER, PX


@pytest.fixture
def listening(home: Home) -> Iterator[socket.socket]:
    """What a socket unit makes, where `home` asks."""
    home.socket.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(home.socket))
        home.socket.chmod(0o666)
        server.listen()
        yield server


def test_a_passed_socket_is_served_instead_of_the_configured_one(home: Home, listening: socket.socket) -> None:
    """The configured path is not touched, the log says so, and the socket's file and mode stay its unit's."""
    home.write(PARTNER, daemon=DAEMON.replace("run/t.sock", "run/other.sock"))
    daemon = home.start(passing=[("api", listening.fileno())]).settled()
    assert daemon.lease("partner")["name"] == "partner"
    assert not (home.path / "run" / "other.sock").exists()
    (line,) = daemon.log("socket.activated")
    assert f"path={home.socket}" in line
    assert f"instead_of={home.path}/run/other.sock" in line
    assert f"socket={home.socket}" in daemon.log("daemon.ready")[0]
    assert daemon.end() == 0
    assert home.socket.stat().st_mode & 0o777 == 0o666


@pytest.mark.parametrize("number", [15, 9])
def test_no_reader_is_refused_while_the_daemon_is_away(home: Home, listening: socket.socket, number: int) -> None:
    """A client that connects between two daemons, after a stop as after a crash, waits and is answered by the next."""
    passing = [("api", listening.fileno())]
    daemon = home.start(PX, passing=passing).settled()
    before = daemon.lease("px")["generation"]
    daemon.end(number)
    with socket.socket(socket.AF_UNIX) as reader:
        reader.settimeout(20)
        reader.connect(str(home.socket))
        reader.sendall(b"GET /v1/tokens/px HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        home.start(passing=passing)
        answer = b"".join(iter(lambda: reader.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert f'"generation":{before}'.encode() in answer.replace(b" ", b"")
    assert home.requests("projectx") == 1


def test_somebody_who_takes_the_path_is_not_fought(home: Home, listening: socket.socket) -> None:
    """An inherited socket's path is its unit's: it is neither watched nor taken back."""
    daemon = home.start(PARTNER, passing=[("api", listening.fileno())]).settled()
    away = Path(f"{home.socket}.away")
    home.socket.rename(away)
    with pytest.raises(AssertionError, match="in vain"):
        until(lambda: home.socket.exists(), "the socket's return", seconds=3)
    away.rename(home.socket)
    assert daemon.get("/livez").status == 200
    assert not daemon.log("socket.rebound")


def test_a_socket_with_another_name_is_refused_at_once(home: Home, listening: socket.socket) -> None:
    """Exit 78, which the unit excludes from restarts; the words say what the unit lacks."""
    daemon = home.start(PARTNER, ready=False, passing=[("tokend.socket", listening.fileno())])
    assert daemon.process.wait(20) == 78
    assert "FileDescriptorName=api" in home.log.read_text()
