"""The expiry watch notices that a token has expired, also during an attempt, and wakes its waiters.

It is one task for all tokens: it sleeps until the next end, and thousands of tokens cost no more than one.
"""

import heapq
from collections.abc import Callable

from tokend.engine.context.context import Context
from tokend.machine.event import Event
from tokend.machine.logs import get_logger

log = get_logger()


class ExpiryWatch:
    """Watch the ends of all leases; ``is_held(name)`` returns whether a name is configured now. `run` is its task."""

    def __init__(self, context: Context, *, is_held: Callable[[str], bool]) -> None:
        self._store = context.store
        self._clock = context.clock
        self._is_held = is_held
        self._ends: list[tuple[float, str]] = []  # a heap by boot time; the newest one of each name counts
        self._newest: dict[str, float] = {}
        # The ends that were logged. Not generations: an end may move when a clock that was wrong at boot is set.
        self._noticed: dict[str, float] = {}
        self._wake = Event()
        self._store.subscribe(self._note_end)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            self._wake = Event()
            now = self._clock.instant()
            while self._ends and self._ends[0][0] <= now.boot:
                self._expired(*heapq.heappop(self._ends))
            upcoming = now.after(self._ends[0][0] - now.boot) if self._ends else None
            await self._clock.wait(upcoming, self._wake)

    def _note_end(self, name: str) -> None:
        """Note the end of a token whose record changed."""
        lease = self._store.get(name).lease
        if lease is None or lease.token.expires_at is None or not self._is_held(name):
            self._newest.pop(name, None)
            return
        end = lease.token.expires_at.boot
        if self._newest.get(name) != end and self._noticed.get(name) != end:
            self._newest[name] = end
            heapq.heappush(self._ends, (end, name))
            if self._ends[0] == (end, name):
                self._wake.set()

    def _expired(self, end: float, name: str) -> None:
        if self._newest.get(name) != end:
            return  # the token was replaced or withdrawn meanwhile
        del self._newest[name]
        self._noticed[name] = end
        log.warning("token.expired", token=name, generation=self._store.get(name).generation)
        self._store.touch(name)
