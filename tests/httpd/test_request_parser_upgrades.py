"""Requests that offer another protocol: the offer is ignored, the body counts, and later requests are read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokend.access.peer import Peer
from tokend.httpd.problem import RequestError
from tokend.httpd.request import Request
from tokend.httpd.request_parser import SLICE_BYTES, Limits, RequestReader

BODY = b'{"if_generation": 1}'
OFFERS = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    b"upgrade: h2c\r\nconnection: keep-alive, upgrade\r\n",
    b"Upgrade: TLS/1.3\r\nConnection: Upgrade\r\nConnection: HTTP2-Settings\r\n",
)
VERBS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"BREW")
PLAIN = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"


def read(data: bytes, size: int = SLICE_BYTES, limits: Limits | None = None) -> list[Request | RequestError]:
    """Everything that a reader makes of the bytes, given in slices."""
    reader = RequestReader(Peer(0, frozenset()), limits or Limits())
    found: list[Request | RequestError] = []
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
        found += reader.due
        reader.due.clear()
    assert not reader.in_message
    reader.close()
    return found


def framed(body: bytes | None, *, chunked: bool) -> bytes:
    """The framing headers, the end of the head, and the body."""
    if body is None:
        return b"\r\n"
    if chunked:
        chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        return b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\nX: trailer\r\n\r\n"
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.sampled_from(VERBS),
    st.sampled_from(OFFERS),
    st.sampled_from([None, b"", BODY, b"GET / HTTP/1.1\r\n\r\n", b"x" * 5000]),
    st.booleans(),
    st.sampled_from([1, 7, 100, SLICE_BYTES]),
    st.integers(1, 3),
)
def test_an_offered_upgrade_changes_nothing(
    verb: bytes, offer: bytes, body: bytes | None, chunked: bool, size: int, count: int
) -> None:
    """Each request is the same as without the offer, with its body, also in a pipeline and however it is cut."""
    if verb == b"BREW":
        size, count = SLICE_BYTES, 1  # such a verb is known only at the beginning of a slice
    text = verb + b" /a?b=c HTTP/1.1\r\nHost: x\r\n" + offer + framed(body, chunked=chunked)
    found = read(text * count + PLAIN, size)
    assert [type(one) for one in found] == [Request] * (count + 1)
    for one in found[:-1]:
        assert isinstance(one, Request)
        assert (one.method, one.target, one.body) == (verb.decode(), b"/a?b=c", body or b"")
        assert one.keep_alive
        assert one.header(b"upgrade") is not None
        assert one.header(b"host") == "x"
    assert isinstance(found[-1], Request)
    assert found[-1].target == b"/next"


def test_an_offer_with_connection_close_still_closes() -> None:
    """The other options of the Connection header count as without the offer; HTTP/1.0 ends by default."""
    offer = b"Upgrade: h2c\r\nConnection: Upgrade, close\r\nContent-Length: 2\r\n\r\n{}"
    for text, keep in (
        (b"POST / HTTP/1.1\r\n" + offer, False),
        (b"POST / HTTP/1.0\r\n" + offer.replace(b", close", b""), False),
        (b"POST / HTTP/1.0\r\n" + offer.replace(b"close", b"keep-alive"), True),
    ):
        (request, *later) = read(text + PLAIN)
        assert isinstance(request, Request)
        assert (request.body, request.keep_alive, len(later)) == (b"{}", keep, int(keep))


@pytest.mark.parametrize(
    ("framing", "status"),
    [
        (b"Content-Length: 70000\r\n\r\n", 413),
        (b"Transfer-Encoding: chunked\r\n\r\n11170\r\n" + b"x" * 70000 + b"\r\n0\r\n\r\n", 413),
        (b"Transfer-Encoding: gzip\r\n\r\n{}", 400),
        (b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400),
        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"X: " + b"y" * 17000 + b"\r\n\r\n", 431),
    ],
)
def test_limits_and_framing_errors_hold_with_an_offer(framing: bytes, status: int) -> None:
    """An offer is no way around the limits, and nothing is read after a refusal."""
    found = read(b"POST / HTTP/1.1\r\n" + OFFERS[0] + framing + PLAIN)
    assert [one.status for one in found if isinstance(one, RequestError)] == [status]
    assert len(found) == 1


def test_bytes_after_connect_are_not_http() -> None:
    """CONNECT has no body, and a client may send the tunnel's bytes at once: the connection ends after the refusal."""
    (request,) = read(b"CONNECT localhost:80 HTTP/1.1\r\nHost: x\r\n\r\n" + PLAIN)
    assert isinstance(request, Request)
    assert (request.method, request.keep_alive) == ("CONNECT", False)
