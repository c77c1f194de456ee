"""Connections that are answered before they have a transport."""

import errno
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.api.fake_engine import FakeEngine
from tests.httpd.served import Served, eventually, served
from tokend.httpd.bare_socket import BareConnection
from tokend.httpd.listener import PAUSE_SECONDS
from tokend.httpd.unix_socket import SocketFile
from tokend.plugin.settings import Access

READ = b"GET /v1/tokens/demo HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_a_second_client_with_the_same_text_needs_no_transport(running: Served) -> None:
    """What was asked before is answered by a bare socket; the same answer, counted the same."""
    with running.client() as first, running.client() as second:
        first.send(READ)
        expected = first.reply()
        second.send(READ)
        assert second.reply() == expected
        assert (
            sum(
                isinstance(c, BareConnection) for c in running.inside(lambda: list(running.server.listener.connections))
            )
            == 1
        )
    assert running.inside(running.service.requests)["demo", 200] == 2


def test_an_arrival_goes_on_as_a_connection(running: Served) -> None:
    """A second request on the same connection is answered in order, whatever it is, and so are those after it."""
    with running.client() as other:
        other.send(READ)
        other.reply()
    with running.client() as client:
        for target, status in (("/v1/tokens/demo", 200), ("/v1/tokens/none", 404), ("/livez", 200)):
            client.send(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert client.reply().status == status


@pytest.mark.skipif(os.geteuid() != 0 or not (shutil.which("setpriv") and shutil.which("curl")), reason="not root")
def test_a_remembered_text_is_no_way_around_access() -> None:
    """A text that another peer may have asked is answered only to those that `access` lets read."""
    engine = FakeEngine()
    engine.hold("demo", access=Access(users=("54321",)))
    directory = Path(tempfile.mkdtemp(prefix="tk-"))
    directory.chmod(0o755)
    try:
        with served(directory, engine, place=SocketFile(directory / "tokend.sock", mode=0o666)) as running:
            assert [_curl(running, uid) for uid in (54321, 54321, 54322, 54321)] == ["200", "200", "404", "200"]
            assert len(running.inside(lambda: running.service.answers.texts)) == 1
    finally:
        shutil.rmtree(directory)


def _curl(running: Served, uid: int) -> str:
    """Read the token as another user; the status. The request's text is the same each time."""
    who = ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
    curl = ("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", str(running.path))
    argv = (*who, *curl, "http://localhost/v1/tokens/demo")
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout


def test_an_answer_larger_than_the_socket_takes_arrives_whole(tmp_path: Path) -> None:
    """What does not fit at once is sent by the connection that the arrival becomes."""
    engine = FakeEngine()
    engine.hold("demo", value="x" * 3_000_000)
    with served(tmp_path, engine) as running, running.client() as first, running.client() as second:
        for client in (first, second):
            client.send(READ)
            assert client.reply().json["access_token"] == "x" * 3_000_000


def test_a_silent_arrival_costs_its_place_when_it_goes(running: Served) -> None:
    """Connections that never say a word are struck out as they leave."""
    clients = [running.client() for _ in range(20)]
    assert eventually(lambda: running.server.connections == 20)
    for client in clients:
        client.close()
    assert eventually(lambda: running.server.connections == 0)


class FullTable:
    """A listening socket for which there is no descriptor left until `room`."""

    def __init__(self, real: socket.socket) -> None:
        self.real, self.family, self.shutdown = real, real.family, real.shutdown
        self.room = False
        self.times: list[float] = []
        self.fileno, self.close = real.fileno, real.close

    def _accept(self) -> tuple[int, object]:
        if self.room:
            return self.real._accept()  # type: ignore[attr-defined, no-any-return]  # typeshed does not have it
        self.times.append(time.monotonic())
        raise OSError(errno.EMFILE, "fake")


def test_without_a_descriptor_it_looks_again_without_haste(running: Served) -> None:
    """docs/promises.md 71: the listener stays readable all the while; looking at once would be a busy loop."""
    listener = running.server.listener
    assert listener._socket is not None
    full = FullTable(listener._socket)
    running.inside(lambda: setattr(listener, "_socket", full))
    with running.client() as client:
        client.send(READ)
        assert eventually(lambda: len(full.times) >= 3)
        assert full.times[2] - full.times[0] >= 2 * PAUSE_SECONDS * 0.9
        full.room = True
        assert client.reply().status == 200
