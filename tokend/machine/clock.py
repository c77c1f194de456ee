"""Where time comes from. Everything in the engine takes time from a `Clock` and from nowhere else.

Two lines of time are read (see `Instant`). `SystemClock.watch` compares them every few seconds: when the machine was
suspended or the wall clock was stepped, everybody who waits is woken to look again, so that nothing sleeps past its
moment by more than one tick of awake time.
"""

import math
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol

import anyio

from tokend.machine.event import Event, Waiters
from tokend.values.instant import Instant

# docs/promises.md P6: noticed within 15 s of awake time. Ten leaves room for a busy loop.
TICK_SECONDS = 10.0
# Less is ordinary slewing and scheduling noise; an NTP step is by default at least 0.128 s, a harmful one far larger.
STEP_SECONDS = 2.0
# No timer is trusted for longer, whatever the platform's clocks do.
LONGEST_TIMER_SECONDS = 3600.0
# A wall clock outside these years is an RTC without a battery, not a date (docs/promises.md 36).
PLAUSIBLE_YEARS = range(2024, 2090)


class Clock(Protocol):
    """The time, and the only way to wait for it."""

    def instant(self) -> Instant:
        """Now, on both lines."""

    async def wait(self, until: Instant | None, wake: Event, *, ends: Instant | None = None) -> None:
        """Return when ``until`` has come on either line (None: never), ``wake`` is set, or the clocks moved.

        It may return early; callers look again, and take ``until`` from `instant` anew: one that was made before the
        clocks moved has come for ever. Those whom a moved clock wakes go in the order of ``ends`` (docs/promises.md
        28). Implementers must not return later than one tick after the moment.
        """

    async def sleep(self, seconds: float) -> None:
        """Sleep that many seconds of awake time: for pauses shorter than a tick."""


def is_plausible(wall: datetime) -> bool:
    """Tell whether a wall clock that says ``wall`` may be believed at all."""
    return wall.year in PLAUSIBLE_YEARS


class Told:
    """What the clocks said since the last look at them: tells whether anybody believed what is no longer so.

    Also of a wall clock that was set to and fro between two looks: who took a moment from it in between has a wrong
    one. ``wall`` and ``awake`` are the wall clock and the time awake, each less boot time: a change of the first is a
    step, of the second a suspend.
    """

    def __init__(self, wall: float, awake: float) -> None:
        self._lowest = self._highest = wall
        self._awake = awake

    def note(self, wall: float) -> None:
        """Somebody was told this."""
        if wall < self._lowest:
            self._lowest = wall
        elif wall > self._highest:
            self._highest = wall

    def look(self, wall: float, awake: float) -> bool:
        """Tell whether the clocks moved since the last look, or moved and came back."""
        moved = max(wall - self._lowest, self._highest - wall, abs(awake - self._awake)) > STEP_SECONDS
        self._lowest = self._highest = wall
        self._awake = awake
        return moved


class SystemClock:
    """The machine's clocks."""

    def __init__(self) -> None:
        self._waiters = Waiters()
        self._told = Told(*self._lines())

    def instant(self) -> Instant:
        wall, boot = self._now()
        self._told.note(wall - boot)
        return Instant(datetime.fromtimestamp(wall, UTC), boot)

    def wait(
        self, until: Instant | None, wake: Event, *, ends: Instant | None = None
    ) -> Coroutine[Any, Any, None]:  # not a coroutine around another: of each there are thousands
        ends_at = math.inf if ends is None else ends.boot
        return self._waiters.wait(wake, seconds=self._timer_seconds(until), ends=ends_at)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def watch(self) -> None:
        """Wake everybody who waits whenever the clocks moved against each other. Runs until cancelled."""
        while True:
            await anyio.sleep(TICK_SECONDS)
            if self._told.look(*self._lines()):
                self.wake_all()

    def wake_all(self) -> None:
        """Let everybody who waits look at the clocks again, the most urgent first."""
        self._waiters.release()

    def _timer_seconds(self, until: Instant | None) -> float:
        if until is None:
            return LONGEST_TIMER_SECONDS
        now = self.instant()
        left = min(now.until(until), (until.wall - now.wall).total_seconds())
        return min(max(left, 0.0), LONGEST_TIMER_SECONDS)

    def _now(self) -> tuple[float, float]:
        """Wall clock and boot time."""
        return time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)

    def _lines(self) -> tuple[float, float]:
        """Wall clock and time awake, each less boot time."""
        wall, boot = self._now()
        return wall - boot, time.monotonic() - boot
