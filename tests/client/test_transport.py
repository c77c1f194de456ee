"""One exchange over the socket: what is sent, and what becomes of every kind of wrong answer.

The tests that ask run twice: in a thread, and on an event loop of asyncio.
"""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import PATIENCE_SECONDS, eventually, short_directory
from tests.client.fake_daemon import answering, http, silence_of
from tokend.client import DeniedError, NotRunningError, WaitTimeoutError, async_transport, transport
from tokend.client.transport import LARGEST_ANSWER_BYTES, find_socket, usual_places

Exchange = Callable[..., tuple[int, dict[str, str], bytes]]


def on_a_loop(*arguments: Any, **options: Any) -> tuple[int, dict[str, str], bytes]:
    """Make one exchange by asyncio, in a loop of its own."""
    return asyncio.run(async_transport.exchange(*arguments, **options))


@pytest.fixture(params=[transport.exchange, on_a_loop], ids=["thread", "asyncio"])
def exchange(request: pytest.FixtureRequest) -> Exchange:
    """Each way to make an exchange."""
    found: Exchange = request.param
    return found


def finds_a_socket() -> bool:
    """Whether a client without any setting would connect: by its own rule, as no path may be visible to this user."""
    try:
        find_socket(None, {})
    except NotRunningError:
        return False
    return True


def test_a_request_is_plain_http(exchange: Exchange) -> None:
    """Method, target, Host, the headers given, no body and no length for a GET."""
    with answering(http(b"{}")) as fake:
        exchange(fake.path, "GET", "/v1/tokens", headers=[("Accept", "text/plain")])
        exchange(fake.path, "POST", "/v1/reload")
        exchange(fake.path, "POST", "/x", body=b"{}")
    assert fake.requests == [
        b"GET /v1/tokens HTTP/1.1\r\nHost: tokend\r\nConnection: close\r\nAccept: text/plain\r\n\r\n",
        b"POST /v1/reload HTTP/1.1\r\nHost: tokend\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: tokend\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
    ]


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200 OK\r\ncontent-LENGTH:3\r\n\r\nabcdef", b"abc"),
        (b"HTTP/1.0 200 OK\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", b"abc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"HTTP/1.1 200\r\n\r\n", b""),
    ],
)
def test_bodies_are_read_as_their_headers_delimit_them(exchange: Exchange, answer: bytes, body: bytes) -> None:
    """By length, in chunks, or to the end of the connection."""
    with answering(answer) as fake:
        status, _, found = exchange(fake.path, "GET", "/")
    assert (status, found) == (200, body)


def test_an_answer_in_many_small_pieces_is_put_together(exchange: Exchange) -> None:
    """The socket is a stream: pieces mean nothing."""

    def drip(connection: socket.socket) -> None:
        for byte in http(b'{"a": 1}'):
            connection.sendall(bytes([byte]))

    with answering(drip) as fake:
        assert exchange(fake.path, "GET", "/")[2] == b'{"a": 1}'


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail.example ESMTP\r\n\r\n",
        b"+PONG\r\n",
        b"\x00\x01\x02\x03",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"\r\n\r\n",
    ],
)
def test_what_does_not_speak_http_is_not_tokend(exchange: Exchange, answer: bytes) -> None:
    """Something else listens there: `NotRunningError`, and the path."""
    with answering(answer) as fake, pytest.raises(NotRunningError, match="is not tokend") as caught:
        exchange(fake.path, "GET", "/")
    assert fake.path in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_half_an_answer_is_none(exchange: Exchange, answer: bytes) -> None:
    """A torn answer is never taken for a whole one."""
    with answering(answer) as fake, pytest.raises(NotRunningError, match="is incomplete"):
        exchange(fake.path, "GET", "/")


