"""Moments that an earlier boot noted, as far as this boot knows them. Pure.

Boot time starts again with each boot, and the wall clock may be wrong until it is set. So such a moment is kept on both
time lines: ``wall`` is what the earlier boot meant, and ``boot`` the latest that it can be: as long after now as it was
ahead when it was saved. The earlier of the two counts, at each look: a clock that is set corrects the moment, and no
clock makes a pause longer than it was.
"""

from dataclasses import dataclass
from datetime import timedelta

from tokend.machine.clock import is_plausible
from tokend.values.instant import Instant


@dataclass(frozen=True, slots=True)
class Adrift(Instant):
    """A moment from an earlier boot."""


def seconds_until(moment: Instant, now: Instant) -> float:
    """Compute the seconds until ``moment``; negative if it has passed."""
    left = now.until(moment)
    if isinstance(moment, Adrift) and is_plausible(now.wall):
        return min(left, (moment.wall - now.wall).total_seconds())
    return left


def adrift(moment: Instant, *, saved_at: Instant | None, now: Instant, earliest: float, latest: float) -> Adrift:
    """Take over a moment that an earlier boot saved at ``saved_at``, in seconds between ``earliest`` and ``latest``.

    Where ``saved_at`` is not known, the wall clock of now says how far ahead the moment is.
    """
    if saved_at is None:
        wall, ahead = moment.wall, (moment.wall - now.wall).total_seconds()
    else:
        ahead = seconds_until(moment, saved_at)
        # Both are of one boot: their distance is true, whatever the wall clock did between them.
        wall = saved_at.wall + timedelta(seconds=ahead)
    return Adrift(wall, now.boot + min(max(ahead, earliest), latest))
