"""Rate limit of audit lines for denials: one line per second and uid, so that no peer fills the log or hides others."""

# One line of a uid in this time; its next line counts the denials in between.
DENIAL_SECONDS = 1.0
# So many uids have lines of their own at a time, and all others share one: a user with subordinate uids has thousands.
MOST_UIDS = 16
_OTHERS = -2  # no uid, nor the loopback port's


class DenialLog:
    """Count unlogged denials within bounded memory; the count of a quiet uid may be forgotten."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, int]] = {}

    def unsaid_before(self, uid: int, now: float) -> int | None:
        """Return how many denials of this uid were not logged since its last line; None: log no line now."""
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
