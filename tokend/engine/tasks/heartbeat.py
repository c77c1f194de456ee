"""Who is still moving: what the watchdog is fed on (docs/promises.md P8, 70, 72 and 74).

A `Heartbeat` is one refresher's: it tells whether it works or rests, and until when. `HeartbeatCheck` looks at all from
time to time. Time is counted in awake seconds from look to look, never as a difference of clocks: after a suspend, a
step or a freeze everybody is overdue for a moment and nobody has hung.

- A rest ends at its moment, at the latest a tick of the clock later. One that is `REST_SECONDS` overdue has hung.
- Work (comparing secrets, an attempt, saving) is bounded by the timeouts of its steps. Work that has had all that time
  has hung. Who stands in the queue for a thread, with all other providers before it, has not hung as long as the queue
  moves: so the bound does not grow with their number.
- A worker that crashes moves: it is started again, and each start is a beat. It is its own provider's trouble, seen in
  status, and no reason to restart everybody's.
"""

import math
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Protocol, TypeVar

from tokend.machine.thread_pool import Threads

T = TypeVar("T")

# A tick (15 s) late is allowed (`Clock.wait`), and a busy loop must not be taken for a dead one.
REST_SECONDS = 45.0
# Work: saving (10 s) before and after the request, and the machine's own slowness.
WORK_SECONDS = 60.0
# An attempt may make a few exchanges, each within its timeout.
EXCHANGES = 4


class Heartbeat:
    """One refresher's sign of life. It works from the start."""

    __slots__ = ("_queue", "beats", "rests_until")

    def __init__(self) -> None:
        self.beats = 0
        self.rests_until: float | None = None  # boot time; None while it works
        self._queue: TrackedThreads | None = None  # where it waits for a thread

    def works(self) -> None:
        """Work begins, or the next piece of it."""
        self.beats += 1
        self.rests_until = None

    def rests(self, until: float | None) -> None:
        """A rest begins, to the boot time ``until`` (None: no timer ends it); somebody may end it sooner."""
        self.beats += 1
        self.rests_until = math.inf if until is None else until

    def queues(self, queue: "TrackedThreads | None") -> None:
        """It waits for a thread now; None: it has one, or needs none any more."""
        self.beats += 1
        self._queue = queue

    @property
    def signs(self) -> tuple[int, int]:
        """What changes while it moves, or while what it waits for does."""
        return self.beats, 0 if self._queue is None else self._queue.moves


HEARTBEAT: ContextVar[Heartbeat | None] = ContextVar("HEARTBEAT", default=None)
"""The heartbeat of the refresher whose task this is."""


class TrackedThreads:
    """`interfaces.Threads` before others: it tells who waits for a thread, and whether the queue moves."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self.moves = 0

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        """Run ``call`` there."""
        heartbeat = HEARTBEAT.get()

        def begun() -> T:
            self._moved(heartbeat)
            return call()

        if heartbeat is not None:
            heartbeat.queues(self)
        try:
            return await self._threads.run(begun, seconds=seconds)
        finally:
            self._moved(heartbeat)

    def _moved(self, heartbeat: Heartbeat | None) -> None:
        self.moves += 1
        if heartbeat is not None:
            heartbeat.queues(None)


class Monitored(Protocol):
    """What is watched: a `refresher.Refresher`."""

    @property
    def name(self) -> str:
        """The token's."""

    @property
    def heartbeat(self) -> Heartbeat:
        """Its own."""

    @property
    def timeout_seconds(self) -> float:
        """What one exchange with its upstream may take."""


class HeartbeatCheck:
    """What was seen of everybody at the last look."""

    def __init__(self) -> None:
        # By name: who, the signs of life, awake seconds without one.
        self._seen: dict[str, tuple[Monitored, tuple[int, int], float]] = {}

    def look(self, living: Iterable[Monitored], *, boot: float, seconds: float) -> list[str]:
        """Who has hung, by name; ``seconds`` of awake time after the last look, at boot time ``boot``."""
        before, self._seen = self._seen, {}
        hung = []
        for one in living:
            heartbeat, signs = one.heartbeat, one.heartbeat.signs
            who, known, still = before.get(one.name, (None, signs, 0.0))
            moved = who is not one or known != signs
            at_rest = heartbeat.rests_until is not None and heartbeat.rests_until >= boot
            still = 0.0 if moved or at_rest else still + seconds
            self._seen[one.name] = (one, signs, still)
            if still > _allowed_seconds(one):
                hung.append(one.name)
        return hung


def _allowed_seconds(one: Monitored) -> float:
    """How long ``one`` may work, or be overdue, without a sign of life."""
    if one.heartbeat.rests_until is not None:
        return REST_SECONDS
    return WORK_SECONDS + EXCHANGES * one.timeout_seconds