def test_an_answer_of_small_chunks_takes_no_longer_than_one_of_large_ones(exchange: Exchange) -> None:
    """A server that sends 16 MB, a byte in each chunk, keeps a client busy for a moment, not for hours."""
    number = LARGEST_ANSWER_BYTES // 6 - 100
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * number + b"0\r\n\r\n"
    started = time.process_time()
    with answering(answer) as fake:
        assert exchange(fake.path, "GET", "/")[2] == b"x" * number
    assert time.process_time() - started < PATIENCE_SECONDS


def test_an_endless_head_is_not_tokends(exchange: Exchange) -> None:
    """Millions of header lines would take more memory than the answer."""
    answer = b"HTTP/1.1 200 OK\r\n" + b"a\r\n" * 100_000 + b"\r\n"
    with answering(answer) as fake, pytest.raises(NotRunningError, match="its answer has 300015 bytes of headers"):
        exchange(fake.path, "GET", "/")


def test_a_connection_that_closes_without_an_answer_is_a_daemon_that_stops(exchange: Exchange) -> None:
    """No byte: said as it is."""
    with answering(b"") as fake, pytest.raises(NotRunningError, match="without an answer: is it stopping"):
        exchange(fake.path, "GET", "/")


def test_an_answer_without_end_is_cut_off(exchange: Exchange) -> None:
    """Memory is bounded, whatever listens there."""

    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(bytes(1 << 20))

    with answering(flood) as fake, pytest.raises(NotRunningError, match=f"more than {LARGEST_ANSWER_BYTES // 10**6}"):
        exchange(fake.path, "GET", "/")


def test_silence_ends_with_the_timeout(exchange: Exchange) -> None:
    """The timeout is for the whole exchange, also where bytes keep dripping in."""
    for dripping in (False, True):
        over = threading.Event()

        def stall(connection: socket.socket, dripping: bool = dripping, over: threading.Event = over) -> None:
            while not over.wait(0.02):
                if dripping:
                    connection.sendall(b"H")

        with answering(stall) as fake:
            began = time.monotonic()
            try:
                with pytest.raises(WaitTimeoutError, match=r"did not answer within 0\.2 s") as caught:
                    exchange(fake.path, "GET", "/", timeout=0.2)
            finally:
                over.set()
        assert caught.value.code == "timeout"
        assert time.monotonic() - began < PATIENCE_SECONDS / 2


def test_an_answer_before_the_whole_request_was_read_counts(exchange: Exchange) -> None:
    """A refusal of a large body is heard, although the other side has closed by then."""
    with short_directory() as directory, socket.socket(socket.AF_UNIX) as server:
        path = str(directory / "a.sock")
        server.bind(path)
        server.listen()
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(exchange(path, "POST", "/", body=bytes(100_000))[0]))
        thread.start()
        connection, _ = server.accept()
        connection.sendall(http(b"{}", status=413))
        connection.recv(10)
        connection.close()
        thread.join(PATIENCE_SECONDS)
    assert found == [413]


def test_a_daemon_with_a_full_queue_is_waited_for(exchange: Exchange) -> None:
    """EAGAIN at connect: the daemon is busy, not away."""
    with short_directory() as directory, socket.socket(socket.AF_UNIX) as server:
        path = str(directory / "a.sock")
        server.bind(path)
        server.listen(0)
        waiting = socket.socket(socket.AF_UNIX)
        waiting.connect(path)
        with pytest.raises(WaitTimeoutError):
            exchange(path, "GET", "/", timeout=0.2)
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(exchange(path, "GET", "/")[0]))
        thread.start()
        for answer in (b"", http(b"{}", status=204)):
            connection, _ = server.accept()
            connection.sendall(answer)
            if answer:
                connection.recv(1000)
            connection.close()
        thread.join(PATIENCE_SECONDS)
        waiting.close()
    assert found == [204]


