"""Watch of all targets that other programs can change: a look at each of them every few seconds.

A look takes one stat(2) of a target. A target whose stamp has changed since the last look, or that was written since,
is compared with what it must hold. `DriftRepair` decides what follows.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

from tokend.engine.context.context import Context
from tokend.engine.publishing.drift_repair import DriftRepair
from tokend.engine.publishing.target_tokens import Leases
from tokend.machine.event import Event
from tokend.machine.logs import get_logger
from tokend.plugin.kind_bugs import bug_in
from tokend.plugin.sink import Difference
from tokend.values.errors import SinkError

T = TypeVar("T")

# docs/promises.md: a change is noticed within 15 s. A look at thousands of targets takes a moment, too.
LOOK_SECONDS = 5.0
LONGEST_LOOK_SECONDS = 10.0
# Share of a core that looks may take. With more than some thousands of targets, looks become rarer.
LOOK_SHARE = 0.005
# Targets per call in a thread: the loop takes their results in one go.
TOGETHER = 500
# Time limit of such a call. A healthy disk needs some milliseconds.
CALL_SECONDS = 5.0

log = get_logger()


@dataclass(slots=True)
class _Call(Generic[T]):
    """The results of one call in a thread, in order, and its processor time; ``ended`` once the thread has left it."""

    results: list[T] = field(default_factory=list)
    took_seconds: float = 0.0
    ended: bool = False


class DriftWatch:
    """Look at all targets that were added. `run` is its task."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._watched: dict[DriftRepair, None] = {}
        self._wake = Event()
        self._hung: dict[DriftRepair, _Call[object]] = {}
        self._took_seconds = 0.0

    def add(self, drift: DriftRepair) -> None:
        """Watch a target from now on."""
        if not self._watched:
            self._wake.set()
        self._watched[drift] = None

    def discard(self, drift: DriftRepair) -> None:
        """Watch a target no longer."""
        self._watched.pop(drift, None)

    def look_soon(self) -> None:
        """Look at all targets at once."""
        self._wake.set()

    async def inspect(self, drift: DriftRepair) -> None:
        """Compare a target now with what it must hold, whatever its stamp."""
        if not drift.is_watched or drift in self._hung:
            return
        for stamp in await self._in_thread([drift], [drift.sink.stamp]):
            await self._compare([(drift, stamp)])

    async def run(self) -> None:
        """Watch until cancelled."""
        clock = self._context.clock
        while True:
            pause = min(max(LOOK_SECONDS, self._took_seconds / LOOK_SHARE), LONGEST_LOOK_SECONDS)
            await clock.wait(clock.instant().after(pause) if self._watched else None, self._wake)
            self._wake = Event()
            await self._look()

    async def _look(self) -> None:
        self._took_seconds = 0.0
        self._hung = {drift: call for drift, call in self._hung.items() if not call.ended}
        rest = iter([drift for drift in self._watched if drift.is_watched and drift not in self._hung])
        while part := list(islice(rest, TOGETHER)):
            stamps = await self._in_thread(part, [drift.sink.stamp for drift in part])
            await self._compare(
                [(drift, stamp) for drift, stamp in zip(part, stamps, strict=False) if not drift.is_seen(stamp)]
            )

    async def _compare(self, changed: Sequence[tuple[DriftRepair, object]]) -> None:
        """Compare targets whose stamp has changed with what they must hold."""
        asked = [(drift, stamp, leases) for drift, stamp in changed if (leases := drift.leases()) is not None]
        calls = [_comparison(drift, leases) for drift, _, leases in asked]
        found = await self._in_thread([drift for drift, _, _ in asked], calls)
        for (drift, stamp, leases), difference in zip(asked, found, strict=False):
            # A newer token may have been written meanwhile.
            if drift.leases() == leases:
                drift.looked(stamp, difference)

    async def _in_thread(self, drifts: Sequence[DriftRepair], calls: Sequence[Callable[[], T]]) -> list[T]:
        """Make the calls in a thread, one after another.

        If one hangs, its target is left out until its thread has ended; the results before it are returned.
        """
        if not calls:
            return []
        noted: _Call[T] = _Call()

        def make() -> None:
            started = time.thread_time()
            try:
                for call in calls:
                    noted.results.append(call())
            finally:
                noted.took_seconds, noted.ended = time.thread_time() - started, True

        try:
            await self._context.looks.run(make, seconds=CALL_SECONDS)
        except TimeoutError as error:
            results = list(noted.results)
            hung = drifts[min(len(results), len(drifts) - 1)]
            self._hung[hung] = noted  # type: ignore[assignment]  # only whether it has ended is read
            log.warning("watch.stuck", path=hung.sink.target, detail=str(error) or "the disk hangs")
            return results
        self._took_seconds += noted.took_seconds
        return noted.results


def _comparison(drift: DriftRepair, leases: Leases) -> Callable[[], Difference | None]:
    good = drift.good

    def compare() -> Difference | None:
        try:
            return drift.sink.difference(*leases, good)
        except SinkError as error:
            return Difference(error.detail)
        except Exception:
            return Difference(f"it cannot be compared: {bug_in(drift.sink)}")

    return compare
