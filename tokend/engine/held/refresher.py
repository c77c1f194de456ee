"""One held token: rest until it is due, have one attempt made, rest again. The only retry loop for held tokens; sinks
retry in `publisher`, on-demand calls in `issuance`.

*When* is the business of `due` and `schedule`; the attempt itself and what becomes of it that of `renewal` and
`judgement`; whose token it is that of `comparison`. Time comes from the `Clock`, nothing else does.
"""

from dataclasses import dataclass, field, replace

from tokend.engine.context.context import Context
from tokend.engine.held.attempt import AttemptRunner
from tokend.engine.policy import refresh_timing
from tokend.engine.policy.failure import MOST_VERDICTS
from tokend.engine.policy.settings_change import compare, is_surely_another_account, withdrawn
from tokend.engine.records.fingerprints import request_fingerprint
from tokend.engine.records.record import Record, re_anchored
from tokend.engine.tasks.heartbeat import PULSE, Heartbeat
from tokend.machine.clock import is_plausible
from tokend.machine.event import Event
from tokend.machine.logs import get_logger
from tokend.plugin.settings import HeldSettings
from tokend.values.errors import AttemptError, SecretError, TransientError
from tokend.values.instant import Instant
from tokend.values.status import State
from tokend.values.tokens import Lease

log = get_logger()


@dataclass(slots=True)
class Outcome:
    """What one attempt came to, for everybody who waits for it."""

    done: Event = field(default_factory=Event)
    error: AttemptError | None = None


