"""One listening socket and its open connections, from bind to the last connection; the base of all three servers.

The listener accepts within limits, pauses when it cannot, keeps a Unix socket's path, and gives due answers a grace
period at the end. The server behind it speaks with the clients: HTTP or raw tokens.
"""

import asyncio
import heapq
import os
import resource
import socket
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Generic, Protocol, TypeVar

import structlog

from tokend.access.peer import NOBODY, Peer, pid_of, uid_of
from tokend.access.peer_process import is_contained
from tokend.httpd.passed_descriptors import (
    MOST_UNFINISHED,
    SPARE_DESCRIPTORS,
    DrainedSocket,
    drain_backlog,
    refuse_descriptors,
    spare_threads,
)
from tokend.httpd.unix_socket import SocketFile, bind_socket, is_right, withdraw
from tokend.machine.thread_pool import ThreadPool, Threads

# The last descriptors are for upstreams, state, files and reloads, however many clients come (docs/promises.md 71).
# `SPARE_DESCRIPTORS` more are kept while descriptors of clients have to be received.
RESERVED_DESCRIPTORS = 64
# Places that only root, the daemon's own user and administrators can take (a sixteenth, if that is less).
KEPT_PLACES = 64
# Connections of a container (`access.peer_process`) that count for a uid with kept places. Those above count for a
# number of their own, so that a container that runs as root takes no place of root's.
CONTAINER_PLACES = 64
# It is remembered of so many processes, for so long, whether they are in a container.
MOST_REMEMBERED_PIDS, PID_SECONDS = 256, 1.0
_IN_CONTAINER = -1000  # minus the uid: no process has such a uid
# The idlest connections are looked for among thousands: so many are remembered for the next clients.
REMEMBERED_IDLE = 64
# A connection whose client connected before the kernel refused descriptors has been in the backlog since. After this
# time an empty backlog proves that there is none left.
BACKLOG_SECONDS = 1.0
# Accepted in one go; then the connections that are open already are served.
MOST_AT_ONCE = 64
# Requests that a client sent without waiting for the answers before them: so many are answered in one go, of all
# connections together. A thousand connections with a thousand requests each would leave no time for the others.
TURNS_AT_ONCE = 8
# Without a free descriptor accept fails and the socket stays readable: to try again at once would be a busy loop.
PAUSE_SECONDS = 0.1
# How soon a removed or replaced path is noticed. A stat costs microseconds.
PATH_CHECK_SECONDS = 2.0
# The socket's file may be on a disk that hangs, and its group in a directory service that does.
DISK_SECONDS = 5.0
# Due answers may take this long at shutdown; then their connections are cut.
CLOSE_SECONDS = 2.0
# A plain number: at each accept an enum's member would cost as much as a system call.
_STREAM = int(socket.SOCK_STREAM)


class OpenConnection(Protocol):
    """One accepted connection."""

    def start(self) -> None:
        """Begin to serve; called once, after the connection is counted."""

    def close_soon(self) -> None:
        """Close as soon as what was asked is answered."""

    def abort(self) -> None:
        """Close now."""

    def give_way(self) -> None:
        """Close now, because another client needs the place."""

    def last_active(self) -> float:
        """Return the loop's time when the client last did something."""


