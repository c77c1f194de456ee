"""One client's connection: bytes to requests, answers to bytes, in order, within limits.

The hot path is `data_received`: a request text that was seen before is answered from prepared bytes without parsing.
Everything else is parsed by httptools and answered by a task, one at a time. What the answers say is `routes`' part;
time limits are enforced by the server, which calls `check` on every connection about twice a second.
"""

import asyncio
import select
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from enum import Enum
from typing import Any, Protocol

from tokend.access.peer import Peer
from tokend.api.routes import memorable, respond
from tokend.api.serializers import Prepared
from tokend.api.token_api import Hot, TokenApi
from tokend.httpd.problem import RequestError, problem
from tokend.httpd.request import Request
from tokend.httpd.request_parser import SLICE_BYTES, Limits, RequestReader
from tokend.httpd.response import Response

# Longer request texts are parsed each time: remembering them would cost more memory than it saves time.
LONGEST_REMEMBERED_BYTES = 1024
# A refused client may still be sending; closing at once would reset the connection under the answer (RFC 9112, 9.6).
LINGER_SECONDS = 1.0
# Headers after which the same text may deserve another answer, or the connection another fate.
_NOT_REMEMBERED = frozenset((b"if-none-match", b"prefer", b"expect", b"connection", b"upgrade"))


class ConnectionOwner(Protocol):
    """What a connection needs of its server."""

    service: TokenApi
    limits: Limits
    closing: bool

    @property
    def remembered(self) -> Mapping[bytes, Hot]:
        """The request texts that are answered without parsing."""

    def replace(self, arrival: Any, connection: "Connection") -> None:
        """Note that what arrived as a bare socket goes on as a connection."""

    def leave(self, connection: Any) -> None:
        """Strike out a connection that is closed."""


class Phase(Enum):
    """What the connection waits for; each has its time limit, `ANSWERING` has none of its own."""

    FIRST = "first"
    IDLE = "idle"
    HEADERS = "headers"
    BODY = "body"
    ANSWERING = "answering"
    LINGERING = "lingering"


