"""Bodies of requests to the sandbox, as programs send them."""

import http.client
import io
from urllib.parse import urlsplit

import pytest

from tests.sandbox.player import Play
from tokend.sandbox.request_body import LARGEST_BODY, BadBodyError, read_body

CHUNKED = {"transfer-encoding": "Chunked"}


def read(data: bytes, **headers: str) -> bytes:
    """Read a body in chunks, or with the given headers."""
    return read_body({name.replace("_", "-"): value for name, value in headers.items()} or CHUNKED, io.BytesIO(data))


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"1\r\nh\r\n4;name=value\r\nello\r\n0\r\nTrailer: x\r\n\r\nGET /next", b"hello"),
        (b"00A\r\n0123456789\r\n000\r\n\r\n", b"0123456789"),
    ],
)
def test_chunks_are_joined(data: bytes, body: bytes) -> None:
    """Extensions and trailers do not matter."""
    assert read(data) == body


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", None),
        (b"5\r\nhel", None),
        (b"x\r\nhello\r\n0\r\n\r\n", 400),
        (b"-1\r\n\r\n", 400),
        (b"5\r\nhelloX\r\n0\r\n\r\n", 400),
        (b"\r\n", 400),
        (b"1" * 2000, 400),
        (b"fffffff\r\n", 413),
        (b"1\r\nx\r\n" * 5000, 413),
    ],
)
def test_bad_chunks_are_refused(data: bytes, status: int | None) -> None:
    """None where the client has gone."""
    with pytest.raises(BadBodyError) as refused:
        read(data)
    assert refused.value.status == status


def test_a_length_is_a_number_within_the_limit() -> None:
    """No header is an empty body."""
    assert read(b"hello, more", content_length="5") == b"hello"
    assert read(b"x", host="localhost") == b""
    for length, status in (("x", 411), ("", 411), (str(LARGEST_BODY + 1), 413), ("9" * 20, 413), ("9", None)):
        with pytest.raises(BadBodyError) as refused:
            read(b"hello", content_length=length)
        assert refused.value.status == status


def test_a_request_in_chunks_is_answered_and_the_connection_goes_on(play: Play) -> None:
    """As node's http.request and requests' generators send it."""
    address = urlsplit(play().sandbox.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    account = [b'{"userName":"sandbox-user",', b'"apiKey":"sandbox-projectx-key"}']
    for _ in range(2):
        connection.request(
            "POST", "/api/Auth/loginKey", iter(account), {"Content-Type": "application/json"}, encode_chunked=True
        )
        reply = connection.getresponse()
        assert (reply.status, b'"success":true' in reply.read()) == (200, True)
    connection.close()
