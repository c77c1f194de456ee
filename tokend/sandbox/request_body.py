"""The body of a request: with a Content-Length, or in chunks, as node's http sends it by default (RFC 9112, 7.1)."""

from io import BufferedIOBase
from typing import Protocol

LARGEST_BODY = 64 * 1024  # far above any documented request
_LONGEST_LINE = 1024
_MOST_CHUNKS = 4096


class Headers(Protocol):
    """Header values by name. The name is asked for in lower case; an implementer may hold it in any case."""

    def get(self, name: str, /) -> str | None:
        """Return the value of a header, None if it is absent."""


class BadBodyError(Exception):
    """The body cannot be read. ``status`` is the answer; None if the client has gone."""

    def __init__(self, status: int | None) -> None:
        super().__init__(status)
        self.status = status


def read_body(headers: Headers, stream: BufferedIOBase) -> bytes:
    """Read the whole body.

    Raises `BadBodyError`: 411 without a known length, 413 for a large body, 400 for bad chunks.
    """
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if coding.strip().lower() != "chunked" or headers.get("content-length") is not None:
            raise BadBodyError(411)
        return _chunked(stream)
    length = headers.get("content-length")
    if length is None:
        return b""
    if not (length.isascii() and length.isdigit()):
        raise BadBodyError(411)
    if len(length) > 9 or int(length) > LARGEST_BODY:
        raise BadBodyError(413)
    return _exactly(int(length), stream)


def _chunked(stream: BufferedIOBase) -> bytes:
    body = bytearray()
    for _ in range(_MOST_CHUNKS):
        size = _line(stream).partition(b";")[0].strip()
        if not size or len(size) > 8 or not all(digit in b"0123456789abcdefABCDEF" for digit in size):
            raise BadBodyError(400)
        if (length := int(size, 16)) == 0:
            while _line(stream):  # trailers, to the empty line
                pass
            return bytes(body)
        if len(body) + length > LARGEST_BODY:
            raise BadBodyError(413)
        body += _exactly(length, stream)
        if _line(stream):
            raise BadBodyError(400)
    raise BadBodyError(413)


def _line(stream: BufferedIOBase) -> bytes:
    """Read a line without its end."""
    line = stream.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise BadBodyError(400 if len(line) == _LONGEST_LINE else None)
    return line.rstrip(b"\r\n")


def _exactly(length: int, stream: BufferedIOBase) -> bytes:
    body = stream.read(length)
    if len(body) != length:
        raise BadBodyError(None)
    return body
