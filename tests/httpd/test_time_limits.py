"""Time limits of HTTP connections."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.fake_engine import FakeEngine
from tests.httpd.served import Served, eventually, served
from tests.httpd.test_unix_server import LIVE
from tokend.httpd.request_parser import Limits
from tokend.httpd.response import KEEP_ALIVE_SECONDS
from tokend.httpd.time_limits import LONGEST_PAUSE_SECONDS

# The real limits are 2 s and more; the rules are the same at 100 ms.
SHORT = Limits(header_seconds=0.1, body_seconds=0.2, idle_seconds=0.3, write_seconds=0.3)
READ = b"GET /v1/tokens/demo HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n"


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


def test_an_idle_connection_stays_open_longer_than_the_answer_says(running: Served) -> None:
    """Keep-Alive: timeout, on parsed and on prepared answers: a client that closes by it never meets our close."""
    running.engine.hold("demo")
    with running.client() as client:
        for text in (LIVE, READ, READ, READ):
            client.send(text)
            assert client.reply().headers["keep-alive"] == f"timeout={KEEP_ALIVE_SECONDS}"
        client.send(LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        last = client.reply()
        assert last.headers["connection"] == "close"
        assert "keep-alive" not in last.headers
    assert Limits().idle_seconds >= KEEP_ALIVE_SECONDS + 2 * LONGEST_PAUSE_SECONDS
