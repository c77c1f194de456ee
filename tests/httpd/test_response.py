"""HTTP responses as bytes."""

from collections.abc import AsyncGenerator

from tokend.httpd.response import PLAIN_TYPE, Response, json_response


async def nothing() -> AsyncGenerator[bytes, None]:
    """Yield one line."""
    yield b"line\n"


def test_a_response_is_its_head_an_empty_line_and_its_body() -> None:
    """No cache may keep an answer; the length counts bytes."""
    response = Response(200, "ü".encode(), PLAIN_TYPE, (("ETag", '"7"'),))
    assert response.encode(close=False) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n"
        b'Cache-Control: no-store\r\nETag: "7"\r\n\r\n\xc3\xbc'
    )


def test_the_end_of_the_connection_is_announced() -> None:
    """The client must not send its next request there."""
    assert b"\r\nConnection: close\r\n" in Response(200).encode(close=True)
    assert b"Connection" not in Response(200).encode(close=False)


def test_a_head_has_the_length_of_the_body_that_it_leaves_out() -> None:
    """RFC 9110, section 9.3.2."""
    whole = Response(200, b"four")
    assert whole.encode(close=False, head_only=True) + b"four" == whole.encode(close=False)


def test_what_has_no_known_length_does_not_name_one() -> None:
    """A stream ends with its connection, and a 304 has no body (RFC 9110, section 15.4.5)."""
    for response in (Response(200, stream=nothing()), Response(304, content_type=None)):
        assert b"Content-Length" not in response.encode(close=True)
    assert b"Content-Type" not in Response(304, content_type=None).encode(close=False)


def test_the_repr_shows_no_body() -> None:
    """Most bodies hold a token."""
    assert "planted" not in repr(json_response({"access_token": "planted-fake-token"}))
    assert json_response({"a": 1}).body == b'{"a":1}'
