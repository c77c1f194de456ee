"""Drift of one target: what was seen of it, what differs, and when it may be written again."""

from dataclasses import dataclass

from tokend.plugin.sink import Difference
from tokend.values.instant import Instant

# So many repairs within `CONTEST_SECONDS` are made at once. Then another program keeps changing the target, and it is
# written again once in that time.
REPAIRS_AT_ONCE = 3
CONTEST_SECONDS = 60.0
# A change right after a repair is found so late at most (docs/promises.md).
FINDING_SECONDS = 15.0


@dataclass(slots=True)
class TargetDrift:
    """What is known of a target that other programs can change.

    ``seen`` is its stamp at the last look, None if it must be compared; ``good`` the stamp when it was last right.
    ``difference`` is what others have changed and is not repaired yet.
    """

    seen: object | None = None
    good: object | None = None
    difference: Difference | None = None
    is_contested: bool = False
    _repairs: tuple[Instant, ...] = ()

    def written(self, stamp: object) -> None:
        """Note that we wrote the target, which had this stamp right after: the next look compares it."""
        self.seen, self.good, self.difference = None, stamp, None

    def looked(self, seen: object, difference: Difference | None) -> None:
        """Note the result of a comparison."""
        self.seen, self.difference = seen, difference
        if difference is None:
            self.good = seen

    def repaired(self, stamp: object, now: Instant) -> None:
        """Note a repair now; ``stamp`` as in `written`."""
        self._repairs = (*self._repairs, now)[-REPAIRS_AT_ONCE:]
        self.written(stamp)

    def reset(self) -> None:
        """Forget the repairs so far: the next one is made at once."""
        self._repairs, self.is_contested = (), False

    def wait_seconds(self, now: Instant) -> float:
        """Compute how long the next repair has to wait."""
        if not self._repairs:
            return 0.0
        since_last = self._repairs[-1].until(now)
        if self.is_contested and since_last > CONTEST_SECONDS + FINDING_SECONDS:
            self.reset()
            return 0.0
        many = len(self._repairs) == REPAIRS_AT_ONCE and self._repairs[0].until(now) < CONTEST_SECONDS
        self.is_contested = self.is_contested or many
        return max(0.0, CONTEST_SECONDS - since_last) if self.is_contested else 0.0
