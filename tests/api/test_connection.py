"""How the server copes with clients: polite, odd, slow and rude ones."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.fake_engine import RAW, FakeEngine
from tests.api.served import Client, Served, eventually, served
from tokend.api.parsing import Limits

# The real limits are 2 s and more; the rules are the same at 100 ms.
SHORT = Limits(header_seconds=0.1, body_seconds=0.2, idle_seconds=0.3, write_seconds=0.3)
READ = b"GET /v1/tokens/demo HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n"
LIVE = b"GET /livez HTTP/1.1\r\n\r\n"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Served]:
    engine = FakeEngine()
    engine.hold("demo")
    engine.offer("wallet")
    with served(tmp_path, engine) as running:
        yield running


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Served]:
    engine = FakeEngine()
    engine.hold("demo")
    with served(tmp_path, engine, limits=SHORT) as running:
        yield running


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


@pytest.mark.parametrize(
    "text",
    [
        b"GET /livez HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"y" * 1000) for i in range(17)) + b"\r\n",
        b"GET /livez HTTP/1.1\r\nX: " + b"y" * 17000 + b"\r\n\r\n",
        b"GET /" + b"y" * 17000 + b" HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nX: " + b"y" * 30000,
    ],
)
def test_headers_above_16_kib_are_431(running: Served, text: bytes) -> None:
    """Many headers, one long one, a long target, and one that never ends."""
    with running.client() as client:
        client.send(text)
        reply = client.reply()
        assert (reply.status, reply.code) == (431, "too_large")
        assert client.ends()


def test_headers_just_below_the_limit_pass(running: Served) -> None:
    """16 KiB is the limit, not less."""
    assert running.get("/livez", X="y" * 16000).status == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_64_kib_is_413(running: Served, chunked: bool) -> None:
    """Announced or chunked, the client can finish sending and still reads the refusal; nothing reached the engine."""
    size = 70000
    how = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"x" * size) if chunked else b"x" * size
    with running.client() as client:
        client.send(b"POST /v1/tokens/wallet/issue HTTP/1.1\r\n" + how + b"\r\n\r\n" + body)
        reply = client.reply()
        assert (reply.status, reply.code) == (413, "too_large")
        assert client.ends()
    assert running.engine.calls == []


def test_a_body_of_64_kib_is_read(running: Served) -> None:
    """The limit itself is allowed."""
    body = b'{"a":"' + b"x" * (64 * 1024 - 8) + b'"}'
    assert running.post("/v1/tokens/wallet/issue", body).status == 201


@pytest.mark.parametrize("start", [b"", b"G", b"GET /livez HTTP/1.1\r\nX: y\r\n", b"\r\n"])
def test_slow_headers_end_the_connection(hasty: Served, start: bytes) -> None:
    """Whoever has not sent the headers in time is closed, however it dripped; others are served meanwhile."""
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
    """Descriptors sent along with a request do not arrive in the daemon."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Client(running.path) as client, Path("/dev/null").open() as null:
        socket.send_fds(client.socket, [LIVE], [null.fileno()] * 10)
        assert client.reply().status == 200
        assert len(list(Path("/proc/self/fd").iterdir())) < before + 10


def test_unknown_upgrades_are_answered_plainly(running: Served) -> None:
    """An offer to speak another protocol is declined by answering in this one."""
    with running.client() as client:
        client.send(b"GET /livez HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n")
        assert client.reply().status == 200
        assert client.ends()
    with running.client() as client:
        client.send(b"CONNECT localhost:80 HTTP/1.1\r\n\r\nrubbish")
        assert client.reply().status in (400, 405)
