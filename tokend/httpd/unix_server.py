"""The socket server: admits connections, enforces their limits, keeps the path ours. HTTP is `connection`'s part."""

import asyncio
import socket
from collections import Counter
from contextlib import suppress

import structlog

from tokend.access.peer import Peer, identify, uid_of
from tokend.httpd.acceptor import Acceptor, NewConnection
from tokend.httpd.application import Application, PreparedAnswers
from tokend.httpd.connection import Connection
from tokend.httpd.request_parser import Limits
from tokend.httpd.unix_socket import SocketFile, bind_socket, is_ours, withdraw

# The time limits' grain: a client has at most this much longer than its limit.
MOST_SWEEP_SECONDS = 0.5
# How soon a removed or stolen path is noticed. A stat costs microseconds.
PATH_CHECK_SECONDS = 2.0
# What is being answered at shutdown may take this long; after that it is cut.
CLOSE_SECONDS = 2.0


class SocketServer:
    """HTTP on one Unix socket, from `start` to `close`, on the running asyncio (uvloop) loop.

    Give either ``place``, where the socket is made, watched and in the end unlinked, or ``sock``, a listening socket
    that somebody else made (socket activation) and keeps.
    """

    def __init__(
        self,
        application: Application,
        *,
        answers: PreparedAnswers | None = None,
        place: SocketFile | None = None,
        sock: socket.socket | None = None,
        limits: Limits | None = None,
        path_check_seconds: float = PATH_CHECK_SECONDS,
    ) -> None:
        if (place is None) == (sock is None):
            raise ValueError("give either a place for the socket or a listening socket")
        self.application = application
        self.answers = answers
        self.limits = limits or Limits()
        self._place = place
        self._socket = sock
        self._path_check_seconds = path_check_seconds
        self._log = structlog.get_logger("tokend.api")
        self.closing = False
        self._arrivals: Acceptor | None = None
        self._connections: set[NewConnection | Connection] = set()
        self._per_uid: Counter[int] = Counter()
        self._left = asyncio.Event()  # set whenever a connection is struck out
        self._chores: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen. Raises OSError or `SocketInUseError`, naming the path; nothing is left behind then."""
        if self._place is not None:
            self._socket = bind_socket(self._place)
            self._chores.append(asyncio.create_task(self._watch_path(self._place)))
        if self._socket is not None:
            self._arrivals = Acceptor(self)
            self._arrivals.listen(self._socket)
        self._chores.append(asyncio.create_task(self._sweep()))

    async def close(self, *, grace_seconds: float = CLOSE_SECONDS) -> None:
        """Stop listening, give due answers ``grace_seconds``, close every connection, unlink our path."""
        for chore in self._chores:
            chore.cancel()
        if self._place is not None and self._socket is not None:
            withdraw(self._place, self._socket)
        self.closing = True
        if self._arrivals is not None:
            self._arrivals.deafen()
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
        if self._arrivals is not None:
            self._arrivals.stop()

    def identify(self, connection: socket.SocketType) -> Peer:
        """Tell all that is known of who is at the other end; raises OSError."""
        return identify(connection)

    def admit(self, arrival: NewConnection, first_reserved: float) -> bool:
        """Note a new connection, and its uid in it; False if it is one too many, or has a reserved descriptor."""
        try:
            arrival.uid = uid = uid_of(arrival.socket)
        except OSError:
            return False
        full = len(self._connections) >= self.limits.max_connections or arrival.descriptor >= first_reserved
        if full or self._per_uid[uid] >= self.limits.max_connections_per_uid:
            detail = "too many connections" + ("" if full else " of this uid")
            self.application.log_denial(Peer(uid, frozenset()), detail)
            return False
        self._connections.add(arrival)
        self._per_uid[uid] += 1
        return True

    def replace(self, arrival: NewConnection, connection: Connection) -> None:
        """Note that what arrived as a bare socket goes on as a connection."""
        self._connections.discard(arrival)
        self._connections.add(connection)

    def leave(self, connection: NewConnection | Connection) -> None:
        """Strike out a connection that is closed."""
        if connection in self._connections:
            uid = connection.uid
            self._connections.discard(connection)
            self._left.set()
            self._per_uid[uid] -= 1
            if not self._per_uid[uid]:
                del self._per_uid[uid]

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def _sweep(self) -> None:
        limits = self.limits
        shortest = min(limits.header_seconds, limits.body_seconds, limits.idle_seconds, limits.write_seconds)
        pause, sweep_at = min(MOST_SWEEP_SECONDS, shortest / 4), 0.0
        while True:
            await asyncio.sleep(pause)
            now = asyncio.get_running_loop().time()
            for connection in list(self._connections):
                connection.check(now)
            if self.answers is not None and now >= sweep_at:
                sweep_at = now + self.answers.sweep()

    async def _watch_path(self, place: SocketFile) -> None:
        """Take the path back when somebody removed or replaced the socket; open connections stay."""
        while True:
            await asyncio.sleep(self._path_check_seconds)
            if self._socket is not None and is_ours(place):
                continue
            try:
                self._socket = bind_socket(place, take_back=True)
            except OSError as error:
                self._log.error("socket.lost", path=str(place.path), error=str(error))
                continue
            if self._arrivals is not None:
                self._arrivals.listen(self._socket)
            self._log.warning("socket.rebound", path=str(place.path))
