"""One client of a raw-token socket: it gets the token, or a refusal, and then the end of the stream.

Nothing is read from the client. A refused client is closed without data, except systemd: it takes that for an empty
credential and starts the unit with it. So systemd is sent more than it accepts, and the unit fails (243/CREDENTIALS).
systemd connects from an abstract name that names the unit: ``\\0<hex>/unit/<unit>/<credential>`` (systemd.exec(5),
LoadCredential=). Any process can bind such a name, so it counts only from root, and from our own uid for user managers.
"""

import asyncio
import re
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

# Any name of this shape, not only those that a token may have: no unit must start with an empty credential.
_ADDRESS = re.compile(rb"\0[^/]*/unit/[^/]+/[^/]+", re.DOTALL)

_log = structlog.get_logger("tokend.api")


# Called with the peer, the name that it connects from, and the lease whose token it gets.
HandedOut = Callable[[Peer, object, Lease], object]


class RefusedError(Exception):
    """This peer gets nothing here. ``what`` goes into the audit line; denials of ``trusted`` peers are all logged."""

    def __init__(self, detail: str, *, trusted: bool = False, **what: Any) -> None:
        super().__init__(detail)
        self.what = what
        self.trusted = trusted


def is_systemd(peer: Peer, address: object, *, own_uid: int) -> bool:
    """Return whether systemd asks for the credential of a unit."""
    if peer.uid not in (0, own_uid) or peer.is_contained or not isinstance(address, bytes):
        return False
    return _ADDRESS.fullmatch(address) is not None


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
    own_uid: int

    def identify(self, connection: socket.SocketType, /) -> Peer:
        """Return the peer's identity; raises OSError."""

    async def settle(self, peer: Peer, /) -> None:
        """Wait, for a bounded time, until the rule can be asked about a peer."""

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
        self._since = asyncio.get_running_loop().time()
        self._wait: anyio.CancelScope | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to serve."""
        # Not a task of a task group: cancelled before its first step, it would close its connection without an answer.
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def close_soon(self) -> None:
        """End the client's wait for a token, without one."""
        self._ending = True
        if self._wait is not None:
            self._wait.cancel()

    def abort(self) -> None:
        """Close now, without an answer."""
        if self._task is not None:
            self._task.cancel()

    def give_way(self) -> None:
        """End the client's wait for a token, without one."""
        self.close_soon()

    def last_active(self) -> float:
        """Return the loop's time of the accept: a client does nothing else."""
        return self._since

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
        refusal = REFUSAL if is_systemd(peer, self._address, own_uid=self._home.own_uid) else None
        content = refusal
        try:
            content = await self._token(peer, refusal)
        except RefusedError as error:
            self._home.denied(peer, error)
        except Exception as bug:
            # The class only: a message could quote a secret.
            _log.error("client.failed", uid=peer.uid, error=type(bug).__name__)
        if content is not None:
            with anyio.move_on_after(self._home.send_seconds):
                await asyncio.get_running_loop().sock_sendall(self._socket, content)

    async def _token(self, peer: Peer, refusal: bytes | None) -> bytes | None:
        """Return the token as soon as there is a valid one, or None if the client disconnects before.

        Returns ``refusal`` if `close_soon` is called before.
        """
        home = self._home
        while not self._ending:
            await home.settle(peer)
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
        return refusal

    async def _wait_for(self, news: anyio.Event) -> bool:
        """Wait for a change; False if the client disconnects or `close_soon` is called before."""
        with anyio.CancelScope() as scope, self._home.hangups.watched(self._socket, scope.cancel):
            self._wait = scope
            await news.wait()
            return True
        return False
