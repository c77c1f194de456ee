"""Drift of one remote target: when the store is looked at, and whether a difference may be repaired."""

import random as random_module
from datetime import timedelta

from tokend.plugin.sink import Mark
from tokend.values.instant import Instant

# So many repairs within an hour. Then another writer keeps changing the target, and a person must decide.
MOST_REPAIRS = 3
REPAIRS_SECONDS = 3600.0
# What `RemoteDelivery.look` says of a target that differs.
DIFFERENT = ("changed", "missing")


class RemoteDrift:
    """The looks at a target and its repairs.

    ``shown`` is the result of the last look (`SinkStatus.drift`), None before the first one and after a write that
    follows a look without a result. ``found`` is the mark that the store had then.
    ``is_repairing`` is set from the decision to repair until the target has been written.
    """

    __slots__ = ("_interval", "_next", "_random", "_repairs", "found", "is_repairing", "shown")

    def __init__(self, interval: timedelta | None, random: random_module.Random) -> None:
        self.shown: str | None = None
        self.found: Mark | None = None
        self.is_repairing = False
        self._interval = interval
        self._random = random
        self._next: Instant | None = None
        self._repairs: tuple[Instant, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether the last look has found another value than ours, or none."""
        return self.shown in DIFFERENT

    def look_at(self, now: Instant) -> Instant | None:
        """Return when the store is looked at next; None for never."""
        if self._interval is None:
            return None
        if self._next is None:
            # Jittered: the sinks of many hosts should not look in the same second.
            self._next = now.after(self._interval.total_seconds() * (0.9 + 0.2 * self._random.random()))
        # Counted from now: after a jump ahead of the clock, the wall time of an older instant would stay in the past.
        return now.after(max(0.0, now.until(self._next)))

    def looked(self, shown: str, found: Mark | None = None) -> bool:
        """Note the result of a look. Returns whether it is a difference that was not there at the look before."""
        was_right = not self.differs
        self.shown, self.found, self._next = shown, found, None
        return was_right and self.differs

    def may_repair(self, now: Instant) -> bool:
        """Return whether there were fewer than `MOST_REPAIRS` within the last hour."""
        self._repairs = tuple(one for one in self._repairs if one.until(now) < REPAIRS_SECONDS)
        return len(self._repairs) < MOST_REPAIRS

    def written(self, now: Instant) -> bool:
        """Note that the target was written. Returns whether that was a repair."""
        was_repair, self.is_repairing = self.is_repairing, False
        if was_repair:
            self._repairs = (*self._repairs, now)
        if self.shown != "none":
            # What a look could not find out then says nothing about the value that is there now.
            self.shown = "none" if self.differs else None
        return was_repair

    def decided(self) -> None:
        """Forget the repairs so far: a person has decided that the target is ours."""
        self._repairs = ()