def test_nobody_at_the_socket_is_no_daemon(exchange: Exchange) -> None:
    """Missing, dead, no socket at all, a path that no socket can have."""
    with short_directory() as directory:
        silence_of(directory / "dead")
        (directory / "file").write_text("")
        for name in ("missing", "dead", "file", "x" * 200):
            with pytest.raises(NotRunningError, match=r"no daemon at .*: is it running") as caught:
                exchange(str(directory / name), "GET", "/")
            assert name in str(caught.value)


def test_a_reading_that_a_dying_daemon_took_with_it_is_asked_once_more(exchange: Exchange) -> None:
    """Under socket activation the next daemon answers; two closed doors in a row are an error."""
    with answering(b"", http(b"{}")) as fake:
        assert exchange(fake.path, "GET", "/v1/status")[0] == 200
        assert fake.heads() == ["GET /v1/status HTTP/1.1"] * 2
    with answering(b"") as fake:
        with pytest.raises(NotRunningError, match="without an answer"):
            exchange(fake.path, "GET", "/v1/status")
        assert len(fake.requests) == 2


def test_what_may_have_had_an_effect_is_not_asked_twice(exchange: Exchange) -> None:
    """A POST that was not answered may have been carried out."""
    with answering(b"", http(b"{}")) as fake:
        with pytest.raises(NotRunningError, match="without an answer"):
            exchange(fake.path, "POST", "/v1/tokens/tt/refresh")
        assert len(fake.requests) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything; tests of the command line cover it for root")
def test_a_socket_without_permission_is_denied(exchange: Exchange) -> None:
    """Exit code 6, and whose socket it is."""
    with answering(b"") as fake:
        Path(fake.path).chmod(0)
        with pytest.raises(DeniedError, match=r"you may not open .*: it belongs to"):
            exchange(fake.path, "GET", "/")


def test_the_socket_is_looked_for_in_the_promised_order() -> None:
    """Explicit, $TOKEND_SOCKET, $XDG_RUNTIME_DIR, /run/tokend, /run; an empty variable is none."""
    usual = ["/run/tokend/tokend.sock", "/run/tokend.sock"]
    assert usual_places({}) == usual
    assert usual_places({"XDG_RUNTIME_DIR": ""}) == usual
    assert usual_places({"XDG_RUNTIME_DIR": "/run/user/7"}) == ["/run/user/7/tokend/tokend.sock", *usual]
    assert find_socket("/a", {"TOKEND_SOCKET": "/b"}) == "/a"
    assert find_socket(None, {"TOKEND_SOCKET": "/b"}) == "/b"
    with short_directory() as directory:
        (directory / "tokend").mkdir()
        silence_of(directory / "tokend" / "tokend.sock")
        environ = {"TOKEND_SOCKET": "", "XDG_RUNTIME_DIR": str(directory)}
        assert find_socket(None, environ) == str(directory / "tokend" / "tokend.sock")


@pytest.mark.skipif(finds_a_socket(), reason="a tokend runs on this machine")
def may_be_there(place: str) -> bool:
    """Whether a socket is there, or may be."""
    try:
        Path(place).stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def test_where_no_socket_is_found_every_place_is_named() -> None:
    """Nothing in the usual places: all of them, and how to name another one.

    A machine with a tokend, or with a place that this user may not look into, has one that the client takes.
    """
    environ = {"XDG_RUNTIME_DIR": "/nonexistent"}
    if taken := [place for place in usual_places(environ) if may_be_there(place)]:
        assert find_socket(None, environ) == taken[0]
        return
    with pytest.raises(NotRunningError) as caught:
        find_socket(None, environ)
    assert "/nonexistent/tokend/tokend.sock or /run/tokend/tokend.sock or /run/tokend.sock" in str(caught.value)
    assert "$TOKEND_SOCKET" in str(caught.value)


def test_no_descriptor_is_left_open(exchange: Exchange) -> None:
    """Whatever happens, the connection is closed."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with answering(b"", http(b"{}"), b"junk") as fake:
        for _ in range(6):
            try:
                exchange(fake.path, "GET", "/")
            except NotRunningError:
                continue
    assert eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)
