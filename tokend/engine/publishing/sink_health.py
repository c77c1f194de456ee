"""Health of one sink: its status row, and the pause after a failure."""

from typing import Literal

from tokend.engine.context.context import Context
from tokend.machine.logs import get_logger
from tokend.plugin.kind_bugs import bug_in
from tokend.plugin.sink import Destination
from tokend.values.instant import Instant
from tokend.values.status import SinkStatus

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
LARGEST_EXPONENT = 6

log = get_logger()


class SinkHealth:
    """The record of one sink's successes and failures.

    ``error`` is the message for the operator while the target is not right, else None; ``trouble`` is the state that
    status shows with it. ``found_uid`` is the owner of a target that others have changed.
    """

    __slots__ = (
        "_context",
        "_failures",
        "_label",
        "_last_success",
        "_name",
        "_removed",
        "_retry_at",
        "_sink",
        "error",
        "found_uid",
        "trouble",
    )

    def __init__(self, name: str, sink: Destination, *, label: str, context: Context) -> None:
        self.error: str | None = None
        self.trouble: Literal["failing", "conflict", "waiting"] = "failing"
        self.found_uid: int | None = None
        self._name = name
        self._sink = sink
        self._label = label
        self._context = context
        self._failures = 0
        self._retry_at: Instant | None = None
        self._last_success: Instant | None = None
        self._removed = False

    @property
    def state(self) -> str:
        """The state of `SinkStatus`."""
        if self.error is not None:
            return self.trouble
        if self._last_success is None:
            return "pending"
        return "removed" if self._removed else "ok"

    @property
    def status(self) -> SinkStatus:
        """The sink's status row."""
        path = self._sink.file_path
        return SinkStatus(
            kind=self._sink.kind,
            label=self._label,
            target=self._sink.target,
            path=None if path is None else str(path),
            state=self.state,
            required=self._sink.required,
            last_success_at=None if self._last_success is None else self._last_success.wall,
            error=self.error,
            repairs=self._context.counters.sink_repairs[self._name, self._label],
            found_uid=self.found_uid,
        )

    @property
    def log_fields(self) -> dict[str, str]:
        """The log fields that identify the sink: ``token``, ``sink``, and ``path`` (file, socket) or ``target``."""
        key = "target" if self._sink.file_path is None else "path"
        return {"token": self._name, "sink": self._label, key: self._sink.target}

    def may_try(self, now: Instant) -> bool:
        """Return whether the pause after the last failure is over."""
        if self._retry_at is not None and now.until(self._retry_at) <= 0:
            self._retry_at = None
        return self._retry_at is None

    def retry_at(self, now: Instant) -> Instant | None:
        """Return the end of the pause; None if there is no pause."""
        # Counted from now: after a jump ahead of the clock, the wall time of an older instant would stay in the past.
        return None if self._retry_at is None else now.after(now.until(self._retry_at))

    def try_now(self) -> None:
        """End the pause, because the cause of the failure has changed."""
        self._retry_at = None

    def succeeded(self, *, removed: bool = False) -> None:
        """Record a success now; ``removed``: the target holds no token any more, as it must."""
        self._failures, self._retry_at, self._removed = 0, None, removed
        self._last_success = self._context.clock.instant()
        self._clear()

    def recovered(self) -> None:
        """Record that the target was found right: others have undone their change of it."""
        self._clear()

    def failed(self, detail: str) -> None:
        """Record a failure now, and set the pause, which grows. Log it unless ``detail`` is the current error."""
        context = self._context
        self._failures += 1
        exponent = min(self._failures - 1, LARGEST_EXPONENT)
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**exponent) * (0.6 + 0.4 * context.random.random())
        self._retry_at = context.clock.instant().after(pause)
        context.counters.wrote(self._name, self._label, "failure")
        if detail != self.error:
            log.warning("sink.failed", **self.log_fields, detail=detail)
        self.error, self.trouble = detail, "failing"
        context.store.touch(self._name)

    def crashed(self) -> None:
        """Record a failure now whose cause is a bug. The supervisor logs the traceback and restarts the task."""
        self.failed(f"{bug_in(self._sink)}; the log has its traceback")

    def unusable(self, detail: str) -> None:
        """Record that the next write would fail. It is tried all the same, without a pause."""
        self.error, self.trouble = detail, "failing"

    def waits(self, detail: str | None) -> None:
        """Record what the sink waits for: a valid token of another provider, or a newer one. None: for nothing."""
        if detail is not None:
            self.error, self.trouble = detail, "waiting"
        elif self.trouble == "waiting":
            self.error, self.trouble = None, "failing"

    def differs(self, detail: str, found_uid: int | None) -> None:
        """Record that others changed the target, and that it is not written again now. Logged once per ``detail``."""
        if detail != self.error:
            log.warning("sink.drifted", **self.log_fields, detail=detail, found_uid=found_uid)
        self.error, self.trouble, self.found_uid = detail, "conflict", found_uid
        self._context.store.touch(self._name)

    def _clear(self) -> None:
        self.error, self.trouble, self.found_uid = None, "failing", None
        self._context.store.touch(self._name)
