"""Rate limits: attempts that readers may cause, requests of the whole daemon, pauses of hosts. No clock."""

import math

from tokend.values.instant import Instant

# Attempts that readers may cause: three at once, then one per five minutes.
ALLOWANCE_BURST = 3
ALLOWANCE_REFILL_SECONDS = 300.0
# An exchange costs some 3 ms of the loop's time, which readers share; no vendor would take more from one client.
PACE_BURST = 50
PACE_PER_SECOND = 100.0


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
