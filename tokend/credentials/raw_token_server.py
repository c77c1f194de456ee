"""Sockets that send one raw token to each client: credentials.sock and socket sinks.

`nc -U` and LoadCredential= of systemd understand them. A `Rule` decides who gets which token.
"""

import os
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import structlog

from tokend.access.denial_log import DenialLog
from tokend.access.peer import Peer, identify
from tokend.credentials.raw_token_connection import HandedOut, RawTokenConnection, RefusedError, Rule
from tokend.engine.context.contract import Engine
from tokend.httpd.hangup import HangupWatch
from tokend.httpd.listener import PATH_CHECK_SECONDS, Listener
from tokend.httpd.places import ConnectionLimits
from tokend.httpd.unix_server import one_endpoint
from tokend.httpd.unix_socket import SocketFile
from tokend.machine.thread_pool import Threads
from tokend.values.tokens import Lease

# A slower reader is cut off, also at shutdown. A token fits into the socket's buffer: only refusals need a reader.
SEND_SECONDS = 5.0
# At the end of the daemon. It must not take longer than 5 s (docs/promises.md 62).
LAST_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits for clients: connections in all and of one uid, and times. root and our own uid have no limit per uid."""

    connections: int = 1024
    per_uid: int = 64
    send_seconds: float = SEND_SECONDS
    path_check_seconds: float = PATH_CHECK_SECONDS


async def _settled(_peer: Peer) -> None:
    """Wait for nothing: the rule of this server depends on no names."""


class RawTokenServer:
    """Send tokens on one Unix socket.

    Give either ``place``, where the socket is made, watched and at the end unlinked, or ``sock``, a listening socket
    that somebody else made (socket activation). ``offer`` turns a lease into the bytes to send.
    ``handed_out`` is called for each client that gets a token.
    """

    def __init__(
        self,
        engine: Engine,
        rule: Rule,
        *,
        place: SocketFile | None = None,
        sock: socket.socket | None = None,
        offer: Callable[[Lease], bytes] = lambda lease: lease.token.value.reveal_bytes(),
        handed_out: HandedOut = lambda *_: None,
        bounds: Bounds | None = None,
        identify: Callable[[socket.SocketType], Peer] = identify,
        threads: Threads | None = None,
        settle: Callable[[Peer], Coroutine[Any, Any, None]] = _settled,
    ) -> None:
        self._threads = threads
        self._endpoint = one_endpoint(place, sock)
        self._bounds = bounds or Bounds()
        self.engine, self.rule, self.offer, self.identify = engine, rule, offer, identify
        self.own_uid = os.geteuid()
        self.settle = settle
        self.handed_out = handed_out
        self.send_seconds = self._bounds.send_seconds
        self.name = str(place.path) if place is not None else "inherited"
        # Made by `serve`.
        self.hangups: HangupWatch
        self._listener: Listener[RawTokenConnection]
        self._changed: dict[str, anyio.Event] = {}
        self._denials = DenialLog()
        self._log = structlog.get_logger("tokend.api")

    async def serve(self, listening: Callable[[], object]) -> None:
        """Serve until cancelled; calls ``listening`` when clients can connect, and again when the path was taken back.

        Clients that still wait at the end are refused. Raises OSError, naming the path, if the socket cannot be made
        or was taken from us for good.
        """
        bounds = self._bounds
        trusted = frozenset((0, os.geteuid()))
        limits = ConnectionLimits(
            bounds.connections, bounds.per_uid, exempt=trusted, queues=True, kept=trusted.__contains__
        )
        self._listener = Listener(
            self._endpoint,
            partial(RawTokenConnection, self),
            limits=limits,
            denied=lambda peer, detail: self.denied(peer, RefusedError(detail)),
            path_check_seconds=bounds.path_check_seconds,
            threads=self._threads,
        )
        self.hangups = HangupWatch()
        unsubscribe = self.engine.subscribe(self._wake)
        try:
            await self._listener.start()
            listening()
            await self._listener.keep_path(listening)
            await anyio.sleep_forever()
        finally:
            # Each connection ends by itself within `send_seconds`.
            with anyio.CancelScope(shield=True):
                await self._listener.close(grace_seconds=LAST_SECONDS)
            unsubscribe()
            self.hangups.close()

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._listener.connections)

    def changed(self, name: str) -> anyio.Event:
        """Return an event that is set at the next change of the token."""
        return self._changed.setdefault(name, anyio.Event())

    def leave(self, connection: RawTokenConnection) -> None:
        """Forget a connection that is closed."""
        self._listener.leave(connection)

    def denied(self, peer: Peer, error: RefusedError) -> None:
        """Write the audit line; for untrusted peers, unless this uid has had a line within the last second."""
        now = self.engine.clock.instant().boot
        unsaid = 0 if error.trusted else self._denials.record(peer.uid, now)
        if unsaid is not None:
            self._log.warning(
                "client.denied", uid=peer.uid, unsaid_before=unsaid, path=self.name, detail=str(error), **error.what
            )

    def _wake(self, name: str) -> None:
        if (event := self._changed.pop(name, None)) is not None:
            event.set()
