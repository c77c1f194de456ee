"""Places of a listener's connections: limits in all and per uid, and who makes room when all are taken."""

import asyncio
import heapq
import resource
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Generic, Protocol, TypeVar

from tokend.access.peer import Peer, pid_of
from tokend.access.peer_process import is_contained

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


class Places(Generic[C]):
    """The open connections of one listener. ``of`` maps each to the uid that it counts for.

    ``denied`` is called with the reason for a connection that is closed for another one.
    """

    def __init__(self, limits: ConnectionLimits, denied: Callable[[Peer, str], None]) -> None:
        self.of: dict[C, int] = {}
        self.common = limits.common
        self._limits, self._denied = limits, denied
        self._per_uid: Counter[int] = Counter()
        # Connections to be closed if they are still idle then, the idlest one last, with their last activity.
        self._idlest: list[tuple[float, C]] = []
        self._going: set[C] = set()
        # By pid, for a moment: to find out costs as much as the accept and the answer. Only places depend on it: a pid
        # that is another process's by now does no harm.
        self._contained: dict[int, bool] = {}
        self._contained_until = 0.0

    def add(self, connection: C, counted: int) -> None:
        """Count a connection."""
        self.of[connection] = counted
        self._per_uid[counted] += 1

    def replace(self, old: C, new: C) -> None:
        """Count ``new`` instead of ``old``, which has the same peer."""
        self.of[new] = self.of.pop(old)

    def remove(self, connection: C) -> bool:
        """Forget a connection that is closed. False if it was not counted."""
        if (uid := self.of.pop(connection, None)) is None:
            return False
        self._going.discard(connection)
        self._per_uid[uid] -= 1
        if not self._per_uid[uid]:
            del self._per_uid[uid]
        return True

    def uid_for(self, uid: int, accepted: socket.SocketType) -> int:
        """Return the number that a new connection counts for: its uid, or a container's own."""
        if self._per_uid[uid] >= CONTAINER_PLACES and self._is_privileged(uid) and self._is_contained(accepted):
            return _IN_CONTAINER - uid
        return uid

    def has_too_many(self, counted: int) -> bool:
        """Return whether a uid has as many connections as one may have."""
        limits = self._limits
        return limits.per_uid is not None and self._per_uid[counted] >= limits.per_uid and counted not in limits.exempt

    def make_room(self, uid: int, above: float) -> bool:
        """Close the idlest connection for a new one if there is no place for it; False if none can be closed.

        ``above`` is how far the new connection's descriptor lies in the reserve; negative if it does not.
        """
        kept = self._is_kept(uid)
        taken = len(self.of) - len(self._going)
        if above < 0 and taken < (self._limits.connections if kept else self.common):
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
        self._denied(peer_of(self.of[idlest]), "too many connections: the idlest was closed")
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
        connections, going = self.of, self._going
        for _ in range(2):
            while self._idlest:
                since, one = self._idlest.pop()
                if connections.get(one) == fullest and one not in going and one.last_active() == since:
                    return one
            theirs = (one for one, uid in connections.items() if uid == fullest and one not in going)
            idlest = heapq.nsmallest(REMEMBERED_IDLE, ((one.last_active(), one) for one in theirs), key=itemgetter(0))
            self._idlest = idlest[::-1]
        return None


def first_reserved(spare: int) -> float:
    """Return the first of the last descriptors: the kernel gives the lowest free number. The limit may change."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return float("inf") if soft == resource.RLIM_INFINITY else soft - RESERVED_DESCRIPTORS - spare


def peer_of(counted: int) -> Peer:
    """Return the peer that a connection counts for, for the audit line of a denial."""
    return Peer(_IN_CONTAINER - counted if counted <= _IN_CONTAINER else counted, frozenset())
