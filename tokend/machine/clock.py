"""Source of time. The engine takes time from a `Clock` only.

A clock reads two time lines (see `Instant`). `SystemClock.watch` compares them every few seconds. After a suspend or a
step of the wall clock it wakes all waiters, so that none sleeps longer than one tick of awake time past its moment.
"""

import math
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol

import anyio

from tokend.machine.event import Event, Waiters
from tokend.values.instant import Instant

# docs/promises.md P6: a step is noticed within 15 s of awake time. Ten seconds leave room for a busy loop.
TICK_SECONDS = 10.0
# Smaller differences are slewing and scheduling noise. An NTP step is 0.128 s or more; a harmful one is far larger.
STEP_SECONDS = 2.0
# A waiter looks at the clocks at least this often, whatever the platform's timers do.
LONGEST_TIMER_SECONDS = 3600.0
# A wall clock outside these years is an RTC without a battery, not a date (docs/promises.md 36).
PLAUSIBLE_YEARS = range(2024, 2090)


class Clock(Protocol):
    """The time, and the only way to wait for a moment. Implementers must not return late; they may return early."""

    def instant(self) -> Instant:
        """Return the present moment on both time lines."""

    async def wait(self, until: Instant | None, wake: Event, *, ends: Instant | None = None) -> None:
        """Return when ``until`` has come on either line (None: never), ``wake`` is set, or the clocks moved.

        The wait may end early: callers check again, and compute ``until`` from a new `instant`, because a moment that
        was computed before the clocks moved may be wrong. A moved clock wakes waiters in the order of ``ends``
        (docs/promises.md 28). Implementers must not return later than one tick after the moment.
        """

    async def sleep(self, seconds: float) -> None:
        """Sleep ``seconds`` of awake time. For pauses shorter than a tick."""


def is_plausible(wall: datetime) -> bool:
    """Return whether ``wall`` can be the present date."""
    return wall.year in PLAUSIBLE_YEARS


class ClockReadings:
    """Range of the clock readings since the last `look`, to detect that a reading was given out and is wrong now.

    A wall clock may be set and set back between two looks; a reading from in between is wrong, too. ``wall`` is the
    wall clock minus boot time: a change is a step. ``awake`` is the time awake minus boot time: a change is a suspend.
    """

    def __init__(self, wall: float, awake: float) -> None:
        self._lowest = self._highest = wall
        self._awake = awake

    def note(self, wall: float) -> None:
        """Record a reading that was given out."""
        if wall < self._lowest:
            self._lowest = wall
        elif wall > self._highest:
            self._highest = wall

    def look(self, wall: float, awake: float) -> bool:
        """Return whether the clocks moved since the last look, also if they moved back. Begins a new range."""
        moved = max(wall - self._lowest, self._highest - wall, abs(awake - self._awake)) > STEP_SECONDS
        self._lowest = self._highest = wall
        self._awake = awake
        return moved


class SystemClock:
    """`Clock` of this machine."""

    def __init__(self) -> None:
        self._waiters = Waiters()
        self._readings = ClockReadings(*self._lines())

    def instant(self) -> Instant:
        """Return the present moment on both time lines."""
        wall, boot = self._now()
        self._readings.note(wall - boot)
        return Instant(datetime.fromtimestamp(wall, UTC), boot)

    def wait(
        self, until: Instant | None, wake: Event, *, ends: Instant | None = None
    ) -> Coroutine[Any, Any, None]:  # not a coroutine around another one: there are thousands of waits
        """Return a wait as `Clock.wait` describes it."""
        ends_at = math.inf if ends is None else ends.boot
        return self._waiters.wait(wake, seconds=self._timer_seconds(until), ends=ends_at)

    async def sleep(self, seconds: float) -> None:
        """Sleep ``seconds`` of awake time."""
        await anyio.sleep(seconds)

    async def watch(self) -> None:
        """Wake all waiters whenever the clocks moved against each other. Runs until cancelled."""
        while True:
            await anyio.sleep(TICK_SECONDS)
            if self._readings.look(*self._lines()):
                self.wake_all()

    def wake_all(self) -> None:
        """Wake all waiters, the most urgent first: each checks the clocks again."""
        self._waiters.release()

    def _timer_seconds(self, until: Instant | None) -> float:
        if until is None:
            return LONGEST_TIMER_SECONDS
        now = self.instant()
        left = min(now.until(until), (until.wall - now.wall).total_seconds())
        return min(max(left, 0.0), LONGEST_TIMER_SECONDS)

    def _now(self) -> tuple[float, float]:
        """Return wall clock and boot time in seconds."""
        return time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)

    def _lines(self) -> tuple[float, float]:
        """Return wall clock and time awake, each minus boot time."""
        wall, boot = self._now()
        return wall - boot, time.monotonic() - boot
