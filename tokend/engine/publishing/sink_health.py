"""Health of one sink: its status row, and the pause after a failure."""

from tokend.engine.context.context import Context
from tokend.engine.policy.sink_failure import (
    LONGEST_PAUSE_SECONDS,
    LONGEST_REMOTE_PAUSE_SECONDS,
    Trouble,
    after_failure,
)
from tokend.machine.logs import get_logger
from tokend.plugin.kind_bugs import bug_in
from tokend.plugin.shown_text import shown
from tokend.plugin.sink import Destination
from tokend.values.errors import SinkConflictError, SinkError, SinkRejectedError
from tokend.values.instant import Instant
from tokend.values.status import SinkStatus

log = get_logger()


class SinkHealth:
    """The record of one sink's successes and failures.

    ``error`` is the message for the operator while the target is not right, else None; ``trouble`` is the state that
    status shows with it. ``found_uid`` is the owner of a target that others have changed. ``in_conflict``: another
    writer owns the target, and nothing is written until a person decides.

    In the target of a store, and in messages about it, words that look like secrets are hidden: people write a secret
    where a name belongs.
    """

    __slots__ = (
        "_context",
        "_failures",
        "_label",
        "_last_success",
        "_longest_pause",
        "_name",
        "_refusals",
        "_removed",
        "_retry_at",
        "_shows",
        "_sink",
        "_target",
        "error",
        "found_uid",
        "in_conflict",
        "trouble",
    )

    def __init__(self, name: str, sink: Destination, *, label: str, context: Context) -> None:
        self.error: str | None = None
        self.trouble: Trouble = "failing"
        self.found_uid: int | None = None
        self.in_conflict = False
        self._name = name
        self._sink = sink
        self._label = label
        self._shows = _as_it_is if sink.file_path is not None else _on_one_line
        self._target = self._shows(sink.target)
        self._context = context
        self._longest_pause = LONGEST_REMOTE_PAUSE_SECONDS if sink.family == "remote" else LONGEST_PAUSE_SECONDS
        self._failures = self._refusals = 0
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
            target=self._target,
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
        return {"token": self._name, "sink": self._label, key: self._target}

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
        """End the pause, because the cause of the failure has changed. A conflict stays."""
        self._refusals, self._retry_at = 0, None

    def conflicts(self, detail: str) -> None:
        """Record a conflict, perhaps one that an earlier process found. Nothing is written until a person decides."""
        log.warning("sink.conflict", **self.log_fields, detail=detail)
        self.error, self.trouble, self.in_conflict = detail, "conflict", True
        self._context.store.touch(self._name)

    @property
    def was_refused_once(self) -> bool:
        """Whether the store has refused the credential, and a second attempt follows soon."""
        return self._refusals == 1

    def decided(self) -> None:
        """End a conflict: a person has decided that the target is ours."""
        self.in_conflict = False

    def succeeded(self, *, removed: bool = False) -> None:
        """Record a success now; ``removed``: the target holds no token any more, as it must."""
        self._failures, self._refusals, self._retry_at, self._removed = 0, 0, None, removed
        self.in_conflict = False
        self._last_success = self._context.clock.instant()
        self._clear()

    def recovered(self) -> None:
        """Record that the target was found right: others have undone their change of it."""
        self._clear()

    def failed(self, error: SinkError, *, pauses: bool = True) -> None:
        """Record a failure now, and set the pause that follows it. Log it unless its message is the current error.

        ``pauses`` is false where the host's pause says when the next attempt is made.
        """
        context = self._context
        self._failures += 1
        self._refusals += isinstance(error, SinkRejectedError)
        what = after_failure(
            error,
            failures=self._failures,
            refusals=self._refusals,
            longest=self._longest_pause,
            draw=context.random.random(),
        )
        self._retry_at = None
        if pauses and what.pause_seconds is not None:
            self._retry_at = context.clock.instant().after(what.pause_seconds)
        self.in_conflict = self.in_conflict or isinstance(error, SinkConflictError)
        context.counters.wrote(self._name, self._label, "failure")
        detail = self._shows(error.detail)
        if detail != self.error:
            log.warning("sink.failed", **self.log_fields, detail=detail)
        self.error, self.trouble = detail, what.trouble
        context.store.touch(self._name)

    def crashed(self) -> None:
        """Record a failure now whose cause is a bug. The supervisor logs the traceback and restarts the task."""
        self.failed(SinkError(f"{bug_in(self._sink)}; the log has its traceback"))

    def unusable(self, detail: str) -> None:
        """Record that the next write would fail. It is tried all the same, without a pause."""
        self.error, self.trouble = detail, "failing"

    def waits(self, detail: str | None) -> None:
        """Record what the sink waits for: a valid token of another provider, or a newer one. None: for nothing."""
        if detail is not None:
            self.error, self.trouble = self._shows(detail), "waiting"
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


def _as_it_is(text: str) -> str:
    return text


def _on_one_line(text: str) -> str:
    """Return what may be shown of a target in a store, or of a message about it."""
    return shown(" ".join(text.split()))
