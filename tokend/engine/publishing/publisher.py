"""Publishing task of one pushed or remote sink: wait for a newer token, write it, retry. Never reaches a refresher."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from tokend.engine.context.context import Context
from tokend.engine.publishing.remote_delivery import RemoteDelivery
from tokend.engine.publishing.sink_health import BUG, SinkHealth
from tokend.engine.publishing.sink_runtime import AnnounceRuntime, WriteRuntime
from tokend.engine.publishing.target_lock import TargetLock
from tokend.engine.records.record import Record
from tokend.machine.logs import get_logger
from tokend.plugin.settings import SinkSettings
from tokend.plugin.sink import CombiningSink, RemoteSink, SinkRuntime
from tokend.values.errors import SinkError
from tokend.values.instant import Instant
from tokend.values.status import SinkStatus
from tokend.values.tokens import Lease

log = get_logger()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the target should hold: one lease of each name, or nothing. Equal wants need one write."""

    action: Literal["write", "remove"]
    generations: tuple[int, ...]


class Publisher:
    """Keep one sink up to date with one token, or with several. `run` is its task.

    ``removes`` says of a token's name whether it is to be taken away when it has expired.
    """

    __slots__ = (
        "_announce_due",
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
        # A model of the sinks' table implements the interface that its family names.
        is_remote = sink.family == "remote"
        self._delivery = RemoteDelivery(cast(RemoteSink, sink)) if is_remote else cast(CombiningSink, sink)
        self._runtime: SinkRuntime = WriteRuntime(sink, target, context)
        self._health = SinkHealth(name, sink, label=label, context=context)
        self._probed = False
        self._done: _Wanted | None = None
        self._announce_due = False
        self._secret_changed = False

    @property
    def status(self) -> SinkStatus:
        """The sink's status row."""
        return self._health.status

    def holds(self, lease: Lease | None) -> bool:
        """Return whether the target holds this very lease."""
        return lease is not None and self._done == _Wanted("write", self._generations())

    def owes_announcement(self) -> bool:
        """Return whether the last change has still to be announced for the first time."""
        return self._announce_due and self._health.error is None

    def secrets_changed(self, paths: set[Path]) -> None:
        """Try again at once where one of the changed files holds a secret of the sink."""
        if paths & {source.file for source in self.sink.secrets().values() if source.file is not None}:
            self._secret_changed = True
            self._health.try_now()
            self._context.store.touch(self.name)

    async def run(self) -> None:
        """Publish until cancelled."""
        if not self._probed:
            self._probed = True  # also where it dies of a bug: the task that is started again publishes all the same
            await self._probe()
        clock = self._context.clock
        while True:
            event = self._context.store.changed(self.name, *self._others)
            now = clock.instant()
            wanted = self._wanted(now)
            if wanted is not None and wanted != self._done and self._health.may_try(now):
                await self._apply(wanted)
            elif self._announce_due and self._health.may_try(now):
                await self._announce()
            else:
                await clock.wait(self._health.retry_at(now), event)

    def _records(self) -> dict[str, Record]:
        return {name: self._context.store.get(name) for name in (self.name, *self._others)}

    def _generations(self) -> tuple[int, ...]:
        return tuple(record.generation for record in self._records().values())

    def _wanted(self, now: Instant) -> _Wanted | None:
        """All valid: write. One that must not be there any longer: remove. Else what is there stays (None)."""
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
        """Report at the start what would fail later. Never fatal."""
        try:
            async with self._target.lock:
                await self._delivery.probe(self._runtime)
        except SinkError as error:
            self._health.error = error.detail
            log.warning("sink.not_writable", token=self.name, sink=self.label, detail=error.detail)

    async def _apply(self, wanted: _Wanted) -> None:
        self._secret_changed = False
        try:
            changed = await self._deliver(wanted)
        except SinkError as error:
            self._health.failed(error.detail)
            if self._secret_changed:  # meanwhile: the attempt may have used the old one
                self._health.try_now()
            return
        except Exception:
            # The supervisor logs it and starts this worker again; status must not say that all is well.
            self._health.failed(BUG)
            raise
        self._context.counters.wrote(self.name, self.label, "success" if changed else "unchanged")
        self._announce_due |= changed
        self._succeeded(wanted)
        if changed:
            event = "sink.written" if wanted.action == "write" else "sink.removed"
            log.info(event, **self._health.log_fields, generation=wanted.generations[0])

    async def _deliver(self, wanted: _Wanted) -> bool:
        """Bring the target to what is wanted; True if it changed."""
        # Taken before the wait for the lock, so that they are those of ``wanted``.
        leases = {name: record.lease for name, record in self._records().items() if record.lease is not None}
        lease = leases.pop(self.name, None)
        async with self._target.lock:
            if wanted.action == "remove" or lease is None:
                return await self._delivery.remove(self._runtime)
            if self._others:
                return await self._delivery.write_all(self._runtime, lease, leases)
            return await self._delivery.write(self._runtime, lease)

    async def _announce(self) -> None:
        """Announce the last change; retried apart from the write, and coalesced: the newest change counts."""
        try:
            await self._delivery.announce(AnnounceRuntime(self.sink, self._target, self._context))
        except SinkError as error:
            self._health.failed(error.detail)
        except Exception:
            self._health.failed(BUG)
            raise
        else:
            self._announce_due = False
            self._succeeded(self._done)

    def _succeeded(self, wanted: _Wanted | None) -> None:
        self._done = wanted
        self._health.succeeded()
