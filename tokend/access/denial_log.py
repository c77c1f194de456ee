"""How many denials reach the log: a line a second for each uid, so that no peer fills it or hides what others do."""

# One line of a uid in this time; what came between is counted in its next.
DENIAL_SECONDS = 1.0
# So many uids have lines of their own at a time, all others one together: whoever has subordinate uids has thousands.
MOST_UIDS = 16
_OTHERS = -2  # no uid, nor the loopback port's


class DenialLog:
    """Count what is left unsaid, within bounds of memory and of lines; a quiet uid's count may be forgotten."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, int]] = {}

    def unsaid_before(self, uid: int, now: float) -> int | None:
        """Tell how many of this uid's were left unsaid since its last line; None if this one is to be, too."""
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
