"""One sink: wait for something newer, write it, retry on its own. What a sink does never reaches a refresher."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import anyio

from tokend.engine.records import Record
from tokend.engine.standing import BUG, Standing, Turn
from tokend.engine.surroundings import Surroundings
from tokend.errors import SinkError
from tokend.instant import Instant
from tokend.interfaces import Sink
from tokend.logs import get_logger
from tokend.status import SinkStatus
from tokend.tokens import Lease

# A healthy disk needs a millisecond; a filesystem that hangs gets its thread taken away after this.
WRITE_SECONDS = 10.0
# A sink's command may take 30 s; the rest is margin for starting it.
ANNOUNCE_SECONDS = 35.0

log = get_logger()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the sink should hold: a lease, or nothing any more. Equal wishes need one write."""

    action: Literal["write", "remove"]
    generation: int


class Publisher:
    """Keep one sink up to date with one token. `run` is its task."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        *,
        label: str,
        removes: Callable[[], bool],
        turn: Turn,
        surroundings: Surroundings,
    ) -> None:
        self.name = name
        self.sink = sink
        self.label = label
        self._removes = removes  # whether an expired token is to be taken away
        self._turn = turn
        self._store = surroundings.store
        self._threads = surroundings.threads
        self._commands = surroundings.commands
        self._clock = surroundings.clock
        self._counters = surroundings.counters
        self._standing = Standing(name, sink, label=label, surroundings=surroundings)
        self._probed = False
        self._done: _Wanted | None = None
        self._announce_due = False

    @property
    def status(self) -> SinkStatus:
        """How the sink stands."""
        return self._standing.status

    def holds(self, lease: Lease | None) -> bool:
        """Tell whether the sink holds this very lease."""
        return lease is not None and self._done == _Wanted("write", lease.generation)

    def owes_announcement(self) -> bool:
        """Tell whether others have still to be told of the last change, for the first time."""
        return self._announce_due and self._standing.error is None

    async def run(self) -> None:
        """Publish until cancelled."""
        if not self._probed:
            self._probed = True  # also where it dies of a bug: what is started anew then publishes all the same
            await self._probe()
        while True:
            event = self._store.changed(self.name)
            record, now = self._store.get(self.name), self._clock.instant()
            wanted = self._wanted(record, now)
            if wanted is not None and wanted != self._done and self._standing.may_try(now):
                await self._apply(wanted, record.lease)
            elif self._announce_due and self._standing.may_try(now):
                await self._announce()
            else:
                await self._clock.wait(self._standing.retry_at(now), event)

    def _wanted(self, record: Record, now: Instant) -> _Wanted | None:
        if record.lease is None:
            return _Wanted("remove", record.generation) if record.withdrawn else None
        if record.lease.token.is_valid(now):
            return _Wanted("write", record.lease.generation)
        return _Wanted("remove", record.lease.generation) if self._removes() else None

    async def _probe(self) -> None:
        """Say at start what would fail later. Never fatal."""
        try:
            await self._threads.run(self.sink.probe, seconds=WRITE_SECONDS)
        except (SinkError, TimeoutError) as error:
            self._standing.error = str(error) or f"{self.sink.target}: the filesystem hangs"
            log.warning("sink.not_writable", token=self.name, sink=self.label, detail=self._standing.error)

    async def _apply(self, wanted: _Wanted, lease: Lease | None) -> None:
        try:
            changed = await self._in_turn(wanted, lease)
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
            log.info(event, token=self.name, sink=self.label, path=self.sink.target, generation=wanted.generation)

    async def _in_turn(self, wanted: _Wanted, lease: Lease | None) -> bool:
        async with self._turn.lock:
            if self._turn.hanging:
                raise SinkError(f"{self.sink.target}: an earlier write still hangs in the filesystem")
            call = self.sink.remove if wanted.action == "remove" or lease is None else _bind(self.sink, lease)
            try:
                # A write that has begun is finished also on shutdown: a moment's patience saves a stale file.
                with anyio.CancelScope(shield=True):
                    changed = await self._threads.run(self._tracked(call), seconds=WRITE_SECONDS)
            except TimeoutError:
                raise SinkError(f"{self.sink.target}: not written within {WRITE_SECONDS:.0f} s") from None
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


def _bind(sink: Sink, lease: Lease) -> Callable[[], bool]:
    return lambda: sink.write(lease)
