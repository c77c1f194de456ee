"""Rate limits: attempts that readers may cause, queries per uid, requests of the whole daemon, pauses of hosts.

Takes no time itself.
"""

import math
from dataclasses import dataclass
from datetime import datetime

from tokend.engine.records.adrift import Adrift, seconds_until
from tokend.values.instant import Instant

# Attempts that readers may cause: three at once, then one per five minutes.
ALLOWANCE_BURST = 3
ALLOWANCE_REFILL_SECONDS = 300.0
# Uids with a bucket of their own at a time. All others share one: a user may have thousands (subuid(5)).
MOST_UIDS = 256
_OTHER_UIDS = -2  # no uid, and not the loopback port's
# An exchange costs some 3 ms of the loop's time, which readers share; no vendor would take more from one client.
REQUESTS_BURST = 50
REQUESTS_PER_SECOND = 100.0


class Allowance:
    """Attempts that readers may still cause: a bucket of three, refilled by one per five minutes of boot time."""

    __slots__ = ("_level", "_seen")

    def __init__(self) -> None:
        self._level = float(ALLOWANCE_BURST)
        self._seen: float | None = None

    def take(self, now: Instant) -> float:
        """Take one; return 0.0, or the seconds until there is one (then nothing was taken)."""
        if self._seen is not None:
            earned = max(0.0, now.boot - self._seen) / ALLOWANCE_REFILL_SECONDS
            self._level = min(float(ALLOWANCE_BURST), self._level + earned)
        self._seen = now.boot
        if self._level >= 1.0:
            self._level -= 1.0
            return 0.0
        return (1.0 - self._level) * ALLOWANCE_REFILL_SECONDS


class UidRates:
    """Queries that each uid may make of one provider: a bucket per uid, within bounded memory."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        # Level and boot time of the last query, by uid.
        self._buckets: dict[int, tuple[float, float]] = {}

    def take(self, uid: int, now: Instant, *, per_second: float, burst: int) -> float:
        """Take one of ``burst``, which fill up by ``per_second``.

        Returns 0.0, or the seconds until the uid has one (then nothing was taken).
        """
        if uid not in self._buckets and len(self._buckets) >= MOST_UIDS:
            full = [one for one in self._buckets if self._level(one, now, per_second, burst) >= burst]
            for one in full:
                del self._buckets[one]
            uid = uid if full else _OTHER_UIDS
        level = self._level(uid, now, per_second, burst)
        if level < 1.0:
            return (1.0 - level) / per_second
        self._buckets[uid] = level - 1.0, now.boot
        return 0.0

    def _level(self, uid: int, now: Instant, per_second: float, burst: int) -> float:
        level, seen = self._buckets.get(uid, (float(burst), now.boot))
        return min(float(burst), level + (now.boot - seen) * per_second)


class RequestRate:
    """Rate limit of all requests of a daemon: a burst, then one request after the other.

    Thousands of tokens are due together after a start, an outage, a suspend, or where they were made together.
    Requested at once, they would delay each other until they timed out.
    """

    def __init__(self) -> None:
        self._next = -math.inf  # boot time; slots are given up to here

    def next_slot(self, now: Instant) -> Instant:
        """Take the next slot; return its moment, ``now`` at the earliest."""
        at = max(self._next, now.boot - REQUESTS_BURST / REQUESTS_PER_SECOND)
        self._next = at + 1.0 / REQUESTS_PER_SECOND
        return now.after(max(0.0, at - now.boot))


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing may be sent before ``until``. ``by`` is the provider whose request was answered with the pause."""

    until: Instant
    by: str | None = None

    def ends_at(self, now: Instant) -> datetime:
        """Return its end on the wall clock of ``now``."""
        return now.after(seconds_until(self.until, now)).wall


class HostLimits:
    """The pauses that upstream hosts asked for, shared by all providers of a host.

    The minimum intervals of accounts whose requests the vendor counts (`fingerprints.rate_limited_account`) are kept in
    the same way.
    """

    def __init__(self) -> None:
        # Several only after a reboot: how long a pause of an earlier boot lasts changes with the clock (`Adrift`).
        self._pauses: dict[str, list[Pause]] = {}

    def block(self, host: str | None, until: Instant, *, by: str | None = None) -> None:
        """Send nothing to ``host`` before ``until``; an earlier moment than the known one changes nothing."""
        if host is None:
            return
        known = self._pauses.setdefault(host, [])
        if isinstance(until, Adrift):
            known.append(Pause(until, by))
        elif all(isinstance(one.until, Adrift) or one.until.boot < until.boot for one in known):
            known[:] = [one for one in known if isinstance(one.until, Adrift)] + [Pause(until, by)]

    def seconds(self, host: str | None, now: Instant) -> float:
        """Compute the seconds during which nothing may be sent to ``host``, 0.0 if none."""
        pause = self.pause(host, now)
        return 0.0 if pause is None else seconds_until(pause.until, now)

    def pause(self, host: str | None, now: Instant) -> Pause | None:
        """Return the pause during which nothing may be sent to ``host``, None if there is none."""
        if host is None or (known := self._pauses.get(host)) is None:
            return None
        known[:] = [one for one in known if now.until(one.until) > 0]
        if not known:
            del self._pauses[host]
            return None
        longest = max(known, key=lambda one: seconds_until(one.until, now))
        return longest if seconds_until(longest.until, now) > 0 else None
