"""The socket server: admits connections, enforces their limits, keeps the path ours. HTTP is `connection`'s part."""

import asyncio
import resource
import socket
import sys
from collections import Counter
from contextlib import suppress
from typing import Any

from tokend.api.connection import Connection
from tokend.api.listening import BACKLOG, Place, claim, is_ours, withdraw
from tokend.api.parsing import Limits
from tokend.api.peers import Peer, identify
from tokend.api.service import Service

# The time limits' grain: a client has at most this much longer than its limit.
MOST_SWEEP_SECONDS = 0.5
# How soon a removed or stolen path is noticed. A stat costs microseconds.
PATH_CHECK_SECONDS = 2.0
# Connections leave the last descriptors to upstreams, state, files and reloads (docs/promises.md 71).
RESERVED_DESCRIPTORS = 64
# What is being answered at shutdown may take this long; after that it is cut.
CLOSE_SECONDS = 2.0


class SocketServer:
    """HTTP on one Unix socket, from `start` to `close`, on the running asyncio (uvloop) loop.

    Give either ``place``, where the socket is made, watched and in the end unlinked, or ``sock``, a listening socket
    that somebody else made (socket activation) and keeps.
    """

    def __init__(
        self,
        service: Service,
        *,
        place: Place | None = None,
        sock: socket.socket | None = None,
        limits: Limits | None = None,
        path_check_seconds: float = PATH_CHECK_SECONDS,
    ) -> None:
        if (place is None) == (sock is None):
            raise ValueError("give either a place for the socket or a listening socket")
        self.service = service
        self.limits = limits or Limits()
        self._place = place
        self._socket = sock
        self._path_check_seconds = path_check_seconds
        # uvloop closes a listening server whose last reference is gone, at the next garbage collection.
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._per_uid: Counter[int] = Counter()
        self._left = asyncio.Event()  # set whenever a connection is struck out
        self._chores: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen. Raises OSError or `SocketInUseError`, naming the path; nothing is left behind then."""
        if self._place is not None:
            self._socket = claim(self._place)
            self._chores.append(asyncio.create_task(self._watch_path(self._place)))
        await self._listen()
        self._chores.append(asyncio.create_task(self._sweep()))

    async def close(self, *, grace_seconds: float = CLOSE_SECONDS) -> None:
        """Stop listening, give due answers ``grace_seconds``, close every connection, unlink our path."""
        for chore in self._chores:
            chore.cancel()
        if self._place is not None and self._socket is not None:
            withdraw(self._place, self._socket)
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close_soon()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                while self._connections:
                    self._left.clear()
                    await self._left.wait()
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)
        self.service.changes.close()

    def admit(self, connection: Connection, descriptor: int) -> Peer | None:
        """Note a new connection and tell who it is; None if it is one too many."""
        try:
            peer = identify(descriptor)
        except OSError:
            return None
        full = len(self._connections) >= self.limits.max_connections or _is_reserved(descriptor)
        if full or self._per_uid[peer.uid] >= self.limits.max_connections_per_uid:
            self.service.denied(peer, detail="too many connections" + ("" if full else " of this uid"))
            return None
        self._connections.add(connection)
        self._per_uid[peer.uid] += 1
        return peer

    def leave(self, connection: Connection) -> None:
        """Strike out a connection that is closed."""
        if connection in self._connections:
            self._connections.discard(connection)
            self._left.set()
            self._per_uid[connection.peer.uid] -= 1
            if not self._per_uid[connection.peer.uid]:
                del self._per_uid[connection.peer.uid]

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        # From Python 3.13 on a server unlinks its path; ours may be another's (socket activation), and `withdraw` asks.
        keeping: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        self._server = await loop.create_unix_server(
            lambda: Connection(self), sock=self._socket, backlog=BACKLOG, **keeping
        )

    async def _sweep(self) -> None:
        limits = self.limits
        shortest = min(limits.header_seconds, limits.body_seconds, limits.idle_seconds, limits.write_seconds)
        pause = min(MOST_SWEEP_SECONDS, shortest / 4)
        while True:
            await asyncio.sleep(pause)
            now = asyncio.get_running_loop().time()
            for connection in list(self._connections):
                connection.check(now)
            self.service.forget_old_answers()

    async def _watch_path(self, place: Place) -> None:
        """Take the path back when somebody removed or replaced the socket; open connections stay."""
        while True:
            await asyncio.sleep(self._path_check_seconds)
            if self._socket is not None and is_ours(place):
                continue
            old = self._server
            try:
                self._socket = claim(place, take_back=True)
                await self._listen()
            except OSError as error:
                self.service.log.error("socket.lost", path=str(place.path), error=str(error))
                continue
            if old is not None:
                old.close()
            self.service.log.warning("socket.rebound", path=str(place.path))


def _is_reserved(descriptor: int) -> bool:
    """Tell whether a descriptor is one of the last: the kernel gives the lowest number that is free."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft != resource.RLIM_INFINITY and descriptor >= soft - RESERVED_DESCRIPTORS
