"""How one sink stands: what status shows of it, and when it may be tried again after a failure."""

from tokend.engine.context.context import Context
from tokend.machine.lock import Lock
from tokend.machine.logs import get_logger
from tokend.plugin.sink import Destination
from tokend.values.instant import Instant
from tokend.values.status import SinkStatus

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
LARGEST_EXPONENT = 6
BUG = "a bug in tokend; the log has its traceback"

log = get_logger()


class TargetLock:
    """Sinks on one target write in turn, and nobody writes while a thread that was given up may still do so."""

    __slots__ = ("hanging", "lock")

    def __init__(self) -> None:
        self.lock = Lock()
        self.hanging = False


class SinkHealth:
    """One sink's successes and failures. ``error`` is the operator's sentence while it fails."""

    __slots__ = (
        "_clock",
        "_counters",
        "_failures",
        "_label",
        "_last_success",
        "_name",
        "_random",
        "_retry_at",
        "_sink",
        "_store",
        "error",
    )

    def __init__(self, name: str, sink: Destination, *, label: str, context: Context) -> None:
        self.error: str | None = None
        self._name = name
        self._sink = sink
        self._label = label
        self._store = context.store
        self._clock = context.clock
        self._counters = context.counters
        self._random = context.random
        self._failures = 0
        self._retry_at: Instant | None = None
        self._last_success: Instant | None = None

    @property
    def status(self) -> SinkStatus:
        """How the sink stands."""
        state = "failing" if self.error is not None else "pending" if self._last_success is None else "ok"
        return SinkStatus(
            kind=self._sink.kind,
            label=self._label,
            path=self._sink.target,
            state=state,
            required=self._sink.required,
            last_success_at=None if self._last_success is None else self._last_success.wall,
            error=self.error,
        )

    def may_try(self, now: Instant) -> bool:
        """Tell whether the pause after the last failure is over."""
        if self._retry_at is not None and now.until(self._retry_at) <= 0:
            self._retry_at = None
        return self._retry_at is None

    def retry_at(self, now: Instant) -> Instant | None:
        """When the pause is over; None where there is none."""
        # Taken anew from now: an earlier instant has come for ever where the wall clock jumped ahead.
        return None if self._retry_at is None else now.after(now.until(self._retry_at))

    def succeeded(self) -> None:
        """All is well, as of now."""
        self._failures, self._retry_at, self.error = 0, None, None
        self._last_success = self._clock.instant()
        self._store.touch(self._name)

    def failed(self, detail: str) -> None:
        """Note a failure, log it if it is news, and set the pause, which grows."""
        self._failures += 1
        exponent = min(self._failures - 1, LARGEST_EXPONENT)
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**exponent) * (0.6 + 0.4 * self._random.random())
        self._retry_at = self._clock.instant().after(pause)
        self._counters.wrote(self._name, self._label, "failure")
        if detail != self.error:
            log.warning("sink.failed", token=self._name, sink=self._label, path=self._sink.target, detail=detail)
        self.error = detail
        self._store.touch(self._name)
