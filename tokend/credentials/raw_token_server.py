"""One raw token to whoever connects, then the end of the stream; nothing is read.

What `nc -U` and LoadCredential= of systemd understand. Who gets which token is the caller's rule. systemd takes a
connection that is closed without data for an empty credential and starts the unit with it, so a refusal is never that:
it is more than systemd accepts, and the unit fails (243/CREDENTIALS).
"""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import structlog

from tokend.access.denial_log import DenialLog
from tokend.access.peer import Peer, identify
from tokend.engine.context.contract import Engine, Entry
from tokend.httpd import fd_reserve
from tokend.httpd.hangup import HangupWatch
from tokend.httpd.unix_socket import SocketFile, bind_socket, is_ours, withdraw
from tokend.values.tokens import Lease

# CREDENTIAL_SIZE_MAX of systemd is 1 MiB; it must be exceeded.
REFUSAL = bytes(1024 * 1024 + 64 * 1024)
# Who reads slower is cut off, also at shutdown. A token fits into the socket's buffer: only refusals need a reader.
SEND_SECONDS = 5.0
# A connection that does not fit now is left in the backlog for this long: closed, it would be an empty answer.
PAUSE_SECONDS = 0.1
# How soon a removed or stolen path is noticed.
PATH_CHECK_SECONDS = 2.0


class RefusedError(Exception):
    """This peer gets nothing here; ``what`` goes into the audit line, ``trusted`` peers' denials are all told."""

    def __init__(self, detail: str, *, trusted: bool = False, **what: Any) -> None:
        super().__init__(detail)
        self.what = what
        self.trusted = trusted


class Rule(Protocol):
    """Decide who gets what. Asked again whenever something about the entry changed."""

    def __call__(self, peer: Peer, address: object) -> Entry:
        """The entry whose token the peer gets; ``address`` is the name it connects from. Raises `RefusedError`."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What clients may use up: connections in all and of one uid (root's and our own count only in all)."""

    connections: int = 1024
    per_uid: int = 64
    send_seconds: float = SEND_SECONDS
    path_check_seconds: float = PATH_CHECK_SECONDS


