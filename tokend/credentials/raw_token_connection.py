"""One client of a raw-token socket: it gets the token, or a refusal, and then the end of the stream.

Nothing is read from the client. systemd takes a connection that is closed without data for an empty credential and
starts the unit with it. So a refusal is more than systemd accepts, and the unit fails (243/CREDENTIALS).
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import anyio
import structlog

from tokend.access.peer import Peer
from tokend.access.policy import answerable
from tokend.engine.context.contract import Engine, Entry
from tokend.httpd.hangup import HangupWatch
from tokend.httpd.passed_descriptors import as_python_socket
from tokend.plugin.kind_bugs import exits_refused
from tokend.values.tokens import Lease

# CREDENTIAL_SIZE_MAX of systemd is 1 MiB; it must be exceeded.
REFUSAL = bytes(1024 * 1024 + 64 * 1024)

_log = structlog.get_logger("tokend.api")


# Called with the peer, the name that it connects from, and the lease whose token it gets.
HandedOut = Callable[[Peer, object, Lease], object]


class RefusedError(Exception):
    """This peer gets nothing here. ``what`` goes into the audit line; denials of ``trusted`` peers are all logged."""

    def __init__(self, detail: str, *, trusted: bool = False, **what: Any) -> None:
        super().__init__(detail)
        self.what = what
        self.trusted = trusted


class Rule(Protocol):
    """Decide which token a peer gets. Asked again whenever the entry changed."""

    def __call__(self, peer: Peer, address: object) -> Entry:
        """Return the entry whose token the peer gets; ``address`` is the name that it connects from.

        Raises `RefusedError`.
        """


class ConnectionOwner(Protocol):
    """The attributes of a server that its connections use."""

    engine: Engine
    rule: Rule
    offer: Callable[[Lease], bytes]
    handed_out: HandedOut
    hangups: HangupWatch
    send_seconds: float
    name: str

    def identify(self, connection: socket.SocketType, /) -> Peer:
        """Return the peer's identity; raises OSError."""

    def changed(self, name: str) -> anyio.Event:
        """Return an event that is set at the next change of the token."""

    def leave(self, connection: "RawTokenConnection") -> None:
        """Forget a connection that is closed."""

    def denied(self, peer: Peer, error: RefusedError) -> None:
        """Write the audit line of a denial."""


class RawTokenConnection:
    """One accepted connection."""

    def __init__(self, home: ConnectionOwner, accepted: socket.SocketType, address: object) -> None:
        self._home = home
        self._socket = as_python_socket(accepted)
        self._address = address
        self._ending = False
        self._wait: anyio.CancelScope | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to serve."""
        # Not a task of a task group: cancelled before its first step, it would close its connection without an answer.
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def close_soon(self) -> None:
        """Refuse the client if it still waits for a token."""
        self._ending = True
        if self._wait is not None:
            self._wait.cancel()

    def abort(self) -> None:
        """Close now, without an answer."""
        if self._task is not None:
            self._task.cancel()

    async def _serve(self) -> None:
        home = self._home
        try:
            with self._socket:
                self._socket.setblocking(False)
                with suppress(OSError):
                    await self._answer(home.identify(self._socket))
        finally:
            home.leave(self)

    async def _answer(self, peer: Peer) -> None:
        content: bytes | None = REFUSAL
        try:
            content = await self._token(peer)
        except RefusedError as error:
            self._home.denied(peer, error)
        except Exception as bug:
            # The class only: a message could quote a secret.
            _log.error("client.failed", uid=peer.uid, error=type(bug).__name__)
        if content is not None:
            with anyio.move_on_after(self._home.send_seconds):
                await asyncio.get_running_loop().sock_sendall(self._socket, content)

    async def _token(self, peer: Peer) -> bytes | None:
        """Return the token as soon as there is a valid one; None if the client disconnects before."""
        home = self._home
        while not self._ending:
            entry = home.rule(peer, self._address)
            lease = entry.lease
            if lease is not None and answerable(lease, home.engine.clock.instant()):
                _log.debug("client.read", uid=peer.uid, token=entry.name, path=home.name)
                with exits_refused():
                    content = home.offer(lease)
                home.handed_out(peer, self._address, lease)
                return content
            if not await self._wait_for(home.changed(entry.name)) and not self._ending:
                return None
        return REFUSAL

    async def _wait_for(self, news: anyio.Event) -> bool:
        """Wait for a change; False if the client disconnects or `close_soon` is called before."""
        with anyio.CancelScope() as scope, self._home.hangups.watched(self._socket, scope.cancel):
            self._wait = scope
            await news.wait()
            return True
        return False
