"""The HTTP server on a Unix socket: time limits, numbers of connections."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.fake_engine import FakeEngine
from tests.httpd.served import Client, Served, eventually, served
from tokend.httpd.request_parser import Limits

# The real limits are 2 s and more; the rules are the same at 100 ms.
SHORT = Limits(header_seconds=0.1, body_seconds=0.2, idle_seconds=0.3, write_seconds=0.3)
READ = b"GET /v1/tokens/demo HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n"
LIVE = b"GET /livez HTTP/1.1\r\n\r\n"


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Served]:
    engine = FakeEngine()
    engine.hold("demo")
    with served(tmp_path, engine, limits=SHORT) as running:
        yield running


@pytest.mark.parametrize("start", [b"", b"G", b"GET /livez HTTP/1.1\r\nX: y\r\n", b"\r\n"])
def test_slow_headers_end_the_connection(hasty: Served, start: bytes) -> None:
    """A client that does not send its headers in time is closed, also if it sends slowly; others are served."""
    with hasty.client() as client:
        client.send(start)
        assert hasty.get("/livez").status == 200
        assert client.ends()


def test_dripping_does_not_buy_time(hasty: Served) -> None:
    """The clock runs from the first byte of the headers, not from the last."""
    with hasty.client() as client:
        client.send(b"GET /livez HTTP/1.1\r\n")
        client.socket.settimeout(0.02)
        for _ in range(500):
            try:
                client.send(b"X: y\r\n")
                ended = client.socket.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                ended = True
            break
        else:
            ended = False
    assert ended


def test_a_slow_body_ends_the_connection(hasty: Served) -> None:
    """The same for a body that does not come."""
    with hasty.client() as client:
        client.send(b"POST /v1/reload HTTP/1.1\r\nContent-Length: 5\r\n\r\n{")
        assert client.ends()
    assert hasty.engine.calls == []


def test_an_idle_connection_is_closed(hasty: Served) -> None:
    """After the idle time without a request the connection ends, recognised reads or not."""
    with hasty.client() as client:
        for text in (READ, READ, LIVE, READ):
            client.send(text)
            assert client.reply().status == 200
        assert client.ends()


def test_a_client_that_never_reads_is_closed(hasty: Served) -> None:
    """Answers that nobody takes are not kept for ever."""
    client = hasty.client()
    client.socket.setblocking(False)
    for _ in range(200):
        try:
            client.socket.send(READ * 100)
        except BlockingIOError:
            break
    assert eventually(lambda: hasty.server.connections == 0)
    client.close()


LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


def test_floods_are_capped_and_the_seats_come_back(tmp_path: Path) -> None:
    """Beyond the limit new connections are closed at once; when one leaves there is room again."""
    with served(tmp_path, limits=Limits(max_connections=5, header_seconds=30)) as running:
        clients = [running.client() for _ in range(5)]
        for client in clients:
            client.send(LIVE)
            assert client.reply().status == 200
        for _ in range(20):
            with running.client() as refused:
                assert refused.ends()
        clients[0].send(LIVE)
        assert clients[0].reply().status == 200
        clients[1].close()
        assert eventually(lambda: running.server.connections == 4)
        assert running.get("/livez").status == 200
        for client in clients:
            client.close()


def test_one_uid_cannot_take_all_seats(tmp_path: Path) -> None:
    """The limit per uid holds although there is room in all."""
    with served(tmp_path, limits=Limits(max_connections_per_uid=2, header_seconds=30)) as running:
        with running.client() as one, running.client() as two:
            for client in (one, two):
                client.send(LIVE)
                assert client.reply().status == 200
            with running.client() as refused:
                assert refused.ends()
        assert eventually(lambda: running.server.connections == 0)
        assert running.get("/livez").status == 200


def test_passed_descriptors_are_not_received(running: Served) -> None:
    """Descriptors sent along with a request do not arrive in the daemon; from Linux 6.16 on, sending them fails."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Client(running.path) as client, Path("/dev/null").open() as null:
        try:
            socket.send_fds(client.socket, [LIVE], [null.fileno()] * 10)
        except PermissionError:
            client.send(LIVE)
        assert client.reply().status == 200
        assert len(list(Path("/proc/self/fd").iterdir())) < before + 10
