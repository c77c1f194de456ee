"""Rate limit of audit lines for denials: one line per second and uid, so that no peer fills the log or hides others."""

# Minimum time between two lines of a uid. The second line has the number of denials in between.
DENIAL_SECONDS = 1.0
# Number of uids with lines of their own at a time. All other uids share one: a user may have thousands (subuid(5)).
MOST_UIDS = 16
_OTHERS = -2  # the key of the shared line: no uid, and not the loopback port's


class DenialLog:
    """Counts of unlogged denials by uid, within bounded memory. The count of a quiet uid may be dropped."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, int]] = {}

    def record(self, uid: int, now: float) -> int | None:
        """Record a denial at ``now`` (monotonic seconds). Return None if no line is to be logged now.

        Otherwise return the number of unlogged denials since the last line of this uid.
        """
        if uid not in self._last and len(self._last) >= MOST_UIDS:
            self._last = {one: (at, unsaid) for one, (at, unsaid) in self._last.items() if _is_recent(at, now)}
            uid = uid if len(self._last) < MOST_UIDS else _OTHERS
        at, unsaid = self._last.get(uid, (float("-inf"), 0))
        if _is_recent(at, now):
            self._last[uid] = at, unsaid + 1
            return None
        self._last[uid] = now, 0
        return unsaid


def _is_recent(at: float, now: float) -> bool:
    return 0 <= now - at < DENIAL_SECONDS