class Connection(asyncio.Protocol):
    """HTTP/1.1 (and 1.0) on one Unix socket connection."""

    # Defaults live on the class: most connections never need half of these.
    _transport: asyncio.Transport
    _ready = True  # nothing is due, half-read or refused: the next bytes begin a request
    _writable = True
    _touched = False  # the hot path was taken: `check` renews `_since`, which spares that path a look at the clock
    _ended = False  # the client sends nothing more
    _streaming = False
    _closing = False
    _given_up_with_client = False
    _unread = b""  # received, not parsed
    _granted: Prepared | None = None  # the prepared answers that this peer was last seen to have access to
    _task: asyncio.Task[None] | None = None
    _reader: RequestReader | None = None  # made at the first request that is not recognised

    def __init__(self, home: ConnectionOwner, peer: Peer, *, replaces: object, received: bytes, unsent: bytes) -> None:
        """``received`` is not answered and ``unsent`` is due since this was a bare socket."""
        self._home = home
        self.peer, self.uid = peer, peer.uid
        self._beginning = (replaces, received, unsent)
        self._service = home.service
        self._remembered = home.remembered
        self._loop = asyncio.get_running_loop()
        self._phase = Phase.FIRST
        self._since = self._loop.time()

    # -------------------------------------------------------------- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream transport, as the loop makes them of sockets
        (replaced, received, unsent), self._beginning = self._beginning, (None, b"", b"")
        self._home.replace(replaced, self)
        self._transport.write(unsent)
        if received:
            self.data_received(received)
        if self._home.closing:
            self.close_soon()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the protocol's signature
        self._closing = True
        self._unread, self._granted = b"", None
        if self._reader is not None:
            self._reader.close()
        self._writable = True
        # A reader is given up with its client; what has effects (refresh, issue, …) runs to its end unheard.
        if self._task is not None and self._given_up_with_client:
            self._task.cancel()
        self._home.leave(self)

    def data_received(self, data: bytes) -> None:
        service = self._service
        if self._ready and (hot := self._remembered.get(data)) is not None:
            # Each condition of `TokenApi.prepared`, in place: a call costs a twentieth of the throughput.
            prepared, entry = hot.prepared, service.engine.entries.get(hot.name)
            if (
                entry is not None
                and entry.lease is prepared.lease
                and entry.settings is prepared.settings
                and service.boot_seconds() < prepared.expires_boot
                and (prepared is self._granted or self._may_have(prepared))
            ):
                self._transport.write(hot.answer)
                hot.hits += 1
                self._touched = True
                return
        if not (self._closing or (self._reader is not None and self._reader.sealed)):
            self._ready = False
            self._unread += data
            self._advance()

    def eof_received(self) -> bool:
        self._ended = True
        # Half-closed: whoever still waits for answers gets them. `check` notices if the other half goes too.
        return self._busy or bool(self._unread)

    def pause_writing(self) -> None:
        self._writable = False
        self._ready = False
        self._since = self._loop.time()

    def resume_writing(self) -> None:
        self._writable = True
        self._loop.call_soon(self._advance)

    # -------------------------------------------------------------- time limits

    def check(self, now: float) -> None:
        """Close the connection if it has used up its time; called about twice a second with the loop's time."""
        limits = self._home.limits
        if self._touched:
            self._touched, self._since = False, now
            if self._phase is Phase.FIRST:
                self._phase = Phase.IDLE
        waited = now - self._since
        if not self._writable:
            expired = waited > limits.write_seconds
        elif self._phase is Phase.ANSWERING:
            expired = self._given_up_with_client and (self._ended or bool(self._unread)) and self._hung_up()
        else:
            allowed = {
                Phase.FIRST: limits.header_seconds,
                Phase.HEADERS: limits.header_seconds,
                Phase.BODY: limits.body_seconds,
                Phase.IDLE: limits.idle_seconds,
                Phase.LINGERING: LINGER_SECONDS,
            }
            expired = waited > allowed[self._phase]
        if expired:
            self._transport.abort()

    def close_soon(self) -> None:
        """Close as soon as what was asked is answered; at once if nothing was."""
        self._ended = True
        if self._streaming or not self._busy:
            self._transport.close()

    def abort(self) -> None:
        """Close now, whatever is due."""
        self._given_up_with_client = True
        self._transport.abort()

    # -------------------------------------------------------------- the order of things

    @property
    def _busy(self) -> bool:
        return self._task is not None or not self._writable or bool(self._reader and self._reader.due)

    def _advance(self) -> None:
        """Answer what is due and parse what is unread, until one of them has to wait."""
        reader = self._reader = self._reader or RequestReader(self.peer, self._home.limits)
        while self._task is None and self._writable and not self._closing:
            if reader.due:
                self._begin(reader.due.popleft())
            elif self._unread and not reader.sealed:
                self._parse(reader)
            else:
                break
        if reader.sealed:
            self._unread = b""
        if not self._closing and self._phase is not Phase.LINGERING:
            self._settle(reader)

    def _settle(self, reader: RequestReader) -> None:
        """Choose the phase, whether to read on, and whether this was all."""
        if self._busy:
            phase = Phase.ANSWERING
            if self._unread:
                self._transport.pause_reading()
        else:
            phase = (Phase.BODY if reader.head_done else Phase.HEADERS) if reader.in_message else Phase.IDLE
            if self._ended:
                self._closing = True
                self._transport.close()
                return
            self._transport.resume_reading()
            self._ready = phase is Phase.IDLE and not reader.sealed
        if phase is not self._phase or (phase is Phase.IDLE and not self._busy):
            self._phase, self._since = phase, self._loop.time()

    def _parse(self, reader: RequestReader) -> None:
        """Feed the parser the next slice."""
        piece, self._unread = self._unread[:SLICE_BYTES], self._unread[SLICE_BYTES:]
        reader.feed(piece)
        if reader.awaits_continue and not reader.due:
            reader.awaits_continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if reader.alone and len(piece) <= LONGEST_REMEMBERED_BYTES:
            self._remember(piece, reader.due[0])

    def _remember(self, text: bytes, request: Request | RequestError) -> None:
        """Recognise this text in future if it is a plain read of a token that this peer may have."""
        if isinstance(request, RequestError) or request.method != "GET" or request.body or not request.keep_alive:
            return
        if b"?" in request.target or any(name in _NOT_REMEMBERED for name, _ in request.headers):
            return
        if (answer := memorable(self._service, request)) is not None:
            self._granted, plain = answer
            self._service.remember(text, self._granted, plain=plain)

    def _may_have(self, prepared: Prepared) -> bool:
        if not self._service.rules.may_read(self.peer, prepared.settings.access):
            return False
        self._granted = prepared
        return True

    def _begin(self, due: Request | RequestError) -> None:
        if isinstance(due, RequestError):
            self._service.count("", due.status)
            self._transport.write(problem(due, now=self._service.engine.clock.instant().wall).encode(close=True))
            self._linger()
            return
        self._given_up_with_client = due.method in ("GET", "HEAD")
        self._task = self._loop.create_task(self._answer(due))

    async def _answer(self, request: Request) -> None:
        try:
            answer = await self._respond(request)
            close = not request.keep_alive or answer.stream is not None
            if not self._closing:
                self._transport.write(answer.encode(close=close, head_only=request.method == "HEAD"))
            if answer.stream is not None and request.method != "HEAD":
                await self._pour(answer.stream)
        finally:
            self._task = None
        if self._closing:
            return
        if close:
            self._closing = True
            self._transport.close()
        else:
            self._advance()

    async def _respond(self, request: Request) -> Response:
        return await respond(self._service, request)

    async def _pour(self, stream: AsyncGenerator[bytes, None]) -> None:
        """Send a stream until its client is gone or does not keep up; it may come back with Last-Event-ID."""
        self._streaming = True
        async with aclosing(stream):
            async for part in stream:
                if self._closing or not self._writable:
                    break
                self._transport.write(part)

    def _linger(self) -> None:
        self._phase, self._since = Phase.LINGERING, self._loop.time()
        self._transport.resume_reading()
        if self._ended:
            self._closing = True
            self._transport.close()
        elif self._transport.can_write_eof():
            self._transport.write_eof()

    def _hung_up(self) -> bool:
        """Tell whether a client that stopped sending, or that we do not read, is gone: else its end would be told."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), 0)
        return any(flags & (select.POLLHUP | select.POLLERR) for _, flags in poll.poll(0))
