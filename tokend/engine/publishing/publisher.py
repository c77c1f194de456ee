"""One sink: wait for something newer, write it, retry on its own. What a sink does never reaches a refresher."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import anyio

from tokend.engine.context.context import Context
from tokend.engine.publishing.sink_health import BUG, SinkHealth, TargetLock
from tokend.engine.records.record import Record
from tokend.machine.logs import get_logger
from tokend.plugin.sink import Sink, is_combining
from tokend.values.errors import SinkError
from tokend.values.instant import Instant
from tokend.values.status import SinkStatus
from tokend.values.tokens import Lease

# A healthy disk needs a millisecond; a filesystem that hangs gets its thread taken away after this.
WRITE_SECONDS = 10.0
# A sink's command may take 30 s; the rest is margin for starting it.
ANNOUNCE_SECONDS = 35.0

log = get_logger()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the sink should hold: one lease of each name, or nothing any more. Equal wishes need one write."""

    action: Literal["write", "remove"]
    generations: tuple[int, ...]


class Publisher:
    """Keep one sink up to date with one token, or with several. `run` is its task.

    ``removes`` tells of a token's name whether it is to be taken away when it has expired.
    """

    __slots__ = (
        "_announce_due",
        "_clock",
        "_commands",
        "_counters",
        "_done",
        "_others",
        "_probed",
        "_removes",
        "_standing",
        "_store",
        "_threads",
        "_turn",
        "label",
        "name",
        "sink",
    )

    def __init__(
        self,
        name: str,
        sink: Sink,
        *,
        label: str,
        removes: Callable[[str], bool],
        turn: TargetLock,
        context: Context,
    ) -> None:
        self.name = name
        self.sink = sink
        self.label = label
        others = sink.tokens if is_combining(sink) else ()
        self._others = tuple(dict.fromkeys(other for other in others if other != name))
        self._removes = removes
        self._turn = turn
        self._store = context.store
        self._threads = context.threads
        self._commands = context.commands
        self._clock = context.clock
        self._counters = context.counters
        self._standing = SinkHealth(name, sink, label=label, context=context)
        self._probed = False
        self._done: _Wanted | None = None
        self._announce_due = False

    @property
    def status(self) -> SinkStatus:
        """How the sink stands."""
        return self._standing.status

    def holds(self, lease: Lease | None) -> bool:
        """Tell whether the sink holds this very lease."""
        return lease is not None and self._done == _Wanted("write", self._generations())

    def owes_announcement(self) -> bool:
        """Tell whether others have still to be told of the last change, for the first time."""
        return self._announce_due and self._standing.error is None

    async def run(self) -> None:
        """Publish until cancelled."""
        if not self._probed:
            self._probed = True  # also where it dies of a bug: what is started anew then publishes all the same
            await self._probe()
        while True:
            event = self._store.changed(self.name, *self._others)
            now = self._clock.instant()
            wanted = self._wanted(now)
            if wanted is not None and wanted != self._done and self._standing.may_try(now):
                await self._apply(wanted)
            elif self._announce_due and self._standing.may_try(now):
                await self._announce()
            else:
                await self._clock.wait(self._standing.retry_at(now), event)

    def _records(self) -> dict[str, Record]:
        return {name: self._store.get(name) for name in (self.name, *self._others)}

    def _generations(self) -> tuple[int, ...]:
        return tuple(record.generation for record in self._records().values())

    def _wanted(self, now: Instant) -> _Wanted | None:
        """All valid: write. One that must not be there any longer: remove. Else what is there stays."""
        waits = []
        for name, record in self._records().items():
            if record.lease is None:
                if record.withdrawn:
                    return _Wanted("remove", self._generations())
                waits.append(name)
            elif not record.lease.token.is_valid(now):
                if self._removes(name):
                    return _Wanted("remove", self._generations())
                waits.append(name)
        if not waits:
            return _Wanted("write", self._generations())
        if self.name not in waits:
            self._standing.error = f"{self.sink.target}: waits for a valid token of {', '.join(waits)}"
        return None

    async def _probe(self) -> None:
        """Say at start what would fail later. Never fatal."""
        try:
            await self._threads.run(self.sink.probe, seconds=WRITE_SECONDS)
        except (SinkError, TimeoutError) as error:
            self._standing.error = str(error) or f"{self.sink.target}: the filesystem hangs"
            log.warning("sink.not_writable", token=self.name, sink=self.label, detail=self._standing.error)

    async def _apply(self, wanted: _Wanted) -> None:
        try:
            changed = await self._in_turn(self._call(wanted))
        except SinkError as error:
            self._standing.failed(error.detail)
            return
        except Exception:
            # The supervisor logs it and starts this worker anew; status must not say that all is well.
            self._standing.failed(BUG)
            raise
        self._counters.wrote(self.name, self.label, "success" if changed else "unchanged")
        self._announce_due |= changed
        self._succeeded(wanted)
        if changed:
            event = "sink.written" if wanted.action == "write" else "sink.removed"
            log.info(event, token=self.name, sink=self.label, path=self.sink.target, generation=wanted.generations[0])

    def _call(self, wanted: _Wanted) -> Callable[[], bool]:
        """What brings the sink there. The tokens are those of now, not of when the sink's turn comes."""
        leases = {name: record.lease for name, record in self._records().items() if record.lease is not None}
        lease = leases.pop(self.name, None)
        if wanted.action == "remove" or lease is None:
            return self.sink.remove
        return _bind(self.sink, lease, leases)

    async def _in_turn(self, call: Callable[[], bool]) -> bool:
        async with self._turn.lock:
            if self._turn.hanging:
                raise SinkError(f"{self.sink.target}: an earlier write still hangs in the filesystem")
            try:
                # A write that has begun is finished also on shutdown: a moment's patience saves a stale file.
                with anyio.CancelScope(shield=True):
                    changed = await self._threads.run(self._tracked(call), seconds=WRITE_SECONDS)
            except TimeoutError as error:
                why = f"not written within {WRITE_SECONDS:.0f} s: {str(error) or 'the filesystem hangs'}"
                raise SinkError(f"{self.sink.target}: {why}") from None
            return changed

    def _tracked(self, call: Callable[[], bool]) -> Callable[[], bool]:
        """Mark the target as hanging for as long as the call's thread is in it."""

        def tracked() -> bool:
            self._turn.hanging = True
            try:
                return call()
            finally:
                self._turn.hanging = False

        return tracked

    async def _announce(self) -> None:
        """Tell others about the change; retried apart from the write, and coalesced: the newest change counts."""
        try:
            await self._commands.run(self.sink.announce, seconds=ANNOUNCE_SECONDS)
        except (SinkError, TimeoutError) as error:
            self._standing.failed(str(error) or "the command after the write did not end in time")
        except Exception:
            self._standing.failed(BUG)
            raise
        else:
            self._announce_due = False
            self._succeeded(self._done)

    def _succeeded(self, wanted: _Wanted | None) -> None:
        self._done = wanted
        self._standing.succeeded()


def _bind(sink: Sink, lease: Lease, others: Mapping[str, Lease]) -> Callable[[], bool]:
    if is_combining(sink):
        return lambda: sink.write_all(lease, others)
    return lambda: sink.write(lease)
