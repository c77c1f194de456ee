"""Reports of clients that an upstream refused a token: their numbers for status and metrics, and a line in the log."""

from dataclasses import dataclass

from tokend.engine.context.counters import Counters
from tokend.machine.logs import get_logger
from tokend.values.instant import Instant
from tokend.values.status import NO_REPORTS, ClientReports, StatusWarning

# Minimum time between two lines about one token. The second line has the number of reports in between.
LOG_SECONDS = 60.0
# The reason of a client whose request was answered with 401. All other reasons are `OTHER`: a client chooses its words.
UNAUTHORIZED, OTHER = "unauthorized", "other"
WRONG_SECRET = StatusWarning(
    "reported", "clients report that the upstream refuses each token since the start: the secret may be wrong"
)

log = get_logger()


@dataclass(slots=True, eq=False)
class _Reported:
    """What is known of one token's reports.

    ``generations`` is how many generations since the start were reported as refused, and ``signed`` how many had been
    made when the last of them was; ``all_reported`` says whether that is all of them.
    """

    shown: ClientReports = NO_REPORTS
    generation: int = 0
    generations: int = 0
    signed: int = 0
    all_reported: bool = False
    logged_at: float = float("-inf")
    logged: int = 0


class Reports:
    """The reports of one daemon's clients since its start, by token. Only reported tokens take memory."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._reported: dict[str, _Reported] = {}

    def record(
        self, name: str, generation: int, *, reason: str, uid: int | None, now: Instant, signed_here: bool
    ) -> None:
        """Record that a client says that an upstream refused a generation of a token.

        ``uid`` is None where the kernel does not say who it is. ``signed_here``: no upstream gave the token, so that
        nothing has proved the secret right.
        """
        known = self._reported.setdefault(name, _Reported())
        reason = reason if reason == UNAUTHORIZED else OTHER
        known.shown = ClientReports(known.shown.count + 1, now.wall, reason, uid)
        if reason == UNAUTHORIZED and generation > known.generation:
            known.generation, known.signed = generation, self._counters.refreshes[name, "success"]
            known.generations += known.signed > 0  # one of before the start may have worked
            known.all_reported = 0 < known.signed <= known.generations
        self._counters.reported(name, reason)
        if now.boot - known.logged_at >= LOG_SECONDS:
            unsaid, known.logged_at, known.logged = known.shown.count - known.logged, now.boot, known.shown.count
            detail = WRONG_SECRET.message if self.warnings(name, signed_here=signed_here) else None
            log.warning(
                "token.reported", token=name, reason=reason, uid=uid, generation=generation, count=unsaid, detail=detail
            )

    def of(self, name: str) -> ClientReports:
        """Return a token's reports."""
        known = self._reported.get(name)
        return NO_REPORTS if known is None else known.shown

    def warnings(self, name: str, *, signed_here: bool) -> tuple[StatusWarning, ...]:
        """Return a warning if tokens were signed since the start and clients reported each but the newest."""
        known = self._reported.get(name)
        if known is None or not signed_here or not known.all_reported:
            return ()
        # The report caused the newest one. More than that, and one was replaced without a report.
        return (WRONG_SECRET,) if self._counters.refreshes[name, "success"] <= known.signed + 1 else ()
