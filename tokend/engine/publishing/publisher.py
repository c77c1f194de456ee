"""Publishing task of one pushed sink: wait for a new token, write it, retry. `remote_publisher` has that of a store.

A failure of a sink never delays or fails a refresher.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from tokend.engine.context.context import Context
from tokend.engine.context.references import lacking, referenced
from tokend.engine.publishing.announcer import Announce, Announcer
from tokend.engine.publishing.drift_repair import DriftRepair
from tokend.engine.publishing.remote_delivery import RemoteDelivery
from tokend.engine.publishing.sink_health import SinkHealth
from tokend.engine.publishing.sink_runtime import WriteRuntime
from tokend.engine.publishing.target_lock import TargetLock
from tokend.engine.publishing.target_tokens import Leases, TargetTokens, Wanted
from tokend.engine.publishing.write_timing import WriteHeldBack
from tokend.machine.logs import get_logger
from tokend.plugin.kind_bugs import exits_refused
from tokend.plugin.protocol_check import implements
from tokend.plugin.secret_reading import files_of
from tokend.plugin.settings import SinkSettings
from tokend.plugin.sink import CombiningSink, Sink, WatchedSink
from tokend.values.errors import NewerGenerationError, SinkError, SinkFinalError
from tokend.values.instant import Instant
from tokend.values.status import SinkStatus, StatusWarning
from tokend.values.tokens import Lease

log = get_logger()


class Publisher:
    """The task that keeps one sink up to date with one token or several; see `run`.

    ``removes`` returns, for a token's name, whether the sink must remove the token at its end. ``outdated`` is called
    with the generation of a newer token that the target holds. ``runtime`` and ``delivery`` are what it writes
    with, where it is not the sink itself. ``drift`` is None for a target that is not watched.
    """

    __slots__ = (
        "_again",
        "_busy",
        "_context",
        "_delivery",
        "_done",
        "_health",
        "_outdated",
        "_probed",
        "_references",
        "_refused",
        "_runtime",
        "_target",
        "_tokens",
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
        runtime: WriteRuntime | None = None,
        delivery: CombiningSink | RemoteDelivery | None = None,
    ) -> None:
        self.name = name
        self.sink = sink
        self.label = label
        self._tokens = TargetTokens(name, sink.other_tokens(), removes=removes, context=context)
        # The providers whose tokens are secrets of the sink.
        self._references = referenced(sink)
        self._outdated = outdated
        self._target = target
        self._context = context
        self._runtime = runtime or WriteRuntime(sink, target, context, name)
        self._health = SinkHealth(name, sink, label=label, context=context)
        # `plugin.kind_check` has checked that the model implements the interface of its family.
        self._delivery = cast(CombiningSink, sink) if delivery is None else delivery
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
        # What the target holds, and what it never takes.
        self._done: Wanted | None = None
        self._refused: Wanted | None = None
        timing = sink.announcement_timing()
        # Its task runs beside `run`. None for a sink without announcements.
        self.announcer: Announcer | None = None
        if timing is not None:
            announce, last = self._announcing()
            self.announcer = Announcer(
                name, sink, announce, timing, label=label, target=target, context=context, last=last
            )
        # Something changed during an attempt: another one follows, whatever its result.
        self._again = False
        self._busy = False

    @property
    def status(self) -> SinkStatus:
        """The sink's status row."""
        done = self._done
        holds = done is not None and done.action == "write"
        status = replace(self._health.status, generation=done.generations[0] if done is not None and holds else None)
        if self.drift is not None:
            status = replace(status, drift=self.drift.shown)
        if self.announcer is None:
            return status
        if (error := self.announcer.error) is not None and status.error is None:
            status = replace(status, state="failing", error=error)
        return replace(status, hook=self.announcer.status)

    def holds(self, lease: Lease | None) -> bool:
        """Return whether the target is up to date, that is, holds ``lease``. False for None."""
        is_right = self.drift is None or self.drift.is_right
        return is_right and lease is not None and self._done == self._tokens.to_write()

    def owes_announcement(self) -> bool:
        """Return whether the first announcement of the last change is still to come."""
        announcer = self.announcer
        return announcer is not None and announcer.is_due and announcer.error is None

    def secrets_changed(self, paths: set[Path]) -> None:
        """Write again, without a pause, if one of the changed files is a secret of the sink or its template.

        Equal content is not written twice.
        """
        if not paths.isdisjoint(files_of(self.sink)):
            self._write_again()

    def sync(self, *, take_over: bool) -> None:
        """Write now unless the target is found right: a person asked for it.

        ``take_over``: the target is ours even if another writer has written to it. A conflict is ended by nothing else.
        """
        if take_over:
            self._runtime.may_take_over = True
            self._health.decided()
        elif self._health.in_conflict:
            return
        self._write_again()
        self.try_now()

    def is_writing(self) -> bool:
        """Return whether an attempt is being made, or is to be made now, or soon after a first refusal."""
        return self._busy or self._health.was_refused_once or self._due(self._context.clock.instant()) is not None

    def token_changed(self, name: str) -> None:
        """Try again at once, after a failure, if the token ``name`` is a secret of the sink."""
        if name in self._references:
            self._health.try_now()
            self._context.store.touch(self.name)

    def try_now(self) -> None:
        """End all pauses: a person asked for it."""
        if self.drift is not None:
            self.drift.repair_now()
        self._refused = None
        self._health.try_now()
        self._context.store.touch(self.name)

    async def inspect(self) -> None:
        """Do nothing: `drift_watch` looks at a target of this machine."""

    async def run(self) -> None:
        """Publish until cancelled."""
        if not self._probed:
            self._probed = True  # before the probe: if a bug ends it, the restarted task publishes without a probe
            await self._probe()
        clock = self._context.clock
        while True:
            event = self._tokens.changed()
            now = clock.instant()
            if (wanted := self._due(now)) is not None:
                await self._bring_about(wanted)
            elif not await self._look_after(now):
                await clock.wait(self._next_moment(now), event)

    def _write_again(self) -> None:
        self._again = True
        self._done = self._refused = None
        self._health.try_now()
        self._context.store.touch(self.name)

    def _next_moment(self, now: Instant) -> Instant | None:
        """Compute when a timer must wake the task."""
        retry = self._health.retry_at(now)
        return retry if retry is not None or self.drift is None else self.drift.next_repair(now)

    def _due(self, now: Instant) -> Wanted | None:
        """Return the wanted state if it must be brought about now; None if nothing is to be done, or may be."""
        if (self.drift is not None and self.drift.is_foreign) or self._health.in_conflict:
            return None
        wanted, missing = self._tokens.wanted(now)
        if missing is not None:
            self._health.waits(f"{self.sink.target}: waits for {missing}")
        elif wanted is not None and wanted.action == "write":
            self._health.waits(None)
        if wanted in (None, self._done, self._refused) or not self._health.may_try(now):
            return None
        if (waits := lacking(self._references, self._context.store)) is not None:
            self._health.waits(f"{self.sink.target}: {waits}")
            return None
        return wanted

    async def _probe(self) -> None:
        """Warn at the start of a write that would fail. A failed probe does not end the task."""
        try:
            async with self._target.lock:
                with exits_refused():
                    await self._delivery.probe(self._runtime)
        except SinkError as error:
            self._health.unusable(error.detail)
            log.warning("sink.not_writable", token=self.name, sink=self.label, detail=error.detail)

    async def _bring_about(self, wanted: Wanted) -> None:
        """Bring the target to the wanted state."""
        await self._apply(wanted)

    async def _look_after(self, now: Instant) -> bool:
        """Repair the target, if it is to be repaired. Returns whether there was something to do."""
        if self.drift is None or not self.drift.is_due(now) or not self._health.may_try(now):
            return False
        await self._repair(self.drift)
        return True

    async def _apply(self, wanted: Wanted) -> None:
        before = self._done
        if (changed := await self._tried(lambda: self._deliver(wanted), wanted)) is None:
            return
        if self.drift is not None:
            self.drift.written(removed=wanted.action == "remove")
        self._context.counters.wrote(self.name, self.label, "success" if changed else "unchanged")
        self._runtime.may_take_over = False
        # A file that the write read may have changed meanwhile.
        # A later end of the same token is no news for the programs that read it.
        announces = changed and not wanted.renews(before)
        self._succeeded(None if self._again else wanted, announces=announces)
        if changed:
            event = "sink.written" if wanted.action == "write" else "sink.removed"
            log.info(event, **self._health.log_fields, generation=wanted.generations[0])

    async def _repair(self, drift: DriftRepair) -> None:
        """Write the target again, which another program has changed."""

        async def repair() -> bool:
            async with self._target.lock:
                return await drift.repair()

        if (changed := await self._tried(repair, None)) is not None:
            self._succeeded(self._done, announces=changed)

    async def _tried(self, operation: Callable[[], Awaitable[bool]], wanted: Wanted | None) -> bool | None:
        """Await an operation on the target. None if it failed; the failure is recorded then."""
        self._again, self._busy = False, True
        began = self._context.clock.instant()
        try:
            with exits_refused():
                changed = await operation()
        except SinkError as error:
            await self._failed(error, wanted)
        except WriteHeldBack:
            pass
        except Exception:
            # The supervisor logs the bug and starts this task again. Until then the status must show the failure.
            self._health.crashed()
            raise
        else:
            if changed:
                seconds = began.until(self._context.clock.instant())
                self._context.counters.sink_took(self.name, self.label, seconds)
            return changed
        finally:
            self._busy = False
        return None

    async def _failed(self, error: SinkError, wanted: Wanted | None) -> None:
        if isinstance(error, NewerGenerationError) and error.generation > self._context.store.get(self.name).generation:
            await self._outdated(error.generation)
            return
        if isinstance(error, SinkFinalError):
            self._refused = wanted  # before waiters look: they ask whether a person is needed
        self._health.failed(error, pauses=self._pauses_after(error))
        if self._again:  # during the attempt, which may have used the old secret
            self._refused = None
            self._health.try_now()

    def _announcing(self) -> tuple[Announce, Instant | None]:
        """Return the function that announces a change, and the time of the last announcement."""
        return cast(Sink, self.sink).announce, None

    def _pauses_after(self, error: SinkError) -> bool:  # noqa: ARG002  # of a host's sinks
        """Return whether a pause of the sink's own follows the error."""
        return True

    async def _deliver(self, wanted: Wanted) -> bool:
        """Bring the target to the wanted state. Return whether the target changed."""
        # Before the wait for the lock: the leases must be those of ``wanted``.
        lease, others = self._tokens.leases()
        async with self._target.lock:
            if wanted.action == "remove" or lease is None:
                self._done = None  # it may be gone before that is known here
                return await self._delivery.remove(self._runtime)
            if self._tokens.others:
                return await self._delivery.write_all(self._runtime, lease, others)
            return await self._delivery.write(self._runtime, lease)

    def _compared_leases(self) -> Leases | None:
        """Return the valid leases that the target must hold as far as is known; None if it need hold none."""
        is_right = self._done == self._tokens.to_write() or (self.drift is not None and self.drift.is_foreign)
        return self._tokens.valid_leases(self._context.clock.instant()) if is_right else None

    def _succeeded(self, wanted: Wanted | None, *, announces: bool) -> None:
        self._done = wanted
        for warning in self._context.warnings.put(self.name, self.label, self._remarks()):
            log.warning("sink.warning", token=self.name, sink=self.label, code=warning.code, detail=warning.message)
        if self.announcer is not None and self._owes_announcement(announces):
            self.announcer.want()
        self._health.succeeded(removed=wanted is not None and wanted.action == "remove")

    def _owes_announcement(self, changed: bool) -> bool:
        """Return whether an announcement follows a success; ``changed``: the target holds another token now."""
        return changed

    def _remarks(self) -> Sequence[StatusWarning]:
        """Return what looks wrong with the target."""
        return self._runtime.last_remarks
