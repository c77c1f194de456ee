"""Publishing task of one pushed or remote sink: wait for a new token, write it, retry.

A failure of a sink never delays or fails a refresher.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from tokend.engine.context.context import Context
from tokend.engine.publishing.announcer import Announcer
from tokend.engine.publishing.remote_delivery import RemoteDelivery
from tokend.engine.publishing.sink_health import SinkHealth
from tokend.engine.publishing.sink_runtime import WriteRuntime
from tokend.engine.publishing.target_lock import TargetLock
from tokend.engine.records.record import Record
from tokend.machine.logs import get_logger
from tokend.plugin.kind_bugs import exits_refused
from tokend.plugin.secret_reading import files_of
from tokend.plugin.settings import SinkSettings
from tokend.plugin.sink import CombiningSink, RemoteSink, Sink, SinkRuntime
from tokend.values.errors import SinkError
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

    ``removes`` returns, for a token's name, whether the sink must remove the token at its end.
    """

    __slots__ = (
        "_context",
        "_delivery",
        "_done",
        "_health",
        "_others",
        "_probed",
        "_removes",
        "_runtime",
        "_secret_changed",
        "_target",
        "announcer",
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
        target: TargetLock,
        context: Context,
    ) -> None:
        self.name = name
        self.sink = sink
        self.label = label
        self._others = tuple(dict.fromkeys(other for other in sink.other_tokens() if other != name))
        self._removes = removes
        self._target = target
        self._context = context
        # `plugin.kind_check` has checked that the model implements the interface of its family.
        is_remote = sink.family == "remote"
        self._delivery = RemoteDelivery(cast(RemoteSink, sink)) if is_remote else cast(CombiningSink, sink)
        self._runtime: SinkRuntime = WriteRuntime(sink, target, context)
        self._health = SinkHealth(name, sink, label=label, context=context)
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
        return lease is not None and self._done == _Wanted("write", self._generations())

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
            if wanted is not None and wanted != self._done and self._health.may_try(now):
                await self._apply(wanted)
            else:
                await clock.wait(self._health.retry_at(now), event)

    def _records(self) -> dict[str, Record]:
        return {name: self._context.store.get(name) for name in (self.name, *self._others)}

    def _generations(self) -> tuple[int, ...]:
        return tuple(record.generation for record in self._records().values())

    def _wanted(self, now: Instant) -> _Wanted | None:
        """Return the wanted state: write if all tokens are valid, remove if one must not be there any longer.

        Return None if the target must stay as it is.
        """
        missing = []
        for name, record in self._records().items():
            if record.lease is None:
                if record.withdrawn:
                    return _Wanted("remove", self._generations())
                missing.append(name)
            elif not record.lease.token.is_valid(now):
                if self._removes(name):
                    return _Wanted("remove", self._generations())
                missing.append(name)
        if not missing:
            return _Wanted("write", self._generations())
        if self.name not in missing:
            self._health.error = f"{self.sink.target}: waits for a valid token of {', '.join(missing)}"
        return None

    async def _probe(self) -> None:
        """Warn at the start of a write that would fail. A failed probe does not end the task."""
        try:
            async with self._target.lock:
                with exits_refused():
                    await self._delivery.probe(self._runtime)
        except SinkError as error:
            self._health.error = error.detail
            log.warning("sink.not_writable", token=self.name, sink=self.label, detail=error.detail)

    async def _apply(self, wanted: _Wanted) -> None:
        self._secret_changed = False
        try:
            with exits_refused():
                changed = await self._deliver(wanted)
        except SinkError as error:
            self._health.failed(error.detail)
            if self._secret_changed:  # during the attempt, which may have used the old secret
                self._health.try_now()
            return
        except Exception:
            # The supervisor logs the bug and starts this task again. Until then the status must show the failure.
            self._health.crashed()
            raise
        self._context.counters.wrote(self.name, self.label, "success" if changed else "unchanged")
        if changed and self.announcer is not None:
            self.announcer.want()
        # A file that the write read may have changed meanwhile.
        self._done = None if self._secret_changed else wanted
        self._health.succeeded()
        if changed:
            event = "sink.written" if wanted.action == "write" else "sink.removed"
            log.info(event, **self._health.log_fields, generation=wanted.generations[0])

    async def _deliver(self, wanted: _Wanted) -> bool:
        """Bring the target to the wanted state. Return whether the target changed."""
        # Before the wait for the lock: the leases must be those of ``wanted``.
        leases = {name: record.lease for name, record in self._records().items() if record.lease is not None}
        lease = leases.pop(self.name, None)
        async with self._target.lock:
            if wanted.action == "remove" or lease is None:
                return await self._delivery.remove(self._runtime)
            if self._others:
                return await self._delivery.write_all(self._runtime, lease, leases)
            return await self._delivery.write(self._runtime, lease)
