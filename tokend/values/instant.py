"""`Instant`: one moment as wall time and as boot time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self


@dataclass(frozen=True, slots=True, order=False)
class Instant:
    """A moment as wall time and as boot time.

    ``wall`` is aware UTC and can be stepped. ``boot`` is CLOCK_BOOTTIME in seconds: it is never stepped, counts
    suspend, and is void after a reboot (`engine.records` computes it again). Durations are measured on ``boot``;
    ``wall`` is for people and for other machines.
    """

    wall: datetime
    boot: float

    def after(self, seconds: float) -> Self:
        """Return the moment ``seconds`` later (earlier if negative)."""
        return type(self)(self.wall + timedelta(seconds=seconds), self.boot + seconds)

    def until(self, other: "Instant") -> float:
        """Return the seconds of boot time until ``other``; negative if it has passed."""
        return other.boot - self.boot
