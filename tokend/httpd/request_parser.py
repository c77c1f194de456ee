"""Request parser: bytes to requests within limits, by httptools. The connection decides when to parse."""

import re
from collections import deque
from dataclasses import dataclass

import httptools

from tokend.access.peer import Peer
from tokend.httpd.problem import RequestError, bad_request
from tokend.httpd.request import Request

# The parser is fed in slices of this size, and not at all while an answer is due. So one connection can queue no more
# requests than fit into one slice: some 200 of the smallest.
SLICE_BYTES = 4096
# A body's chunk sizes, extensions and trailers may take this many times its limit: a byte per chunk takes six. The
# parser keeps an unfinished trailer whole and copies it at each slice, so an endless one would block everybody.
MOST_FRAMING = 8
# Headers that decide where the body ends.
_FRAMING = frozenset((b"content-length", b"transfer-encoding"))
_VERB = re.compile(rb"([A-Za-z][A-Za-z-]{0,31}) [^ ]+ HTTP/1\.[01]\r?\n")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what clients may use up: seconds, bytes, counts.

    ``idle`` is between requests. ``header`` is from the first byte to the end of the headers, and from the
    connection's start to its first request. ``body`` is from the end of the headers to the request's end. ``write`` is
    for a client that does not read.
    """

    max_connections: int = 4096
    max_connections_per_uid: int = 2500
    header_bytes: int = 16 * 1024
    body_bytes: int = 64 * 1024
    header_seconds: float = 2.0
    body_seconds: float = 10.0
    idle_seconds: float = 65.0  # some seconds more than answers say (`KEEP_ALIVE_SECONDS`)
    write_seconds: float = 30.0


class RequestReader:
    """Read one connection's requests into ``due``; a `RequestError` there is the last item.

    ``in_message`` and ``head_done``: progress of the present request. ``sealed``: later bytes are not read.
    ``awaits_continue``: the client sends the body only after 100 Continue. ``alone``: the last slice was exactly one
    whole request.
    """

    def __init__(self, peer: Peer, limits: Limits) -> None:
        self.due: deque[Request | RequestError] = deque()
        self.in_message = self.head_done = self.sealed = self.awaits_continue = self.alone = False
        self._peer, self._limits = peer, limits
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._target = self._body = self._foreign_verb = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_size = self._raw_head = self._raw_body = self._begun = 0
        self._offers_upgrade = self._resuming = False

    def close(self) -> None:
        """Release the parser: it and its callbacks are a reference cycle."""
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
        except httptools.HttpParserUpgrade as upgrade:
            if self._offers_upgrade and not self.sealed:
                self._ignore_upgrade(parser, piece[upgrade.args[0] :])
            else:
                self.sealed = True  # CONNECT: the bytes that follow are not HTTP
        except httptools.HttpParserInvalidMethodError:
            # A verb that HTTP does not have is still a request, and the application answers it with 405. The parser
            # reads it under another name. The place of the verb is known only for the slice's first request.
            if self.due or (match := _VERB.match(piece)) is None:
                self._refuse(_no_http())
            else:
                self._foreign_verb = match[1]
                self._parser = httptools.HttpRequestParser(self)
                self._parse(self._parser, b"OPTIONS" + piece[match.end(1) :])
        except httptools.HttpParserError:
            self._refuse(_no_http())

    def _ignore_upgrade(self, parser: httptools.HttpRequestParser, rest: bytes) -> None:
        """Go on in HTTP/1.1 after the head of a request that offers another protocol (RFC 9110 section 7.8).

        httptools skips the body of such a request. So a fresh parser gets a head with the same framing and without
        the offer, and then the rest of the bytes.
        """
        lines = [b"%s / HTTP/%s" % (parser.get_method(), parser.get_http_version().encode())]
        for name, value in self._headers:
            if name in _FRAMING:
                lines.append(name + b": " + value)
            elif name == b"connection":
                options = [option.strip() for option in value.split(b",")]
                lines.append(b"connection: " + b", ".join(one for one in options if one.lower() != b"upgrade"))
        self._offers_upgrade = False
        self._parser = fresh = httptools.HttpRequestParser(self)
        self._resuming = True
        self._parse(fresh, b"\r\n".join([*lines, b"", b""]))
        self._resuming = False
        if rest and not self.sealed:
            self._parse(fresh, rest)

    # -------------------------------------------------------------- what httptools calls

    def on_message_begin(self) -> None:
        """Begin a request."""
        if self._resuming:
            return
        self._begun += 1
        self.in_message, self.head_done = True, False
        self._target = self._body = b""
        self._headers = []
        self._head_size = self._raw_body = 0

    def on_url(self, part: bytes) -> None:
        """Add to the target."""
        if self._resuming:
            return
        self._target += part
        self._head_size += len(part)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header."""
        if not self.head_done:  # later ones are trailers, which are ignored
            self._headers.append((name.lower(), value))
            self._head_size += len(name) + len(value) + 4

    def on_headers_complete(self) -> None:
        """Check the sizes that the head has and announces."""
        if self._resuming or self._parser is None:
            return
        self.head_done = True
        self._offers_upgrade = self._parser.should_upgrade() and self._parser.get_method() != b"CONNECT"
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
        """Add to the body."""
        self._body += part
        if len(self._body) > self._limits.body_bytes:
            self._body = b""
            self._refuse(_too_large(413, self._limits.body_bytes, "body"))

    def on_message_complete(self) -> None:
        """Queue the request."""
        if self._offers_upgrade:
            return
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
        """Queue one refusal after the due requests, and read nothing more."""
        if not self.sealed:
            self.sealed, self.in_message, self.awaits_continue = True, False, False
            self.due.append(error)


def _too_large(status: int, limit: int, part: str) -> RequestError:
    return RequestError(status, "too_large", f"the request's {part} may be {limit} bytes at most")


def _no_http() -> RequestError:
    return bad_request("this is not an HTTP/1.1 request")
