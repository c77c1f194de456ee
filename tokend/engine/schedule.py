"""When to refresh, and how long to back off: pure arithmetic, no clock, no state but what is handed in."""

import math
from datetime import timedelta

from tokend.plugin.settings import Percentage
from tokend.values.instant import Instant
from tokend.values.tokens import Token

# Without a wish from the operator or the vendor: refresh when a fifth of the life is left.
DEFAULT_LEAD_SHARE = 0.20
# A longer lead would make short-lived tokens be fetched without end.
LONGEST_LEAD_SHARE = 0.50
# Spreads daemons that hold tokens of one age; it only ever makes a refresh earlier.
JITTER_SHARE = 0.05

# Between two attempts of one provider after a failure or on demand, whatever upstream, clock or readers do.
FLOOR_SECONDS = 5.0
LONGEST_BACKOFF_SECONDS = 300.0
# Doubling from 5 s passes 300 s at the sixth failure; capping the exponent keeps 2**n from growing for days.
LARGEST_EXPONENT = 6
# While a token is valid, a quarter of what is left: some eight tries fit in before the last minute.
SHARE_OF_WHAT_IS_LEFT = 0.25

# After its first hour an outage has a budget of 20 requests an hour (docs/promises.md P3), readers' included: they wait
# for the shortest draw of the longest backoff then.
LONG_OUTAGE_SECONDS = 3600.0
LONG_OUTAGE_PAUSE_SECONDS = 0.6 * LONGEST_BACKOFF_SECONDS

# Attempts that readers may cause: three at once, then one per five minutes.
ALLOWANCE_BURST = 3
ALLOWANCE_REFILL_SECONDS = 300.0

# An exchange costs some 3 ms of the loop's time, which readers share; no vendor would take more from one client.
PACE_BURST = 50
PACE_PER_SECOND = 100.0


def lead_seconds(token: Token, *, lead: timedelta | Percentage | None, minimum_lead_seconds: float) -> float | None:
    """How long before its end ``token`` is to be replaced; None for a token without an end.

    ``lead`` is the operator's ``refresh_before``, ``minimum_lead_seconds`` the vendor's.
    """
    life = token.life_seconds
    if life is None:
        return None
    if isinstance(lead, Percentage):
        wanted = float(lead) * life
    elif lead is not None:
        wanted = lead.total_seconds()
    else:
        wanted = max(minimum_lead_seconds, DEFAULT_LEAD_SHARE * life)
    return min(wanted, LONGEST_LEAD_SHARE * life)


def refresh_moment(token: Token, *, lead_seconds: float | None, jitter: float) -> Instant | None:
    """When to replace ``token``; None for a token without an end. ``jitter`` is drawn once per token from [0, 1)."""
    if lead_seconds is None or token.expires_at is None:
        return None
    early = jitter * JITTER_SHARE * token.issued_at.until(token.expires_at)
    return token.expires_at.after(-lead_seconds - early)


def backoff_seconds(failures: int, *, seconds_left: float | None, draw: float) -> float:
    """How long to wait after the ``failures``-th failure in a row (1 is the first).

    ``seconds_left`` of the token held, None or not positive if there is none; ``draw`` from [0, 1).
    """
    exponent = min(max(failures - 1, 0), LARGEST_EXPONENT)
    longest = min(LONGEST_BACKOFF_SECONDS, FLOOR_SECONDS * 2.0**exponent)
    if seconds_left is not None and seconds_left > 0:
        longest = min(longest, seconds_left * SHARE_OF_WHAT_IS_LEFT)
    return max(FLOOR_SECONDS, (0.6 + 0.4 * draw) * longest)


class Allowance:
    """How many attempts readers may still cause: a bucket of three, refilled by one per five minutes of boot time."""

    __slots__ = ("_level", "_seen")

    def __init__(self) -> None:
        self._level = float(ALLOWANCE_BURST)
        self._seen: float | None = None

    def take(self, now: Instant) -> float:
        """Take one; returns 0.0, or the seconds until there is one (then nothing was taken)."""
        if self._seen is not None:
            earned = max(0.0, now.boot - self._seen) / ALLOWANCE_REFILL_SECONDS
            self._level = min(float(ALLOWANCE_BURST), self._level + earned)
        self._seen = now.boot
        if self._level >= 1.0:
            self._level -= 1.0
            return 0.0
        return (1.0 - self._level) * ALLOWANCE_REFILL_SECONDS


class Pace:
    """How fast a daemon asks its upstreams, all together: so many at once, then one after the other.

    Thousands of tokens are due together after a start, an outage, a suspend, or where they were made together. Asked
    for at once, each would stand in the way of all others until they ran out of time.
    """

    def __init__(self) -> None:
        self._next = -math.inf  # boot time; turns are given up to here

    def turn(self, now: Instant) -> Instant:
        """Take the next turn; returns when it is, ``now`` at the earliest."""
        at = max(self._next, now.boot - PACE_BURST / PACE_PER_SECOND)
        self._next = at + 1.0 / PACE_PER_SECOND
        return now.after(max(0.0, at - now.boot))


class HostLimits:
    """The pauses that upstream hosts asked for, shared by all providers of a host; and the pace of accounts that are
    shared (`identity.pace_of`), kept in the same way."""

    def __init__(self) -> None:
        self._until: dict[str, Instant] = {}

    def block(self, host: str | None, until: Instant) -> None:
        """Let nobody ask ``host`` before ``until``; an earlier moment than the known one changes nothing."""
        if host is not None and ((known := self._until.get(host)) is None or known.boot < until.boot):
            self._until[host] = until

    def seconds(self, host: str | None, now: Instant) -> float:
        """Seconds that ``host`` must still be left alone, 0.0 if none."""
        if host is None or (until := self._until.get(host)) is None:
            return 0.0
        if (left := now.until(until)) <= 0:
            del self._until[host]
            return 0.0
        return left
