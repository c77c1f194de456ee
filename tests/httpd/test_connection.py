"""The connection itself: order, framing, and what is no HTTP, over a real Unix socket."""

import socket
from collections.abc import Callable

import pytest

from tests.api.fake_engine import RAW
from tests.httpd.served import Served, eventually

READ = b"GET /v1/tokens/demo HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n"
LIVE = b"GET /livez HTTP/1.1\r\n\r\n"


def test_many_requests_share_one_connection(running: Served) -> None:
    """Keep-alive is the default, for recognised and for parsed requests in any mixture."""
    with running.client() as client:
        for _ in range(5):
            client.send(READ)
            assert client.reply().body == RAW.encode()
            client.send(LIVE)
            assert client.reply().json == {"live": True}


@pytest.mark.parametrize("count", [2, 50, 3000])
def test_pipelined_requests_are_answered_in_order(running: Served, count: int) -> None:
    """Slow and fast ones in one burst, more than any buffer holds, come back in the order they were sent."""
    with running.client() as client:
        client.send(b"".join(READ if i % 3 else LIVE for i in range(min(count, 400))))
        for i in range(min(count, 400)):
            assert client.reply().body == (RAW.encode() if i % 3 else b'{"live":true}')
        client.send(READ * (count // 10))  # more than the socket buffers: the server must wait for us
        for _ in range(count // 10):
            assert client.reply().status == 200


def test_a_client_that_reads_late_loses_nothing(running: Served) -> None:
    """Thousands of answers to a client that sends first and reads afterwards, without unbounded memory."""
    count = 4000
    with running.client() as client:
        client.socket.setblocking(False)
        text, received = READ * count, b""
        sent = 0
        while sent < len(text):
            try:
                sent += client.socket.send(text[sent : sent + 65536])
            except BlockingIOError:
                client.socket.settimeout(10)
                received += client.socket.recv(1 << 20)
                client.socket.setblocking(False)
        client.socket.settimeout(10)
        client.socket.shutdown(socket.SHUT_WR)
        while part := client.socket.recv(1 << 20):
            received += part
    assert received.count(b"HTTP/1.1 200 OK") == received.count(RAW.encode()) == count


@pytest.mark.parametrize("text", [READ, LIVE, READ + LIVE + READ])
def test_a_half_closed_client_gets_its_answers(running: Served, text: bytes) -> None:
    """Shutting down the sending side after the request is polite: everything asked is answered, then the end."""
    for _ in range(2):
        with running.client() as client:
            client.send(text)
            client.socket.shutdown(socket.SHUT_WR)
            for _ in range(text.count(b"GET")):
                assert client.reply().status == 200
            assert client.ends()


def test_a_request_may_come_byte_by_byte(running: Served) -> None:
    """Where the pieces end does not matter, also where a recognised text follows a half one."""
    with running.client() as client:
        client.send(READ)
        assert client.reply().status == 200
        for i in range(len(READ)):
            client.send(READ[i : i + 1])
        assert client.reply().body == RAW.encode()
        client.send(READ[:-2])
        client.send(b"\r\n" + READ)
        assert client.reply().body == client.reply().body == RAW.encode()


def test_a_recognised_text_inside_a_body_is_only_a_body(running: Served) -> None:
    """Recognition happens between requests only: a body that looks like a request is not answered as one."""
    with running.client() as client:
        client.send(READ)
        client.reply()
        head = b"POST /v1/tokens/demo/refresh HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        client.send(head % len(READ))
        assert not running.inside(lambda: running.engine.calls)
        client.send(READ)
        assert client.reply().code == "bad_request"
        client.send(LIVE)
        assert client.reply().json == {"live": True}


def test_chunked_bodies_are_read(running: Served) -> None:
    """Transfer-Encoding: chunked, trailers included."""
    with running.client() as client:
        client.send(
            b"POST /v1/tokens/demo/refresh HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
            b'\r\n8\r\n{"if_gen\r\nb\r\neration":3}\r\n0\r\nOrigin: trailer\r\n\r\n'
        )
        assert client.reply().status == 200
    assert running.engine.calls == [("refresh", "demo", 3, "", True)]


def test_expect_100_continue_is_honoured(running: Served) -> None:
    """The interim answer comes before the body is sent, unless the body would be refused anyway."""
    head = "POST /v1/tokens/demo/refresh HTTP/1.1\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    with running.client() as client:
        client.send(f"{head}Content-Length: 2\r\n\r\n".encode())
        assert client.reply().status == 100
        client.send(b"{}")
        assert client.reply().status == 200
    with running.client() as client:
        client.send(f"{head}Content-Length: 65537\r\n\r\n".encode())
        assert client.reply().status == 413


@pytest.mark.parametrize("extra", [b"Connection: close\r\n", b""])
def test_the_connection_ends_where_the_client_wishes(running: Served, extra: bytes) -> None:
    """Connection: close, and HTTP/1.0 without keep-alive: one answer that says so, then the end."""
    version = b"1.1" if extra else b"1.0"
    for _ in range(2):
        with running.client() as client:
            client.send(b"GET /v1/tokens/demo HTTP/" + version + b"\r\n" + extra + b"\r\n")
            reply = client.reply()
            assert (reply.status, reply.headers["connection"]) == (200, "close")
            assert client.ends()


def test_http_1_0_with_keep_alive_goes_on(running: Served) -> None:
    """An old client that asks for keep-alive has it."""
    with running.client() as client:
        for _ in range(3):
            client.send(b"GET /v1/tokens/demo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert client.reply().status == 200


def test_the_absolute_form_is_understood(running: Served) -> None:
    """A client that treats the socket as a proxy sends the whole address."""
    assert running.get("http://localhost/livez").status == 200
    assert running.get("http://localhost/v1/tokens/demo").status == 200


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad_request"),
        (b"hello\r\n\r\n", 400, "bad_request"),
        (b"GET /livez HTTP/9.9\r\n\r\n", 400, "bad_request"),
        (b"GET /livez HTTP/1.1\r\nBad Header: x\r\n\r\n", 400, "bad_request"),
        (b"GET /livez HTTP/1.1\r\nX: a\x00b\r\n\r\n", 400, "bad_request"),
        (b"POST /v1/reload HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400, "bad_request"),
        (b"POST /v1/reload HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, "bad_request"),
        (b"POST /v1/reload HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400, "bad_request"),
        (b"POST /v1/reload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad_request"),
        (b"BREW /v1/status HTTP/1.1\r\n\r\n", 405, "not_supported"),
        (b"PROPFIND /v1/status HTTP/1.1\r\n\r\n", 405, "not_supported"),
        (b"GET /v1/tokens/\xff\xfe HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET /v1/tokens/%ff HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET /v1/tokens/a%00b HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET * HTTP/1.1\r\n\r\n", 400, "bad_request"),
    ],
)
def test_nonsense_is_refused_and_harms_nobody(running: Served, text: bytes, status: int, code: str) -> None:
    """What is no request gets a problem document; the server lives on."""
    with running.client() as client:
        client.send(text)
        reply = client.reply()
        assert (reply.status, reply.code) == (status, code)
    assert running.get("/livez").status == 200


def test_what_was_asked_before_the_nonsense_is_answered_first(running: Served) -> None:
    """A refusal keeps its place in the order and ends the connection."""
    with running.client() as client:
        client.send(LIVE + READ + b"\x00nonsense\r\n\r\n" + LIVE)
        assert [client.reply().status for _ in range(3)] == [200, 200, 400]
        assert client.ends()


def test_what_follows_a_connect_is_not_read(running: Served) -> None:
    """CONNECT is refused, and the bytes after it, which are not HTTP, end with the connection."""
    with running.client() as client:
        client.send(b"CONNECT localhost:80 HTTP/1.1\r\n\r\nrubbish")
        assert client.reply().status in (400, 405)


def test_requests_that_do_not_wait_for_answers_are_answered_in_turn(
    running: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests after the first of a burst are held back by the listener. Those of another client are not."""
    turns: list[Callable[[], object]] = []
    monkeypatch.setattr(running.server.listener.turns, "take", turns.append)
    with running.client() as client:
        client.send(LIVE * 3)
        for waiting in (2, 1):
            assert client.reply().json == {"live": True}
            assert eventually(lambda: len(turns) == 1), waiting
            client.send(LIVE)  # more bytes do not change that
            assert running.get("/livez").status == 200
            assert running.inside(lambda: len(turns)) == 1
            running.inside(turns.pop())
        monkeypatch.undo()
        running.inside(lambda: [turn() for turn in turns])
        for _ in range(3):
            assert client.reply().json == {"live": True}
