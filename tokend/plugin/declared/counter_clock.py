"""The clock that counters are made of. Each value of a counter binds all later ones, so a clock must be believable."""

from datetime import datetime, timedelta

from tokend.machine.clock import is_plausible
from tokend.values.errors import ClockError

# A counter follows the upstream's clock so far from this machine's: a `Date` of years ahead would bind it for years.
FARTHEST = timedelta(days=1)


def counter_time(wall: datetime, upstream: datetime) -> datetime:
    """Return the moment that a counter is made of: by the upstream's clock, or by ours where the two are days apart.

    Raises `ClockError` while this machine's clock is not plausible.
    """
    if not is_plausible(wall):
        raise ClockError(f"this machine's clock says {wall:%Y-%m-%d}, and a counter is made of it: set it (NTP)")
    return upstream if abs(upstream - wall) <= FARTHEST else wall
