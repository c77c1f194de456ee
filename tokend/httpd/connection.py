"""One client's connection: bytes to requests, responses to bytes, in order, within limits.

The hot path is `Connection.data_received`: a request text with a prepared answer is answered without parsing.
Everything else is parsed by httptools and answered by a task, one at a time. The application decides every answer. The
server enforces the time limits: it calls `Connection.check` on every connection about twice a second.
"""

import asyncio
import select
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing
from enum import Enum
from typing import Any, Protocol

from tokend.access.peer import Peer
from tokend.httpd.application import Application, PreparedAnswer, PreparedAnswers
from tokend.httpd.drained_transport import DrainedTransport
from tokend.httpd.listener import Listener
from tokend.httpd.passed_descriptors import DrainedSocket
from tokend.httpd.problem import RequestError
from tokend.httpd.request import Request
from tokend.httpd.request_parser import SLICE_BYTES, Limits, RequestReader
from tokend.httpd.response import KEEP_ALIVE_SECONDS

# Longer request texts are parsed each time: to remember them would cost more memory than it saves time.
LONGEST_REMEMBERED_BYTES = 1024
# A refused client may still be sending; closing at once would reset the connection under the answer (RFC 9112, 9.6).
LINGER_SECONDS = 1.0


class ConnectionOwner(Protocol):
    """The attributes and methods of a server that its connections use.

    ``answers`` is None for a server without prepared answers.
    """

    application: Application
    answers: PreparedAnswers | None
    limits: Limits

    @property
    def listener(self) -> Listener[Any]:
        """The listener that counts the connection."""


class Phase(Enum):
    """The phases of a connection. Each phase except `ANSWERING` has a time limit."""

    FIRST = "first"
    IDLE = "idle"
    HEADERS = "headers"
    BODY = "body"
    ANSWERING = "answering"
    LINGERING = "lingering"


