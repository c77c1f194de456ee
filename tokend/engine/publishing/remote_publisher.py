"""Publishing task of one remote sink: what a store needs beside `Publisher`.

Attempts wait for the host's turn and for ``min_interval``. What a look finds is repaired or reported.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from tokend.engine.context.context import Context
from tokend.engine.context.host_backoff import HostAttempt
from tokend.engine.context.warnings import CONFIG
from tokend.engine.publishing.announcer import Announce
from tokend.engine.publishing.publisher import Publisher
from tokend.engine.publishing.remote_drift import MOST_REPAIRS
from tokend.engine.publishing.remote_target import RemoteTarget
from tokend.engine.publishing.store_announcements import StoreAnnouncements
from tokend.engine.publishing.target_lock import TargetLock
from tokend.engine.publishing.target_tokens import Leases, Wanted
from tokend.machine.logs import get_logger
from tokend.plugin.settings import SinkSettings
from tokend.plugin.shown_text import shown
from tokend.plugin.sink import RemoteSink, Sink
from tokend.values.errors import SinkConflictError, SinkError
from tokend.values.instant import Instant
from tokend.values.status import SinkStatus, StatusWarning
from tokend.values.tokens import Lease

# The code of a warning about tokens that live too short for the store (`config.store_checks` has it, too).
QUOTA = "store_quota"

log = get_logger()


class RemotePublisher(Publisher):
    """The task that keeps one target in a store up to date. The parameters are those of `Publisher`."""

    __slots__ = ("_attempt", "_later", "remote")

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
        # `plugin.kind_check` has checked that the model implements the interface of its family.
        self.remote = RemoteTarget(name, cast(RemoteSink, sink), target, context, label=label)
        super().__init__(
            name,
            sink,
            label=label,
            removes=removes,
            outdated=outdated,
            target=target,
            context=context,
            runtime=self.remote.runtime,
            delivery=self.remote.delivery,
        )
        self._attempt: HostAttempt | None = None
        self._later: Instant | None = None  # when a write may be made that is wanted now
        if self.remote.conflict is not None:
            self._health.conflicts(self.remote.conflict)

    @property
    def status(self) -> SinkStatus:
        """The sink's status row."""
        return self.remote.shown_in(super().status)

    def holds(self, lease: Lease | None) -> bool:
        """Return whether the target is up to date, or ``min_interval`` alone is why it is not."""
        return super().holds(lease) or (lease is not None and self.remote.holds_older())

    def needs_a_person(self) -> bool:
        """Return whether only a person can help: states ``rejected`` and ``conflict``, a value that is never taken."""
        is_never_taken = self._refused is not None and self._refused == self._tokens.to_write()
        return is_never_taken or self._health.state in {"rejected", "conflict"}

    def sync(self, *, take_over: bool) -> None:
        """Write now unless the store, which is asked first, holds the token. Else as `Publisher.sync`."""
        if take_over or not self._health.in_conflict:
            self.remote.sync(take_over=take_over)
        super().sync(take_over=take_over)

    def try_now(self) -> None:
        """End all pauses but one that the store asked for: a person asked for it."""
        self.remote.try_now()
        super().try_now()

    def is_writing(self) -> bool:
        """Return whether an attempt is being made, or is to be made now. False while the store's host is paused."""
        return self.remote.pause() is None and super().is_writing()

    async def inspect(self) -> None:
        """Ask the store now what it holds, and react as to every look."""
        leases = self._compared_leases()
        await self.remote.inspect(leases)
        await self._judge(leases)

    def _write_again(self) -> None:
        self.remote.timing.is_compared = False
        super()._write_again()

    def _due(self, now: Instant) -> Wanted | None:
        wanted, self._later = super()._due(now), None
        if wanted is None:
            if self._health.may_try(now):
                self.remote.timing.settled()
            return None
        at = self.remote.timing.write_at(now)
        if wanted.action == "write" and now.until(at) > 0:
            self._later = at
            return None
        return wanted

    def _next_moment(self, now: Instant) -> Instant | None:
        moments = [super()._next_moment(now), self._later]
        look = None if self._health.in_conflict else self.remote.drift.look_at(now)
        if look is not None and self._compared_leases() is not None:
            moments.append(look)
        return min((one for one in moments if one is not None), key=lambda one: one.boot, default=None)

    async def _bring_about(self, wanted: Wanted) -> None:  # noqa: ARG002  # another one may be wanted by then
        async with self.remote.attempt() as self._attempt:
            if (due := self._due(self._context.clock.instant())) is not None:
                writes = self.remote.delivery.writes
                await self._apply(due)
                self._applied(has_written=self.remote.delivery.writes > writes)

    def _applied(self, *, has_written: bool) -> None:
        self.remote.timing.is_compared = True
        if has_written and self.remote.drift.written(self._context.clock.instant()):
            self._context.counters.repaired(self.name, self.label)
            log.info("sink.repaired", **self._health.log_fields, detail="another writer had changed it")

    async def _look_after(self, now: Instant) -> bool:
        """Look at the target, if it is time to. Returns whether there was something to do."""
        at = self.remote.drift.look_at(now)
        if at is None or now.until(at) > 0 or self._compared_leases() is None or self._health.in_conflict:
            return False
        await self.inspect()
        return True

    def _pauses_after(self, error: SinkError) -> bool:
        # The host's pause says when the next attempt is made.
        return self._attempt is None or not self._attempt.failed(error)

    async def _failed(self, error: SinkError, wanted: Wanted | None) -> None:
        if isinstance(error, SinkConflictError):
            await self.remote.conflicts(error.detail)
        await super()._failed(error, wanted)

    def _owes_announcement(self, changed: bool) -> bool:  # noqa: ARG002  # the mark says more
        return self.remote.owes_announcement()

    def _announcing(self) -> tuple[Announce, Instant | None]:
        store = StoreAnnouncements(
            cast(Sink, self.sink).announce,
            self.remote,
            upstream=cast(RemoteSink, self.sink).upstream,
            context=self._context,
        )
        return store.announce, store.last

    def _remarks(self) -> Sequence[StatusWarning]:
        """Return a warning if the tokens live too short for the store's quota and the settings do not say it."""
        known = {warning.code for warning in self._context.warnings.of(self.name, CONFIG)}
        leases = self._tokens.valid_leases(self._context.clock.instant())
        if leases is None or QUOTA in known:
            return ()
        lives = [life for one in (leases[0], *leases[1].values()) if (life := one.token.life_seconds) is not None]
        warning = _quota_warning(self.sink, min(lives)) if lives else None
        return () if warning is None else (StatusWarning(QUOTA, shown(warning)),)

    async def _judge(self, leases: Leases | None) -> None:
        """React to what a look has found where the store must hold ``leases``: repair, report, leave it to a person."""
        if leases is None or leases != self._compared_leases() or self._health.in_conflict:
            return  # a newer token may have been written meanwhile
        drift, target = self.remote.drift, self.sink.target
        if not drift.differs:
            if drift.shown == "none":
                self._health.recovered()
            return
        what = f"{target}: another writer has {'removed' if drift.shown == 'missing' else 'changed'} the value"
        if not self.remote.repairs:
            self._health.differs(f'{what}; it is not written again: drift = "report"', None)
        elif drift.may_repair(self._context.clock.instant()):
            drift.is_repairing = True
            self.remote.delivery.known = drift.found
            self._write_again()
        else:
            detail = (
                f"{what} again after {MOST_REPAIRS} repairs within an hour; nothing is written until "
                f"tokend sync {self.name} --take-over, or until the table is changed"
            )
            self._health.conflicts(detail)
            await self.remote.conflicts(detail)


def _quota_warning(sink: SinkSettings, life_seconds: float) -> str | None:
    """Return a warning if no setting of the sink fits tokens of this life: the quota, or ``min_interval``."""
    return sink.quota_warning(life_seconds) or sink.interval_warning(life_seconds)
