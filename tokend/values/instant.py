"""`Instant`: one moment on the two time lines that tokend trusts for different things."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self


@dataclass(frozen=True, slots=True, order=False)
class Instant:
    """A moment as wall time and as boot time.

    ``wall`` is aware UTC: what the world calls it; it may be stepped. ``boot`` is seconds of CLOCK_BOOTTIME: never
    stepped, counts suspend, void after a reboot (`state` re-anchors it then). Durations are kept on ``boot``;
    ``wall`` is for other people.
    """

    wall: datetime
    boot: float

    def after(self, seconds: float) -> Self:
        """The moment ``seconds`` later (earlier if negative)."""
        return type(self)(self.wall + timedelta(seconds=seconds), self.boot + seconds)

    def until(self, other: "Instant") -> float:
        """Seconds from here to ``other`` on the boot line; negative if it has passed."""
        return other.boot - self.boot