class Connection(asyncio.Protocol):
    """HTTP/1.1 (and 1.0) on one stream."""

    # Defaults live on the class: most connections never need half of these.
    _transport: asyncio.Transport
    _ready = True  # nothing is due, half-read or refused: the next bytes begin a request
    _writable = True
    _touched = False  # the hot path was taken: `check` renews `_since`, which spares that path a look at the clock
    _ended = False  # the client sends nothing more
    _streaming = False
    _closing = False
    _given_up_with_client = False
    _awaits_turn = False  # more requests were received with the last one: they are answered in turn
    _unread = b""  # received, not parsed
    _text = b""  # the whole text of the request that is being answered, if its answer may be remembered
    _granted: PreparedAnswer | None = None  # the last prepared answer that this peer was found to have access to
    _opener: asyncio.Task[None] | None = None
    _task: asyncio.Task[None] | None = None
    _reader: RequestReader | None = None  # made at the first request that is not recognised

    def __init__(
        self, home: ConnectionOwner, peer: Peer, sock: socket.socket, *, received: bytes = b"", unsent: bytes = b""
    ) -> None:
        """``received`` bytes are not answered, and ``unsent`` bytes are due, since this was a bare socket."""
        self._home = home
        self.peer = peer
        self._opening: tuple[socket.socket, bytes, bytes] | None = (sock, received, unsent)
        self._application = home.application
        self._answers = home.answers
        self._find = _find_nothing if home.answers is None else home.answers.find
        self._loop = asyncio.get_running_loop()
        self._phase = Phase.FIRST
        self._since = self._loop.time()

    def start(self) -> None:
        """Give the socket a transport, which calls the methods below."""
        self._opener = self._loop.create_task(self._open())  # kept: the loop itself has weak references only

    async def _open(self) -> None:
        if self._opening is not None:
            sock = self._opening[0]
            sock.setblocking(False)
            if isinstance(sock, DrainedSocket):
                DrainedTransport(sock, self)
                self._opener = None
                return
            try:
                await self._loop.connect_accepted_socket(lambda: self, sock)
            except OSError:
                sock.close()
                self._home.listener.leave(self)
        self._opener = None

    # -------------------------------------------------------------- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send and read what was left when this was a bare socket."""
        self._transport = transport  # type: ignore[assignment]  # a stream transport, as the loop makes them of sockets
        if self._opening is not None:
            (_, received, unsent), self._opening = self._opening, None
            self._transport.write(unsent)
            if received:
                self.data_received(received)
        if self._home.listener.closing:
            self.close_soon()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the protocol's signature
        """Release everything; cancel an answer that has no effects."""
        self._closing = True
        self._unread, self._granted = b"", None
        if self._reader is not None:
            self._reader.close()
        self._writable = True
        # A GET ends with its client; a request with effects (refresh, issue, …) runs to its end.
        if self._task is not None and self._given_up_with_client:
            self._task.cancel()
        self._home.listener.leave(self)

    def data_received(self, data: bytes) -> None:
        """Answer a known text at once, or parse."""
        # Every call added here costs a part of the throughput: tests/api/test_hot_path.py counts them.
        if (
            self._ready
            and (answer := self._find(data)) is not None
            and (answer is self._granted or answer.public or self._may_read(answer))
        ):
            self._transport.write(answer.content)
            answer.hits += 1
            self._touched = True
            return
        if not (self._closing or (self._reader is not None and self._reader.sealed)):
            self._ready = False
            self._unread += data
            self._advance()

    def eof_received(self) -> bool:
        """Keep the connection while answers are due."""
        self._ended = True
        # Half-closed: due answers are still sent. `check` notices when the client closes the other half, too.
        return self._busy or bool(self._unread)

    def pause_writing(self) -> None:
        """Answer no more until the client reads."""
        self._writable = False
        self._ready = False
        self._since = self._loop.time()

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._writable = True
        self._loop.call_soon(self._advance)

    # -------------------------------------------------------------- time limits

    def check(self, now: float) -> None:
        """Close the connection if it has used up its time; called about twice a second with the loop's time."""
        if self._opening is not None:
            return
        limits = self._home.limits
        if self._touched:
            self._touched, self._since = False, now
            if self._phase is Phase.FIRST:
                self._phase = Phase.IDLE
        waited = now - self._since
        if not self._writable:
            expired = waited > limits.write_seconds
        elif self._phase is Phase.ANSWERING:
            expired = self._given_up_with_client and (self._ended or bool(self._unread)) and self._is_disconnected()
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
        # Without a transport yet, `connection_made` closes: the listener is closing.
        if self._opening is None and (self._streaming or not self._busy):
            self._transport.close()

    def abort(self) -> None:
        """Close now, whatever is due."""
        self._given_up_with_client = True
        if self._opening is None:
            self._transport.abort()

    def give_way(self) -> None:
        """Close now. A request with effects runs to its end."""
        if self._opening is None:
            self._transport.abort()

    def last_active(self) -> float:
        """Return the loop's time of the last change: a request began, an answer was sent."""
        return self._loop.time() if self._touched or self._opening is not None else self._since

    # -------------------------------------------------------------- the order of things

    @property
    def _busy(self) -> bool:
        return self._task is not None or not self._writable or bool(self._reader and self._reader.due)

    def _advance(self) -> None:
        """Answer due requests and parse unread bytes, until one of the two has to wait."""
        if self._awaits_turn:
            if not self._closing:
                self._transport.pause_reading()
            return
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
            self._update_phase(reader)

    def _update_phase(self, reader: RequestReader) -> None:
        """Choose the phase, read on or pause reading, and close if nothing is left to do."""
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
            due = reader.due[0]
            self._text = piece if isinstance(due, Request) and due.is_plain_read else b""

    def _may_read(self, answer: PreparedAnswer) -> bool:
        if self._answers is None or not self._answers.admits(self.peer, answer):
            return False
        self._granted = answer
        return True

    def _begin(self, due: Request | RequestError) -> None:
        if isinstance(due, RequestError):
            self._transport.write(self._application.refuse(self.peer, due).encode(close=True))
            self._linger()
            return
        self._given_up_with_client = due.method in ("GET", "HEAD")
        self._task = self._loop.create_task(self._answer(due))

    async def _answer(self, request: Request) -> None:
        text, self._text = self._text, b""
        try:
            answer = await self._application.respond(request)
            if text and answer.basis is not None and self._answers is not None:
                self._granted = self._answers.remember(text, answer)
            close = not request.keep_alive or answer.stream is not None
            if not self._closing:
                head_only = request.method == "HEAD"
                encoded = answer.encode(close=close, head_only=head_only, keep_alive_seconds=KEEP_ALIVE_SECONDS)
                self._transport.write(encoded)
            if answer.stream is not None and request.method != "HEAD":
                await self._send_stream(answer.stream)
        finally:
            self._task = None
        if self._closing:
            return
        if close:
            self._closing = True
            self._transport.close()
        elif self._unread or (self._reader is not None and self._reader.due):
            self._awaits_turn = True
            self._home.listener.turns.take(self._on_turn)
        else:
            self._advance()

    def _on_turn(self) -> None:
        self._awaits_turn = False
        self._advance()

    async def _send_stream(self, stream: AsyncGenerator[bytes, None]) -> None:
        """Send a stream until its client disconnects or does not keep up; it may resume with Last-Event-ID."""
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

    def _is_disconnected(self) -> bool:
        """Return whether the client has disconnected. The transport does not notice while it does not read."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), 0)
        return any(flags & (select.POLLHUP | select.POLLERR) for _, flags in poll.poll(0))


def _find_nothing(_text: bytes, /) -> None:
    """Find no prepared answer: the server has none."""
