"""A clock that stands where a test put it, or goes on from there."""

import time
from datetime import UTC, datetime, timedelta

from tokend.machine.event import Event
from tokend.values.instant import Instant


class StandingClock:
    """`tokend.clock.Clock` whose wall clock started at ``unix`` and stands still, or ``goes`` on."""

    def __init__(self, unix: float, *, goes: bool = False) -> None:
        self._start = datetime.fromtimestamp(unix, UTC)
        self._goes = goes
        self._begun = time.monotonic()
        self._passed = 0.0

    def instant(self) -> Instant:
        elapsed = self._passed + (time.monotonic() - self._begun if self._goes else 0.0)
        return Instant(self._start + timedelta(seconds=elapsed), 1000.0 + elapsed)

    def go_on(self, seconds: float) -> None:
        """Let time pass, on both time lines."""
        self._passed += seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock."""
        self._start += timedelta(seconds=seconds)

    async def wait(self, until: Instant | None, wake: Event, *, ends: Instant | None = None) -> None:
        raise AssertionError("an attempt does not wait")

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("an attempt does not sleep")