class RawTokenServer:
    """Hand out tokens on one Unix socket.

    Give either ``place``, where the socket is made, watched and in the end unlinked, or ``sock``, a listening socket
    that somebody else made (socket activation) and keeps. ``offer`` lays a token out for the wire.
    """

    def __init__(
        self,
        engine: Engine,
        rule: Rule,
        *,
        place: SocketFile | None = None,
        sock: socket.socket | None = None,
        offer: Callable[[Lease], bytes] = lambda lease: lease.token.value.reveal_bytes(),
        bounds: Bounds | None = None,
    ) -> None:
        if (place is None) == (sock is None):
            raise ValueError("give either a place for the socket or a listening socket")
        self._engine = engine
        self._rule = rule
        self._place = place
        self._socket = sock
        self._offer = offer
        self._bounds = bounds or Bounds()
        self._departures: HangupWatch
        # Never cancelled: cancelled before its first step, a task would drop its connection, an empty answer.
        self._attending: set[asyncio.Task[None]] = set()
        self._leaving = False
        self._per_uid: Counter[int] = Counter()
        self._changed: dict[str, anyio.Event] = {}
        self._pause: asyncio.TimerHandle | None = None
        self._lost: OSError | None = None
        self._denials = DenialLog()
        self._log = structlog.get_logger("tokend.api")

    async def serve(self, listening: Callable[[], object]) -> None:
        """Serve until cancelled; calls ``listening`` as soon as clients can connect.

        Clients that wait at the end are refused. Raises OSError, naming the path, where the socket cannot be made or
        was taken from us for good.
        """
        if self._place is not None:
            self._socket = bind_socket(self._place)
        self._departures = HangupWatch()
        unsubscribe = self._engine.subscribe(self._wake)
        try:
            self._resume()
            listening()
            await self._watch_path()
        finally:
            # First of all: who comes now finds nobody instead of somebody who is leaving.
            self._stop_listening()
            await self._take_leave()
            unsubscribe()
            self._departures.close()
        if self._lost is not None:
            raise self._lost

    # -------------------------------------------------------------- the socket

    async def _watch_path(self) -> None:
        """Take the path back when somebody removed or replaced the socket; returns where that cannot be done."""
        if (place := self._place) is None:
            await anyio.sleep_forever()
            return
        while True:
            await anyio.sleep(self._bounds.path_check_seconds)
            if is_ours(place):
                continue
            self._stop_listening()
            try:
                self._socket = bind_socket(place, take_back=True)
            except OSError as error:
                self._log.error("socket.lost", path=str(place.path), error=str(error))
                self._lost = error
                return
            self._resume()
            self._log.warning("socket.rebound", path=str(place.path))

    def _resume(self) -> None:
        self._pause = None
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _rest(self) -> None:
        """Leave the clients in the backlog for a moment."""
        loop = asyncio.get_running_loop()
        if self._socket is not None:
            loop.remove_reader(self._socket)
        self._pause = loop.call_later(PAUSE_SECONDS, self._resume)

    def _stop_listening(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            if self._place is not None:
                withdraw(self._place, self._socket)
            self._socket.close()
            self._socket = None

    def _accept(self) -> None:
        """Take one client in. The loop calls it: a task could be cancelled with a client in its hands."""
        if self._socket is None:
            return
        if len(self._attending) >= self._bounds.connections or fd_reserve.is_reached():
            self._rest()
            return
        try:
            connection, address = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            self._log.warning("socket.not_accepting", error=error.strerror)
            self._rest()
            return
        connection.setblocking(False)
        try:
            peer = identify(connection)
        except OSError:
            connection.close()
            return
        if peer.uid not in (0, os.geteuid()) and self._per_uid[peer.uid] >= self._bounds.per_uid:
            self._denied(peer, RefusedError("too many connections of this uid"))
            connection.close()
            return
        self._per_uid[peer.uid] += 1
        task = asyncio.get_running_loop().create_task(self._attend(connection, peer, address))
        self._attending.add(task)
        task.add_done_callback(self._attending.discard)

    async def _take_leave(self) -> None:
        """Refuse whoever waits; they have `Bounds.send_seconds` to hear of it."""
        self._leaving = True
        for name in list(self._changed):
            self._wake(name)
        with anyio.CancelScope(shield=True):
            while self._attending:
                await asyncio.wait(self._attending)

    # -------------------------------------------------------------- one client

    async def _attend(self, connection: socket.socket, peer: Peer, address: object) -> None:
        content: bytes | None = REFUSAL
        try:
            with connection:
                try:
                    content = await self._token(connection, peer, address)
                except RefusedError as error:
                    self._denied(peer, error)
                except Exception as bug:
                    # The class only: a message could quote what it choked on.
                    self._log.error("client.failed", uid=peer.uid, error=type(bug).__name__)
                if content is not None:
                    await self._send(connection, content)
        finally:
            self._per_uid[peer.uid] -= 1
            if not self._per_uid[peer.uid]:
                del self._per_uid[peer.uid]

    async def _token(self, connection: socket.socket, peer: Peer, address: object) -> bytes | None:
        """What to send: the token as soon as there is a valid one, None if the client has gone before."""
        while not self._leaving:
            entry = self._rule(peer, address)
            lease = entry.lease
            if lease is not None and lease.token.is_valid(self._engine.clock.instant()):
                self._log.debug("client.read", uid=peer.uid, token=entry.name, path=self._name())
                return self._offer(lease)
            if not await self._stays(connection, self._changed.setdefault(entry.name, anyio.Event()).wait()):
                return None
        return REFUSAL

    async def _stays(self, connection: socket.socket, news: Awaitable[None]) -> bool:
        """Wait for news; False if the client goes before them."""
        with anyio.CancelScope() as scope, self._departures.watched(connection, scope.cancel):
            await news
            return True
        return False

    async def _send(self, connection: socket.socket, content: bytes) -> None:
        with anyio.move_on_after(self._bounds.send_seconds), suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(connection, content)

    # -------------------------------------------------------------- what is heard and said

    def _wake(self, name: str) -> None:
        if (event := self._changed.pop(name, None)) is not None:
            event.set()

    def _name(self) -> str:
        return str(self._place.path) if self._place is not None else "inherited"

    def _denied(self, peer: Peer, error: RefusedError) -> None:
        """Write the audit line; of peers that anybody can be, unless the uid has had one just now."""
        now = self._engine.clock.instant().boot
        unsaid = 0 if error.trusted else self._denials.unsaid_before(peer.uid, now)
        if unsaid is not None:
            self._log.warning(
                "client.denied", uid=peer.uid, unsaid_before=unsaid, path=self._name(), detail=str(error), **error.what
            )
