"""Heartbeats of refreshers, for the watchdog (docs/promises.md P8, 70, 72 and 74).

A refresher's `Heartbeat` shows whether it works or rests, and until when. `HeartbeatCheck` checks all of them from time
to time. It adds up awake seconds between its checks and compares no clocks: after a suspend, a clock step or a freeze
every refresher is overdue for a moment, and none hangs.

- A rest ends at its moment, at the latest a tick of the clock later. A refresher that is `REST_SECONDS` overdue hangs.
- Work (reconciling, an attempt, saving) is bounded by the timeouts of its steps. Work that takes longer hangs. A
  refresher that waits for a thread, behind all other providers, does not hang while the queue moves: so the bound does
  not grow with their number.
- A worker that crashes does not hang: it is started again, and each start is a beat. Status shows the crash; it is no
  reason to restart all other providers.
"""

import math
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Protocol, TypeVar

from tokend.machine.thread_pool import Threads

T = TypeVar("T")

# A tick (15 s) late is allowed (`Clock.wait`), and a busy loop does not hang.
REST_SECONDS = 45.0
# Work: saving (10 s) before and after the request, and the machine's own slowness.
WORK_SECONDS = 60.0
# An attempt may make a few exchanges, each within its timeout.
EXCHANGES = 4


class Heartbeat:
    """One refresher's sign of life. It begins as working."""

    __slots__ = ("_queue", "beats", "rests_until")

    def __init__(self) -> None:
        self.beats = 0
        self.rests_until: float | None = None  # boot time; None while it works
        self._queue: TrackedThreads | None = None  # the threads it waits for

    def works(self) -> None:
        """Note that work begins, or its next step."""
        self.beats += 1
        self.rests_until = None

    def rests(self, until: float | None) -> None:
        """Note that a rest begins, to the boot time ``until`` (None: no timer ends it); an event may end it sooner."""
        self.beats += 1
        self.rests_until = math.inf if until is None else until

    def queues(self, queue: "TrackedThreads | None") -> None:
        """Note that it waits for a thread of ``queue``; None: it has one, or needs none any more."""
        self.beats += 1
        self._queue = queue

    @property
    def signs(self) -> tuple[int, int]:
        """Values that change while the refresher makes progress, or the queue that it waits in."""
        return self.beats, 0 if self._queue is None else self._queue.moves


HEARTBEAT: ContextVar[Heartbeat | None] = ContextVar("HEARTBEAT", default=None)
"""The heartbeat of the refresher that runs in the current task."""


class TrackedThreads:
    """Threads that note in a refresher's heartbeat that it waits for one, and that count the moves of the queue."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self.moves = 0

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        """Run ``call`` in a thread; see `Threads.run`."""
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
    """A loop with a heartbeat: a `refresher.Refresher`."""

    @property
    def name(self) -> str:
        """The token's name."""

    @property
    def heartbeat(self) -> Heartbeat:
        """Its heartbeat."""

    @property
    def timeout_seconds(self) -> float:
        """The longest time that one exchange with its upstream may take."""


class HeartbeatCheck:
    """Find refreshers that hang, by the signs of life seen at the last check."""

    def __init__(self) -> None:
        # By name: the refresher, its signs of life, awake seconds without a new one.
        self._seen: dict[str, tuple[Monitored, tuple[int, int], float]] = {}

    def look(self, living: Iterable[Monitored], *, boot: float, seconds: float) -> list[str]:
        """Return the names of refreshers that hang, at boot time ``boot``, ``seconds`` awake after the last check."""
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
    """Return how long ``one`` may work, or be overdue, without a sign of life."""
    if one.heartbeat.rests_until is not None:
        return REST_SECONDS
    return WORK_SECONDS + EXCHANGES * one.timeout_seconds
