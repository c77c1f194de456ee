"""Bytes to requests, within limits: httptools' callbacks and nothing else. When to parse is `connection`'s part."""

import re
from collections import deque
from dataclasses import dataclass

import httptools

from tokend.access.peer import Peer
from tokend.httpd.problem import RequestError, bad_request
from tokend.httpd.request import Request

# The parser is fed in slices of this size and not at all while an answer is due, so that what one connection can
# make us queue is bounded by its smallest possible requests in one slice, some 200.
SLICE_BYTES = 4096
# A body's chunk sizes, extensions and trailers may take this many times its limit: a byte per chunk takes six. The
# parser keeps an unfinished trailer whole and copies it at each slice, so an endless one would block everybody.
MOST_FRAMING = 8
_VERB = re.compile(rb"([A-Za-z][A-Za-z-]{0,31}) [^ ]+ HTTP/1\.[01]\r?\n")


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may use up. Seconds, bytes, counts.

    ``idle`` is between requests, ``header`` from the first byte to the end of the headers and from the connection's
    start to its first request, ``body`` from there to the request's end, ``write`` for a client that does not read.
    """

    max_connections: int = 4096
    max_connections_per_uid: int = 2500
    header_bytes: int = 16 * 1024
    body_bytes: int = 64 * 1024
    header_seconds: float = 2.0
    body_seconds: float = 10.0
    idle_seconds: float = 60.0
    write_seconds: float = 30.0


class RequestReader:
    """Read one connection's requests. What is read is in ``due``; a `RequestError` there is the last of it.

    ``in_message``, ``head_done``: how far the present request is; ``sealed``: nothing that follows will be read;
    ``awaits_continue``: the client holds the body back until it is told to go on; ``alone``: the last slice was
    exactly one whole request.
    """

    def __init__(self, peer: Peer, limits: Limits) -> None:
        self.due: deque[Request | RequestError] = deque()
        self.in_message = self.head_done = self.sealed = self.awaits_continue = self.alone = False
        self._peer, self._limits = peer, limits
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._target = self._body = self._foreign_verb = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_size = self._raw_head = self._raw_body = self._begun = 0

    def close(self) -> None:
        """Let the parser go: it and its callbacks are a cycle."""
        self._parser = None
        self.due.clear()

    def feed(self, piece: bytes) -> None:
        """Parse the next slice, of `SLICE_BYTES` at most."""
        if self._parser is None or self.sealed:
            return
        at_boundary, self._begun = not self.in_message, 0
        self._parse(self._parser, piece)
        if self.in_message and not self.head_done:
            # Finished headers are counted exactly; an endless one is counted by what arrived, to the slice.
            self._raw_head = len(piece) if self._begun else self._raw_head + len(piece)
            if self._raw_head > self._limits.header_bytes + SLICE_BYTES:
                self._refuse(_too_large(431, self._limits.header_bytes, "headers"))
        elif self.in_message:
            self._raw_body = len(piece) if self._begun else self._raw_body + len(piece)
            if self._raw_body > self._limits.body_bytes * MOST_FRAMING:
                self._refuse(_too_large(413, self._limits.body_bytes, "body"))
        self.alone = at_boundary and self._begun == 1 and not self.in_message and len(self.due) == 1

    def _parse(self, parser: httptools.HttpRequestParser, piece: bytes) -> None:
        try:
            parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self.sealed = True  # what follows is another protocol's; ours ends with this answer
        except httptools.HttpParserInvalidMethodError:
            # A verb that HTTP does not have is a request all the same, and `routes` knows what its path has. The parser
            # reads it under another name. Only of the slice's first request is it known where it begins.
            if self.due or (match := _VERB.match(piece)) is None:
                self._refuse(_no_http())
            else:
                self._foreign_verb = match[1]
                self._parser = httptools.HttpRequestParser(self)
                self._parse(self._parser, b"OPTIONS" + piece[match.end(1) :])
        except httptools.HttpParserError:
            self._refuse(_no_http())

    # -------------------------------------------------------------- what httptools calls

    def on_message_begin(self) -> None:
        self._begun += 1
        self.in_message, self.head_done = True, False
        self._target = self._body = b""
        self._headers = []
        self._head_size = self._raw_body = 0

    def on_url(self, part: bytes) -> None:
        self._target += part
        self._head_size += len(part)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.head_done:  # afterwards: trailers, which nobody here has a use for
            self._headers.append((name.lower(), value))
            self._head_size += len(name) + len(value) + 4

    def on_headers_complete(self) -> None:
        self.head_done = True
        if self._head_size > self._limits.header_bytes:
            self._refuse(_too_large(431, self._limits.header_bytes, "headers"))
            return
        headers = dict(self._headers)
        length = headers.get(b"content-length", b"0")
        if len(length) > 18 or int(length) > self._limits.body_bytes:
            self._refuse(_too_large(413, self._limits.body_bytes, "body"))
        else:
            self.awaits_continue = headers.get(b"expect", b"").lower() == b"100-continue"

    def on_body(self, part: bytes) -> None:
        self._body += part
        if len(self._body) > self._limits.body_bytes:
            self._body = b""
            self._refuse(_too_large(413, self._limits.body_bytes, "body"))

    def on_message_complete(self) -> None:
        self.in_message = self.awaits_continue = False
        parser = self._parser
        if parser is None or self.sealed:
            return
        keep = parser.should_keep_alive() and not parser.should_upgrade()
        method = (self._foreign_verb or parser.get_method()).decode("latin-1")
        self._foreign_verb = b""
        self.due.append(Request(method, self._target, tuple(self._headers), self._body, self._peer, keep))
        self.sealed = not keep

    def _refuse(self, error: RequestError) -> None:
        """Let one refusal follow what is due, and read nothing more."""
        if not self.sealed:
            self.sealed, self.in_message, self.awaits_continue = True, False, False
            self.due.append(error)


def _too_large(status: int, limit: int, part: str) -> RequestError:
    return RequestError(status, "too_large", f"the request's {part} may be {limit} bytes at most")


def _no_http() -> RequestError:
    return bad_request("this is not an HTTP/1.1 request")
