"""Publishing task of one pushed or remote sink: wait for a new token, write it, retry.

A failure of a sink never delays or fails a refresher.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from tokend.engine.context.context import Context
from tokend.engine.context.references import lacking, referenced
from tokend.engine.publishing.announcer import Announcer
from tokend.engine.publishing.drift_repair import DriftRepair, Leases
from tokend.engine.publishing.remote_delivery import RemoteDelivery
from tokend.engine.publishing.sink_health import SinkHealth
from tokend.engine.publishing.sink_runtime import WriteRuntime
from tokend.engine.publishing.target_lock import TargetLock
from tokend.engine.records.record import Record
from tokend.machine.logs import get_logger
from tokend.plugin.kind_bugs import exits_refused
from tokend.plugin.protocol_check import implements
from tokend.plugin.secret_reading import files_of
from tokend.plugin.settings import SinkSettings
from tokend.plugin.sink import CombiningSink, RemoteSink, Sink, WatchedSink
from tokend.values.errors import NewerGenerationError, SinkError
from tokend.values.instant import Instant
from tokend.values.status import SinkStatus
from tokend.values.tokens import Lease

log = get_logger()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The wanted state of the target: one lease of each name, or nothing. No write is needed for an equal state.

    ``generations`` are those of the sink's token and of the other tokens, in this order.
    """

    action: Literal["write", "remove"]
    generations: tuple[int, ...]