C = TypeVar("C", bound=OpenConnection)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The largest numbers of open connections: in all, and of one uid (None: any number).

    Connections of ``exempt`` uids count only in all. A connection above the limit of its uid is closed. When all places
    are taken, the idlest connection of the uid with the most is closed for one of another uid. The last `KEPT_PLACES`
    are for uids for which ``kept`` returns True. With ``queues``, a connection above the limit in all, kept places
    included, stays in the kernel's backlog until another one ends.
    """

    connections: int
    per_uid: int | None = None
    exempt: frozenset[int] = frozenset()
    queues: bool = False
    kept: Callable[[int], bool] | None = None

    @property
    def common(self) -> int:
        """The number of places that are for everybody."""
        kept = 0 if self.kept is None else min(KEPT_PLACES, self.connections // 16)
        return self.connections - kept


class Listener(Generic[C]):
    """Accept connections on one socket, from `start` to `close`, on the running asyncio (uvloop) loop.

    ``endpoint`` is either a place, where the socket is made, watched and at the end unlinked, or a listening socket
    that somebody else made. ``threads`` make the socket and watch its path. ``make`` turns an accepted socket and the
    peer's address into a connection, which calls `leave` when it is closed. ``denied`` is called with the reason for
    each connection that is closed at once. ``connections`` maps each open connection to the uid that it counts for,
    that of `NOBODY` over TCP. ``bound`` is the socket that `bind_socket` made at the place already.
    """

    def __init__(
        self,
        endpoint: SocketFile | socket.socket,
        make: Callable[[socket.SocketType, object], C],
        *,
        limits: ConnectionLimits,
        denied: Callable[[Peer, str], None],
        path_check_seconds: float = PATH_CHECK_SECONDS,
        bound: socket.socket | None = None,
        threads: Threads | None = None,
    ) -> None:
        self.closing = False
        self.connections: dict[C, int] = {}
        self._place = endpoint if isinstance(endpoint, SocketFile) else None
        self._socket = endpoint if isinstance(endpoint, socket.socket) else bound
        self._make, self._limits, self._denied = make, limits, denied
        self._path_check_seconds = path_check_seconds
        self._threads = threads or ThreadPool(1)
        self._common = limits.common
        # By pid, for a moment: to find out costs as much as the accept and the answer. Only places depend on it: a pid
        # that is another process's by now does no harm.
        self._contained: dict[int, bool] = {}
        self._contained_until = 0.0
        self._per_uid: Counter[int] = Counter()
        # Connections to be closed if they are still idle then, the idlest one last, with their last activity.
        self._idlest: list[tuple[float, C]] = []
        self._going: set[C] = set()
        self._left = asyncio.Event()  # set whenever a connection is closed
        self._turns: deque[Callable[[], object]] = deque()
        self._gives_turns = False
        self._pause: asyncio.TimerHandle | None = None
        self._failing = False
        # Whether connections may hold passed descriptors: always before Linux 6.16, later while the backlog of a socket
        # that somebody else made may be older than the kernel's refusal.
        self._drains = self._only_backlog = False
        self._started = 0.0
        self._log = structlog.get_logger("tokend.api")

    async def start(self) -> None:
        """Accept from now on. Raises OSError or `SocketInUseError`, naming the path; nothing is left behind then."""
        if self._socket is None and self._place is not None:
            self._socket = await self._bind(self._place, take_back=False)
        elif self._socket is not None:
            self._socket.setblocking(False)
            self._only_backlog = self._drains = self._socket.family == socket.AF_UNIX
        if self._socket is not None and not refuse_descriptors(self._socket):
            self._drains, self._only_backlog = True, False
        self._started = asyncio.get_running_loop().time()
        self._resume()

    async def keep_path(self, rebound: Callable[[], object] = lambda: None) -> None:
        """Take the path back whenever somebody removed, replaced or (where it is exact) changed it; connections stay.

        Calls ``rebound`` each time. Returns at once if the socket has no path of ours. Raises OSError if the path
        cannot be taken back; the old socket still accepts, and the method may be called again.
        """
        while (place := self._place) is not None:
            await asyncio.sleep(self._path_check_seconds)
            try:
                if await self._threads.run(partial(is_right, place), seconds=DISK_SECONDS):
                    continue
            except TimeoutError:
                continue
            try:
                fresh = await self._bind(place, take_back=True)
            except OSError as error:
                self._log.error("socket.lost", path=str(place.path), error=str(error))
                raise
            self._close_socket()
            self._socket = fresh
            self._resume()
            self._log.warning("socket.rebound", path=str(place.path))
            rebound()

    async def stop_accepting(self) -> None:
        """Accept no more and unlink the path, if it is ours; open connections stay."""
        self.closing = True
        if self._socket is not None and self._place is not None:
            with suppress(OSError):
                await self._threads.run(partial(withdraw, self._place, self._socket), seconds=DISK_SECONDS)
        self._close_socket()

    async def close(self, *, grace_seconds: float | None = CLOSE_SECONDS) -> None:
        """Stop accepting, and close every connection; due answers get ``grace_seconds`` (None: any time)."""
        await self.stop_accepting()
        for connection in list(self.connections):
            connection.close_soon()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                while self.connections:
                    self._left.clear()
                    await self._left.wait()
        for connection in list(self.connections):
            connection.abort()
        await asyncio.sleep(0)

    def replace(self, old: C, new: C) -> None:
        """Count ``new`` instead of ``old``, which has the same peer."""
        self.connections[new] = self.connections.pop(old)

    def leave(self, connection: C) -> None:
        """Forget a connection that is closed."""
        if (uid := self.connections.pop(connection, None)) is not None:
            self._left.set()
            self._going.discard(connection)
            self._per_uid[uid] -= 1
            if not self._per_uid[uid]:
                del self._per_uid[uid]

    def take_turn(self, go_on: Callable[[], object]) -> None:
        """Call ``go_on`` soon, in the order of these calls; `TURNS_AT_ONCE` of them in one round of the loop."""
        self._turns.append(go_on)
        if not self._gives_turns:
            self._gives_turns = True
            asyncio.get_running_loop().call_soon(self._give_turns)

    def _give_turns(self) -> None:
        for _ in range(min(TURNS_AT_ONCE, len(self._turns))):
            self._turns.popleft()()
        self._gives_turns = bool(self._turns)
        if self._gives_turns:
            asyncio.get_running_loop().call_soon(self._give_turns)

    async def _bind(self, place: SocketFile, *, take_back: bool) -> socket.socket:
        """Make the socket in a thread: disks and lookups of names may hang. Raises OSError."""
        given_up = False

        def bind() -> socket.socket:
            made = bind_socket(place, take_back=take_back)
            if given_up:  # nobody would accept from it
                withdraw(place, made)
                made.close()
            return made

        try:
            return await self._threads.run(bind, seconds=DISK_SECONDS)
        except TimeoutError as error:
            given_up = True
            reason = str(error) or f"not made within {DISK_SECONDS:.0f} s: a disk or a lookup of a name hangs"
            raise OSError(f"the socket {place.path}: {reason}") from None

    # ---------------------------------------------------------------- accepting

    def _accept(self) -> None:
        sock, limits = self._socket, self._limits
        reserved = _first_reserved(SPARE_DESCRIPTORS if self._drains else 0)
        if sock is None:
            return
        if self._drains and spare_threads.unfinished >= MOST_UNFINISHED:
            self._pause_accepting()
            return
        family = int(sock.family)
        for _ in range(MOST_AT_ONCE):
            if limits.queues and (len(self.connections) >= limits.connections or _is_reached(reserved, sock)):
                self._pause_accepting()
                return
            try:
                descriptor, address = sock._accept()  # type: ignore[attr-defined]  # accept() asks for much more
            except (BlockingIOError, InterruptedError):
                self._backlog_is_empty()
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._log_failure(error)
                self._pause_accepting()
                return
            # The plain C type: the Python class costs three times as much.
            accepted = self._drained(descriptor) if self._drains else socket.SocketType(family, _STREAM, 0, descriptor)
            self._failing = False
            try:
                uid = uid_of(accepted) if family == socket.AF_UNIX else NOBODY.uid
            except OSError:
                accepted.close()
                continue
            if self._per_uid[uid] >= CONTAINER_PLACES and self._is_privileged(uid) and self._is_contained(accepted):
                uid = _IN_CONTAINER - uid
            if limits.per_uid is not None and self._per_uid[uid] >= limits.per_uid and uid not in limits.exempt:
                self._denied(_peer(uid), "too many connections of this uid")
                accepted.close()
                continue
            full = len(self.connections) >= self._common or descriptor >= reserved
            if full and not self._make_room(uid, descriptor - reserved):
                self._denied(_peer(uid), "too many connections")
                accepted.close()
                continue
            connection = self._make(accepted, address)
            self.connections[connection] = uid
            self._per_uid[uid] += 1
            connection.start()

    def _make_room(self, uid: int, above: float) -> bool:
        """Close the idlest connection for a new one if there is no place for it; False if none can be closed.

        ``above`` is how far the new connection's descriptor lies in the reserve; negative if it does not.
        """
        kept = self._is_kept(uid)
        taken = len(self.connections) - len(self._going)
        if above < 0 and taken < (self._limits.connections if kept else self._common):
            return True
        # A descriptor of the reserve is given back as soon as the closed connection's is free again.
        if above >= RESERVED_DESCRIPTORS / 2 and not kept:
            return False
        fullest = self._fullest_uid()
        if fullest is None or (idlest := self._find_idlest(fullest)) is None:
            return False
        # A client of the uid with the most makes no room for itself.
        if self._per_uid[uid] >= self._per_uid[fullest] and (uid == fullest or not kept or self._is_kept(fullest)):
            return False
        self._going.add(idlest)
        self._denied(_peer(self.connections[idlest]), "too many connections: the idlest was closed")
        idlest.give_way()
        return True

    def _is_contained(self, accepted: socket.SocketType) -> bool:
        now, pid = asyncio.get_running_loop().time(), pid_of(accepted)
        if now > self._contained_until or len(self._contained) > MOST_REMEMBERED_PIDS:
            self._contained, self._contained_until = {}, now + PID_SECONDS
        if (known := self._contained.get(pid)) is None:
            known = self._contained[pid] = is_contained(accepted)
        return known

    def _is_privileged(self, uid: int) -> bool:
        return uid in self._limits.exempt or self._is_kept(uid)

    def _is_kept(self, uid: int) -> bool:
        return self._limits.kept is not None and self._limits.kept(uid)

    def _fullest_uid(self) -> int | None:
        """Return the uid with the most connections; one for which places are kept only if there is no other."""
        return max(self._per_uid, key=lambda uid: (not self._is_kept(uid), self._per_uid[uid]), default=None)

    def _find_idlest(self, fullest: int) -> C | None:
        """Return the idlest connection of a uid."""
        connections, going = self.connections, self._going
        for _ in range(2):
            while self._idlest:
                since, one = self._idlest.pop()
                if connections.get(one) == fullest and one not in going and one.last_active() == since:
                    return one
            theirs = (one for one, uid in connections.items() if uid == fullest and one not in going)
            idlest = heapq.nsmallest(REMEMBERED_IDLE, ((one.last_active(), one) for one in theirs), key=itemgetter(0))
            self._idlest = idlest[::-1]
        return None

    def _drained(self, descriptor: int) -> socket.SocketType:
        """Return an accepted connection on which descriptors may have been passed."""
        accepted = DrainedSocket.adopt(descriptor)
        if self._only_backlog and not accepted.was_open:
            return socket.SocketType(socket.AF_UNIX, _STREAM, 0, accepted.detach())
        return accepted

    def _backlog_is_empty(self) -> None:
        if self._only_backlog and asyncio.get_running_loop().time() - self._started > BACKLOG_SECONDS:
            self._drains = self._only_backlog = False

    def _resume(self) -> None:
        self._pause = None
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _pause_accepting(self) -> None:
        """Leave new clients in the backlog for a moment."""
        loop = asyncio.get_running_loop()
        if self._socket is not None:
            loop.remove_reader(self._socket)
        self._pause = loop.call_later(PAUSE_SECONDS, self._resume)

    def _log_failure(self, error: OSError) -> None:
        """Log that accept fails, once until it succeeds again."""
        if not self._failing:
            self._failing = True
            self._log.warning("socket.not_accepting", error=error.strerror)

    def _close_socket(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            if self._drains and self._place is not None:
                drain_backlog(self._socket)
            self._socket.close()
            self._socket = None


def _first_reserved(spare: int) -> float:
    """Return the first of the last descriptors: the kernel gives the lowest free number. The limit may change."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return float("inf") if soft == resource.RLIM_INFINITY else soft - RESERVED_DESCRIPTORS - spare


def _is_reached(reserved: float, listening: socket.socket) -> bool:
    """Return whether the next descriptor would be a reserved one, before a connection is accepted that must stay."""
    try:
        lowest = os.dup(listening.fileno())
    except OSError:
        return True
    os.close(lowest)
    return lowest >= reserved


def _peer(counted: int) -> Peer:
    """Return the peer that a connection counts for, for the audit line of a denial."""
    return Peer(_IN_CONTAINER - counted if counted <= _IN_CONTAINER else counted, frozenset())
