"""Time of the next write to a remote target: ``min_interval``, and a moment for the other tokens of the content."""

from tokend.values.instant import Instant

# Tokens of one content that are renewed together are written together.
GATHER_SECONDS = 0.2


class WriteHeldBack(Exception):  # noqa: N818  # no error
    """The content differs from what the target holds, and ``min_interval`` does not allow a write yet."""


class WriteTiming:
    """When a newer content may be written. ``gathers``: the content has several tokens.

    ``min_interval_seconds`` is the shortest time between two writes. ``last_write`` is None before the first one.
    ``is_compared`` is false while the target may hold the content already: an attempt finds out without a request.
    """

    __slots__ = ("_at_once", "_gathers", "_min_interval_seconds", "_wanted_since", "is_compared", "last_write")

    def __init__(self, *, gathers: bool, min_interval_seconds: float) -> None:
        self.last_write: Instant | None = None
        self.is_compared = False
        self._gathers = gathers
        self._min_interval_seconds = min_interval_seconds
        self._wanted_since: Instant | None = None
        self._at_once = False

    @property
    def is_wanted(self) -> bool:
        """Whether a newer content waits to be written."""
        return self._wanted_since is not None

    def write_at(self, now: Instant) -> Instant:
        """Return when a content that is wanted now may be written."""
        self._wanted_since = self._wanted_since or now
        gathered = GATHER_SECONDS - self._wanted_since.until(now) if self._gathers else 0.0
        paused = self.paused_seconds(now) if self.is_compared else 0.0
        return now.after(0.0 if self._at_once else max(0.0, gathered, paused))

    def paused_seconds(self, now: Instant) -> float:
        """Compute for how long ``min_interval`` holds a write back."""
        if self.last_write is None or self._at_once:
            return 0.0
        return max(0.0, self._min_interval_seconds - max(0.0, self.last_write.until(now)))

    def settled(self) -> None:
        """Note that nothing is wanted any more: the target holds what it must."""
        self._wanted_since, self._at_once = None, False

    def written(self, now: Instant) -> None:
        """Note a write now."""
        self.last_write = now

    def removed(self) -> None:
        """Note a removal: nothing in the target can be read meanwhile, so that the next write waits for nothing."""
        self.last_write = None

    def at_once(self) -> None:
        """Let the next write wait for nothing: a person asked for it."""
        self._at_once = True
