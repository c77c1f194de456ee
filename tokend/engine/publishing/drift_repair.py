"""Repair of one pushed target that other programs have changed: whether, when, and the words for status and log."""

from collections.abc import Callable

from tokend.engine.context.context import Context
from tokend.engine.publishing.sink_health import SinkHealth
from tokend.engine.publishing.sink_runtime import WriteRuntime
from tokend.engine.publishing.target_drift import CONTEST_SECONDS, REPAIRS_AT_ONCE, TargetDrift
from tokend.engine.publishing.target_tokens import Leases
from tokend.machine.logs import get_logger
from tokend.plugin.sink import Difference, WatchedSink
from tokend.values.instant import Instant

log = get_logger()


class DriftRepair:
    """What `drift_watch` finds out about one target, and its repair, which the sink's `Publisher` makes.

    ``leases`` returns the tokens that the target must hold, None if it need hold none now. ``runtime`` is that of the
    sink's writes. ``is_watched`` is set while the target holds a token.
    """

    __slots__ = ("_context", "_drift", "_health", "_label", "_name", "_runtime", "is_watched", "leases", "sink")

    def __init__(
        self,
        name: str,
        sink: WatchedSink,
        *,
        label: str,
        leases: Callable[[], Leases | None],
        health: SinkHealth,
        runtime: WriteRuntime,
        context: Context,
    ) -> None:
        self.sink = sink
        self.leases = leases
        self.is_watched = False
        self._name = name
        self._label = label
        self._health = health
        self._runtime = runtime
        self._context = context
        self._drift = TargetDrift()

    @property
    def is_right(self) -> bool:
        """Whether no difference is known."""
        return self._drift.difference is None

    @property
    def shown(self) -> str | None:
        """What the last look has found, as `SinkStatus.drift`."""
        if (difference := self._drift.difference) is not None:
            return f"changed: {difference.what}"
        return None if self._drift.seen is None else "none"

    @property
    def is_foreign(self) -> bool:
        """Whether the target belongs to somebody else now, and must not be overwritten."""
        return self._drift.difference is not None and self._drift.difference.is_foreign

    @property
    def good(self) -> object:
        """The stamp of the target when it was last seen right, or None."""
        return self._drift.good

    def is_seen(self, stamp: object) -> bool:
        """Return whether the target was compared when it had this stamp."""
        return self._drift.seen == stamp

    def written(self, *, removed: bool = False) -> None:
        """Note that the target was written: the next look compares it. ``removed``: there is nothing to look at."""
        self.is_watched = not removed
        self._drift.written(self._runtime.last_stamp)

    def looked(self, stamp: object, difference: Difference | None) -> None:
        """Note the result of a comparison. Wakes the publisher if there is something to repair."""
        before = self._drift.difference
        self._drift.looked(stamp, difference)
        if difference is None:
            if before is not None:
                self._health.recovered()
            return
        if before != difference:
            self._context.counters.drifted(self._name, self._label)
        if self._may_repair(difference):
            self._health.try_now()  # the cause of an earlier failure may be gone: a directory is back
            self._context.store.touch(self._name)
            self._report_contest(difference)
        else:
            self._health.differs(self._sentence(difference), difference.found_uid)

    def repair_now(self) -> None:
        """End the pauses before the next repair: a person asked for it."""
        self._drift.reset()

    def is_due(self, now: Instant) -> bool:
        """Return whether the target must be repaired now."""
        moment = self.next_repair(now)
        return moment is not None and now.until(moment) <= 0

    def next_repair(self, now: Instant) -> Instant | None:
        """Compute when the target must be repaired; None if nothing is to be repaired."""
        difference = self._drift.difference
        if difference is None or not self._may_repair(difference):
            return None
        return now.after(self._drift.wait_seconds(now))

    async def repair(self) -> bool:
        """Write the target again. True if readers find another content now. Raises as `Sink.write` does."""
        difference, leases = self._drift.difference, self.leases()
        if leases is None:  # the tokens have ended, or newer ones are about to be written
            self._drift.difference = None
            return False
        lease, others = leases
        changed = await self.sink.repair(self._runtime, lease, others, self._drift.good)
        if changed and difference is not None:
            self._drift.repaired(self._runtime.last_stamp, self._context.clock.instant())
            self._context.counters.repaired(self._name, self._label)
            log.info("sink.repaired", **self._health.log_fields, detail=difference.what, generation=lease.generation)
            return difference.content
        # It was right again already, or the kind cannot compare its target.
        self._drift.difference, self._drift.good = None, self._drift.seen
        return False

    def _may_repair(self, difference: Difference) -> bool:
        return self.sink.drift == "repair" and not difference.is_foreign

    def _report_contest(self, difference: Difference) -> None:
        """Show who keeps changing the target, if it will be written again only after a while."""
        if self._drift.wait_seconds(self._context.clock.instant()) > 0:
            self._health.differs(
                f"{self.sink.target}: {difference.what}, after {REPAIRS_AT_ONCE} repairs within a minute: another "
                f"program keeps changing it{_owner(difference)}; it is written again every {CONTEST_SECONDS:.0f} s",
                difference.found_uid,
            )

    def _sentence(self, difference: Difference) -> str:
        if difference.is_foreign:
            advice = (
                "others may write to its directory, so it is not overwritten: remove the file, or give its directory "
                "to root or to the daemon's user"
            )
        else:
            advice = 'it is not written again: drift = "report"'
        return f"{self.sink.target}: {difference.what}; {advice}"


def _owner(difference: Difference) -> str:
    return "" if difference.found_uid is None else f" (it belongs to uid {difference.found_uid})"
