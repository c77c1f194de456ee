"""Bounds on what a client can make the server spend: headers, bodies, framing, preparation."""

import pytest

from tests.httpd.served import Served
from tokend.httpd.request_parser import MOST_FRAMING, Limits

CHUNKED = (
    b"POST /v1/tokens/demo/refresh HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)
# What a chunked body may take on the wire, and a slice more.
ENOUGH_BYTES = MOST_FRAMING * Limits().body_bytes + 65536


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


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"2\r\n{}\r\n0\r\nX: ", b"y"),
        (b"2\r\n{}\r\n0\r\n", b"X: y\r\n"),
        (b"2;x=", b"y"),
        (b"1;" + b"x" * 4000 + b"\r\n{\r\n", b"1;" + b"x" * 4000 + b"\r\n \r\n"),
    ],
    ids=["one trailer", "many trailers", "one extension", "many extensions"],
)
def test_what_surrounds_a_chunked_body_is_bounded_too(running: Served, start: bytes, more: bytes) -> None:
    """Trailers and extensions without end are 413, although the body itself is small; nothing reached the engine."""
    with running.client() as client:
        client.send(CHUNKED + start + more * (ENOUGH_BYTES // len(more)))
        reply = client.reply()
        assert (reply.status, reply.code) == (413, "too_large")
        assert client.ends()
    assert running.engine.calls == []


def test_a_body_in_chunks_of_one_byte_passes(running: Served) -> None:
    """The bound on framing is no bound on honest bodies: 64 KiB byte by byte is read."""
    body = b'{"if_generation":1}' + b" " * (Limits().body_bytes - 19)
    with running.client() as client:
        client.send(CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
        assert client.reply().status == 200
    assert running.engine.calls == [("refresh", "demo", 1, "", True)]
