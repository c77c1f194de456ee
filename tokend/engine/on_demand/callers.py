"""The callers of one on-demand provider: how often each may ask, and the log lines about what each was given."""

from anyio.abc import TaskGroup

from tokend.engine.context.context import Context
from tokend.engine.policy.rate_limits import UidRates
from tokend.machine.counted_log import CountedLog
from tokend.machine.logs import get_logger
from tokend.plugin.settings import OnDemandSettings
from tokend.values.errors import AttemptError, ThrottledError

log = get_logger()


class Callers:
    """Limits and log lines per uid. One line a second has the number of its events."""

    __slots__ = ("_clock", "_lines", "_name", "_rates")

    def __init__(self, name: str, context: Context) -> None:
        self._name = name
        self._clock = context.clock
        self._rates = UidRates()
        self._lines: CountedLog  # from `start` on

    def start(self, tasks: TaskGroup) -> None:
        """Begin; log lines are counted in ``tasks``."""
        self._lines = CountedLog(tasks, self._clock)

    def count(self, settings: OnDemandSettings, uid: int) -> None:
        """Count a query against the limits of its caller. Raises `ThrottledError`."""
        if settings.issue_limit is None:
            return
        per_second, burst = settings.issue_limit
        now = self._clock.instant()
        if (wait := self._rates.take(uid, now, per_second=per_second, burst=burst)) > 0:
            raise ThrottledError(
                f"{self._name}: uid {uid} asks more than issue_rate = {per_second:g} times a second "
                f"(issue_burst = {burst})",
                retry_at=now.after(wait).wall.timestamp(),
            )

    def issued(self, uid: int) -> None:
        """Log that a token was issued."""
        self._lines.line(("issued", uid), lambda n: log.info("token.issued", token=self._name, uid=uid, count=n))

    def signed(self, uid: int, method: str, path: str) -> None:
        """Log that a call was signed."""
        facts = {"token": self._name, "uid": uid, "method": method, "path": path}
        self._lines.line(("signed", uid, method, path), lambda n: log.info("token.signed", **facts, count=n))

    def failed(self, uid: int, error: AttemptError) -> None:
        """Log that nothing could be issued or signed."""
        facts = {"token": self._name, "uid": uid, "reason": error.reason, "detail": error.detail}
        self._lines.line(("failed", uid), lambda n: log.warning("token.issue_failed", **facts, count=n))