class Publisher:
    """The task that keeps one sink up to date with one token or several; see `run`.

    ``removes`` returns, for a token's name, whether the sink must remove the token at its end. ``outdated`` is called
    with the generation of a newer token that the target holds. ``drift`` is None for a remote sink.
    """

    __slots__ = (
        "_context",
        "_delivery",
        "_done",
        "_health",
        "_others",
        "_outdated",
        "_probed",
        "_references",
        "_removes",
        "_runtime",
        "_secret_changed",
        "_target",
        "announcer",
        "drift",
        "label",
        "name",
        "sink",
    )

    def __init__(
        self,
        name: str,
        sink: SinkSettings,
        *,
        label: str,
        removes: Callable[[str], bool],
        outdated: Callable[[int], Awaitable[None]],
        target: TargetLock,
        context: Context,
    ) -> None:
        self.name = name
        self.sink = sink
        self.label = label
        self._others = tuple(dict.fromkeys(other for other in sink.other_tokens() if other != name))
        # The providers whose tokens are secrets of the sink.
        self._references = referenced(sink)
        self._removes = removes
        self._outdated = outdated
        self._target = target
        self._context = context
        # `plugin.kind_check` has checked that the model implements the interface of its family.
        is_remote = sink.family == "remote"
        self._delivery = RemoteDelivery(cast(RemoteSink, sink)) if is_remote else cast(CombiningSink, sink)
        self._runtime = WriteRuntime(sink, target, context)
        self._health = SinkHealth(name, sink, label=label, context=context)
        self.drift: DriftRepair | None = None
        if implements(sink, WatchedSink):
            watched = cast(WatchedSink, sink)
            self.drift = DriftRepair(
                name,
                watched,
                label=label,
                leases=self._compared_leases,
                health=self._health,
                runtime=self._runtime,
                context=context,
            )
        self._probed = False
        self._done: _Wanted | None = None
        timing = sink.announcement_timing()
        # Its task runs beside `run`. None for a sink without announcements.
        self.announcer: Announcer | None = None
        if timing is not None:
            announce = cast(Sink, sink).announce
            self.announcer = Announcer(name, sink, announce, timing, label=label, target=target, context=context)
        self._secret_changed = False

    @property
    def status(self) -> SinkStatus:
        """The sink's status row."""
        status = self._health.status
        if self.announcer is None:
            return status
        if (error := self.announcer.error) is not None and status.error is None:
            status = replace(status, state="failing", error=error)
        return replace(status, hook=self.announcer.status)

    def holds(self, lease: Lease | None) -> bool:
        """Return whether the target is up to date, that is, holds ``lease``. False for None."""
        is_right = self.drift is None or self.drift.is_right
        return is_right and lease is not None and self._done == _Wanted("write", self._generations())

    def owes_announcement(self) -> bool:
        """Return whether the first announcement of the last change is still to come."""
        announcer = self.announcer
        return announcer is not None and announcer.is_due and announcer.error is None

    def secrets_changed(self, paths: set[Path]) -> None:
        """Write again, without a pause, if one of the changed files is a secret of the sink or its template.

        Equal content is not written twice.
        """
        if not paths.isdisjoint(files_of(self.sink)):
            self._secret_changed = True
            self._done = None
            self._health.try_now()
            self._context.store.touch(self.name)

    def token_changed(self, name: str) -> None:
        """Try again at once, after a failure, if the token ``name`` is a secret of the sink."""
        if name in self._references:
            self._health.try_now()
            self._context.store.touch(self.name)

    def try_now(self) -> None:
        """End all pauses: a person asked for it."""
        if self.drift is not None:
            self.drift.repair_now()
        self._health.try_now()
        self._context.store.touch(self.name)

    async def run(self) -> None:
        """Publish until cancelled."""
        if not self._probed:
            self._probed = True  # before the probe: if a bug ends it, the restarted task publishes without a probe
            await self._probe()
        clock = self._context.clock
        while True:
            event = self._context.store.changed(self.name, *self._others)
            now = clock.instant()
            wanted = self._wanted(now)
            if wanted is not None and wanted != self._done and self._may_try(now):
                await self._apply(wanted)
            elif self.drift is not None and self.drift.is_due(now) and self._health.may_try(now):
                await self._repair(self.drift)
            else:
                await clock.wait(self._next_moment(now), event)

    def _may_try(self, now: Instant) -> bool:
        """Return whether an operation may be made now: no pause runs, and the other tokens that it needs are valid."""
        if not self._health.may_try(now):
            return False
        waits = lacking(self._references, self._context.store)
        if waits is not None:
            self._health.waits(f"{self.sink.target}: {waits}")
        return waits is None

    def _next_moment(self, now: Instant) -> Instant | None:
        """Compute when a timer must wake the task."""
        retry = self._health.retry_at(now)
        return retry if retry is not None or self.drift is None else self.drift.next_repair(now)

    def _records(self) -> dict[str, Record]:
        return {name: self._context.store.get(name) for name in (self.name, *self._others)}

    def _generations(self) -> tuple[int, ...]:
        return tuple(record.generation for record in self._records().values())

    def _wanted(self, now: Instant) -> _Wanted | None:
        """Return the wanted state: write if all tokens are valid, remove if one must not be there any longer.

        Return None if the target must stay as it is.
        """
        if self.drift is not None and self.drift.is_foreign:
            return None
        missing, older = [], []
        for name, record in self._records().items():
            if record.is_outdated:
                older.append(name)
            if record.lease is None:
                if record.withdrawn:
                    return _Wanted("remove", self._generations())
                missing.append(name)
            elif not record.lease.token.is_valid(now):
                if self._removes(name):
                    return _Wanted("remove", self._generations())
                missing.append(name)
        if self.name in missing:
            return None
        if missing or older:
            what = f"a valid token of {', '.join(missing)}" if missing else f"a newer token of {', '.join(older)}"
            self._health.waits(f"{self.sink.target}: waits for {what}")
            return None
        self._health.waits(None)
        return _Wanted("write", self._generations())

    async def _probe(self) -> None:
        """Warn at the start of a write that would fail. A failed probe does not end the task."""
        try:
            async with self._target.lock:
                with exits_refused():
                    await self._delivery.probe(self._runtime)
        except SinkError as error:
            self._health.unusable(error.detail)
            log.warning("sink.not_writable", token=self.name, sink=self.label, detail=error.detail)

    async def _apply(self, wanted: _Wanted) -> None:
        if (changed := await self._tried(lambda: self._deliver(wanted))) is None:
            return
        if self.drift is not None:
            self.drift.written(removed=wanted.action == "remove")
        self._context.counters.wrote(self.name, self.label, "success" if changed else "unchanged")
        # A file that the write read may have changed meanwhile.
        self._succeeded(None if self._secret_changed else wanted, changed=changed)
        if changed:
            event = "sink.written" if wanted.action == "write" else "sink.removed"
            log.info(event, **self._health.log_fields, generation=wanted.generations[0])

    async def _repair(self, drift: DriftRepair) -> None:
        """Write the target again, which another program has changed."""

        async def repair() -> bool:
            async with self._target.lock:
                return await drift.repair()

        if (changed := await self._tried(repair)) is not None:
            self._succeeded(self._done, changed=changed)

    async def _tried(self, operation: Callable[[], Awaitable[bool]]) -> bool | None:
        """Await an operation on the target. None if it failed; the failure is recorded then."""
        self._secret_changed = False
        try:
            with exits_refused():
                return await operation()
        except NewerGenerationError as error:
            await self._outdated(error.generation)
        except SinkError as error:
            self._health.failed(error.detail)
            if self._secret_changed:  # during the attempt, which may have used the old secret
                self._health.try_now()
        except Exception:
            # The supervisor logs the bug and starts this task again. Until then the status must show the failure.
            self._health.crashed()
            raise
        return None

    async def _deliver(self, wanted: _Wanted) -> bool:
        """Bring the target to the wanted state. Return whether the target changed."""
        # Before the wait for the lock: the leases must be those of ``wanted``.
        lease, leases = self._leases()
        async with self._target.lock:
            if wanted.action == "remove" or lease is None:
                self._done = None  # it may be gone before that is known here
                return await self._delivery.remove(self._runtime)
            if self._others:
                return await self._delivery.write_all(self._runtime, lease, leases)
            return await self._delivery.write(self._runtime, lease)

    def _leases(self) -> tuple[Lease | None, dict[str, Lease]]:
        """Return the lease of the sink's token, and those of the other tokens by name."""
        leases = {name: record.lease for name, record in self._records().items() if record.lease is not None}
        return leases.pop(self.name, None), leases

    def _compared_leases(self) -> Leases | None:
        """Return the valid leases that the target must hold as far as is known; None if it need hold none."""
        (lease, others), records = self._leases(), self._records().values()
        is_right = self._done == _Wanted("write", self._generations()) or (self.drift and self.drift.is_foreign)
        if lease is None or not is_right or any(one.lease is None or one.is_outdated for one in records):
            return None
        now = self._context.clock.instant()
        return (lease, others) if all(one.token.is_valid(now) for one in (lease, *others.values())) else None

    def _succeeded(self, wanted: _Wanted | None, *, changed: bool) -> None:
        self._done = wanted
        for warning in self._context.warnings.put(self.name, self.label, self._runtime.last_remarks):
            log.warning("sink.warning", token=self.name, sink=self.label, code=warning.code, detail=warning.message)
        if changed and self.announcer is not None:
            self.announcer.want()
        self._health.succeeded(removed=wanted is not None and wanted.action == "remove")