class Refresher:
    """Keep one provider's token fresh. `run` is its task; all else may be called from others."""

    __slots__ = (
        "_begun",
        "_broken_off",
        "_clock",
        "_clock_absurd",
        "_context",
        "_hurried",
        "_in_flight",
        "_look_again",
        "_outcome",
        "_renewal",
        "_start_at",
        "_stepped_back",
        "_store",
        "_turn",
        "_wake",
        "name",
        "pulse",
    )

    def __init__(self, name: str, settings: HeldSettings, context: Context) -> None:
        self.name = name
        self.pulse = Heartbeat()
        self._context = context
        self._clock = context.clock
        self._store = context.store
        self._renewal = AttemptRunner(name, settings, context)
        self._outcome: Outcome | None = None  # of the attempt under way, or of the next, once somebody asked for it
        self._wake = Event()
        self._in_flight = False
        self._look_again = True  # identity must be compared with the record
        self._hurried = False  # somebody, or new settings, want an attempt as soon as the floor allows
        self._turn: Instant | None = None  # in the daemon's pace
        self._begun = False
        self._start_at = self._clock.instant()
        self._clock_absurd = False  # the last attempt failed because our own clock cannot be believed
        self._stepped_back = refresh_timing.NEVER_STEPPED_BACK
        self._broken_off = self.record.under_way
        if self._broken_off:
            # Its request may have left as late as the daemon died: to save that it would took its time, too.
            self._store.show(name, replace(self.record, last_attempt=self._start_at, under_way=False))
        self._keep_pace(self.record.last_attempt)
        if settings.interval_is_the_accounts and (asked := self.record.last_attempt) is not None:
            # Others may name the account in another way: whose it was the last time is known without a secret.
            self._context.limits.block(self.record.account, asked.after(settings.request_interval_seconds))

    @property
    def settings(self) -> HeldSettings:
        """The settings in force."""
        return self._renewal.settings

    @property
    def timeout_seconds(self) -> float:
        """What one exchange with the upstream may take."""
        return self.settings.timeout.total_seconds()

    # -------------------------------------------------------------- what others see

    @property
    def record(self) -> Record:
        """What is stored of this provider now."""
        return self._store.get(self.name)

    @property
    def lease(self) -> Lease | None:
        """The token held now, valid or not."""
        return self.record.lease

    def is_valid(self) -> bool:
        """Tell whether a valid token is held."""
        lease = self.lease
        return lease is not None and lease.token.is_valid(self._clock.instant())

    @property
    def state(self) -> State:
        """The state that status shows."""
        record = self.record
        if record.rejected is not None:
            return State.REJECTED
        if self.is_valid():
            return State.FAILING if record.failures else State.VALID
        return State.PENDING if record.lease is None else State.EXPIRED

    @property
    def note(self) -> str | None:
        """A standing remark for the operator, or None."""
        if self._renewal.renewable:
            return None
        return "cannot be renewed: no credentials are configured; it is served until it expires"

    @property
    def is_busy(self) -> bool:
        """Tell whether an attempt is under way or asked for."""
        return self._in_flight or self._hurried

    def now(self) -> Instant:
        """The time that this provider lives in."""
        return self._clock.instant()

    def next_attempt(self) -> Instant | None:
        """When the timer will ask next, None if it will not."""
        now = self._clock.instant()
        seconds = self._seconds_until_due(now)
        return None if seconds is None else now.after(max(0.0, seconds))

    def floor_seconds(self, now: Instant, *, on_demand: bool) -> float:
        """Seconds during which no attempt may be made, whoever wants it."""
        return refresh_timing.floor_seconds(
            self.record, self.settings, self._context.limits, now, on_demand=on_demand, pace=self._renewal.pace
        )

    # -------------------------------------------------------------- what others ask for

    def reconfigure(self, settings: HeldSettings) -> None:
        """Go on under new settings. The token stays until they have produced one, unless its account changed."""
        old, record = self.settings, self.record
        self._renewal.configure(settings)
        if record.lease is not None and not settings.local and is_surely_another_account(old, settings):
            # At once: an attempt that is under way for the old account may take its time.
            self._store.show(self.name, withdrawn(record))
        if not settings.goes_the_way_of(old) and (record.failures or record.rejected is not None):
            # Another way to the upstream (a proxy, a certificate) may be what was missing.
            self._resume()
            self._hurried = True
        self._look()

    def secrets_changed(self) -> None:
        """A secret's content may have changed: mint anew (local kinds), or leave `rejected`."""
        self._look()

    async def forget(self) -> None:
        """Drop the token: out of memory and state now, out of the files by the publishers; then log in anew."""
        await self._store.update(self.name, withdrawn)
        self._hurry()

    def ask(self, *, despite_rejection: bool) -> Outcome:
        """Have an attempt made as soon as the floor allows, or join the one under way; returns what to wait for."""
        if not self.is_busy:
            if despite_rejection:
                self._resume()
            self._hurry()
        self._outcome = self._outcome or Outcome()
        return self._outcome

    def _resume(self) -> None:
        """Leave `rejected`. One verdict counts still: if it is confirmed, that was the one request it cost."""
        if self.record.rejected is not None:
            verdicts = MOST_VERDICTS - 1
            self._store.show(self.name, replace(self.record, rejected=None, verdicts=verdicts))

    def _hurry(self) -> None:
        self._hurried = True
        self._wake.set()

    def _look(self) -> None:
        self._look_again = True
        self._wake.set()

    # -------------------------------------------------------------- the task

    async def run(self) -> None:
        """Keep the token fresh until cancelled."""
        PULSE.set(self.pulse)
        self.pulse.works()
        if not self._begun:
            if self._broken_off:
                # Or a daemon that dies every few seconds would count its floor anew each time, and never ask again.
                await self._store.update(self.name, lambda record: record)
            if not self.is_valid():
                await self._renewal.inherit()
            now, draw = self._clock.instant(), self._context.random.random()
            self._start_at = refresh_timing.start_at(self.settings, now, valid=self.is_valid(), draw=draw)
            self._begun = True
        while True:
            await self._rest()
            await self._attempt()

    async def _rest(self) -> None:
        """Return when an attempt is due."""
        while True:
            self.pulse.works()
            self._wake = Event()
            if self._look_again:
                self._look_again = False
                await self._compare()
            now = self._clock.instant()
            if (record := re_anchored(self.record, now)) is not self.record:
                self._store.show(self.name, record)
            seconds = self._seconds_until_due(now)
            if seconds is None or seconds > 0:
                self._turn = None
            elif (seconds := self._seconds_until_turn(now)) <= 0:
                return
            expires = None if record.lease is None else record.lease.token.expires_at
            moments = [s for s in (seconds, None if expires is None else now.until(expires)) if s is not None and s > 0]
            until = now.after(min(moments)) if moments else None
            self.pulse.rests(None if until is None else until.boot)
            await self._clock.wait(until, self._wake, ends=expires)

    def _seconds_until_due(self, now: Instant) -> float | None:
        """Seconds until the next attempt; None if no timer causes one."""
        if self._hurried or (self._clock_absurd and is_plausible(now.wall)):
            return self.floor_seconds(now, on_demand=True)
        wanted = refresh_timing.timer_seconds(
            self.record,
            now,
            start_at=self._start_at,
            renewable=self._renewal.renewable,
            stepped_back=self._stepped_back,
        )
        return None if wanted is None else max(wanted, self.floor_seconds(now, on_demand=False))

    def _seconds_until_turn(self, now: Instant) -> float:
        """Seconds for which an attempt that is due stands in line; none where nobody is asked, or somebody waits."""
        if self.settings.local or self._outcome is not None:
            return 0.0
        self._turn = self._turn or self._context.pace.turn(now)
        return now.until(self._turn)

    async def _attempt(self) -> None:
        """Have one attempt made. A failure is stored and logged already; it is the readers' who waits for it."""
        self.pulse.works()
        self._in_flight, self._hurried, self._turn = True, False, None
        started = self._clock.instant()
        self._keep_pace(started)
        self._clock_absurd = not is_plausible(started.wall)
        self._stepped_back = refresh_timing.noticed(self.record, started, before=self._stepped_back)
        came_to: AttemptError | None = TransientError("the attempt was broken off")
        try:
            await self._renewal.attempt()
            came_to = None
        except AttemptError as error:
            came_to = error
        finally:
            self._keep_pace(self._clock.instant())
            self._in_flight = False
            outcome, self._outcome = self._outcome, None
            if outcome is not None:
                outcome.error = came_to
                outcome.done.set()

    def _keep_pace(self, asked: Instant | None) -> None:
        """Let others of the same account wait for their turn after a request at ``asked``."""
        if asked is not None:
            self._context.limits.block(self._renewal.pace, asked.after(self.settings.request_interval_seconds))

    async def _compare(self) -> None:
        """Hold the settings against what the record was made with: withdraw, ask anew, or leave `rejected`."""
        try:
            async with self._context.comparing:
                identity = await self._renewal.identify()
        except SecretError:
            identity = None
        settings, before = self.settings, self.record
        request = request_fingerprint(settings, self._store.state.digest)
        after, hurry = compare(before, settings, request=request, identity=identity)
        if after != before:
            await self._store.update(self.name, lambda r: compare(r, settings, request=request, identity=identity)[0])
        if before.lease is not None and after.lease is None:
            log.info("token.withdrawn", token=self.name, detail="the account changed: the old token is not its")
        self._hurried |= hurry
