"""The refresh loop of one held token: rest until an attempt is due, make it, rest again.

No other loop retries held tokens. `attempt_timing` computes when an attempt is due, `request_turn` how long it waits
for other providers, `attempt` makes it, `reconciliation` follows changed settings. Time comes from the `Clock` only.
"""

from dataclasses import replace

from tokend.engine.context.context import Context
from tokend.engine.context.references import lacking
from tokend.engine.held.accepted_logins import AcceptedLogins
from tokend.engine.held.attempt import AttemptResult, AttemptRunner
from tokend.engine.held.attempt_outcomes import AttemptOutcomes
from tokend.engine.held.attempt_timing import AttemptTiming
from tokend.engine.held.login_status import last_token_note
from tokend.engine.held.provider_login import ProviderLogin
from tokend.engine.held.reconciliation import Reconciliation
from tokend.engine.held.request_turn import RequestTurn
from tokend.engine.held.settings_in_force import SettingsInForce
from tokend.engine.policy.failure import in_another_way, resumed
from tokend.engine.policy.login_outcome import interrupted
from tokend.engine.policy.login_timing import is_last_of_login
from tokend.engine.policy.settings_change import is_surely_another_account
from tokend.engine.records.record import Record, re_anchored
from tokend.engine.tasks.heartbeat import HEARTBEAT, Heartbeat
from tokend.machine.event import Event
from tokend.machine.logs import get_logger
from tokend.plugin.login import may_use_login
from tokend.plugin.settings import HeldSettings
from tokend.values.errors import AttemptError, PersonNeededError, StoreError, TransientError, WaitingError
from tokend.values.instant import Instant
from tokend.values.status import Failure, State, StatusWarning
from tokend.values.tokens import Lease

OUTDATED = "a file holds a newer token than the saved state: it is kept, and a refresh is due"

log = get_logger()


class Refresher:
    """Keep one provider's token fresh. `run` is its task; everything else may be called from other tasks."""

    __slots__ = (
        "_attempts",
        "_begun",
        "_clock",
        "_context",
        "_in_flight",
        "_in_force",
        "_interrupted",
        "_result",
        "_store",
        "_timing",
        "_turn",
        "_wake",
        "_wanted",
        "accepted",
        "heartbeat",
        "login",
        "name",
        "reconciliation",
        "waiting",
    )

    def __init__(self, name: str, settings: HeldSettings, context: Context) -> None:
        self.name = name
        self.heartbeat = Heartbeat()
        self._context = context
        self._clock = context.clock
        self._store = context.store
        record = self.record
        self._interrupted = record.attempts.under_way
        if (after := _after_a_crash(record, self._clock.instant())) is not record:
            self._store.show(name, after)
        in_force = self._in_force = SettingsInForce(name, settings, context)
        outcomes = AttemptOutcomes(name, in_force, context)
        # The login, and those that persons bring, for kinds that may use one.
        self.login: ProviderLogin | None = None
        self.accepted: AcceptedLogins | None = None
        if may_use_login(settings):
            self.login = ProviderLogin(name, in_force, outcomes, context)
            self.accepted = AcceptedLogins(name, self.login, context, wake=self.wake)
        self._attempts = AttemptRunner(name, in_force, outcomes, self.login, context)
        self._timing = AttemptTiming(name, in_force, context)
        self._turn = RequestTurn(name, context)
        self.reconciliation = Reconciliation(name, in_force, self.login, self._attempts, context)
        self._result: AttemptResult | None = None  # of the attempt under way, or of the next, once somebody wants it
        self._wake = Event()
        self._in_flight = False
        # Somebody, or new settings, want an attempt as soon as one may be made. So does a file: it may have changed
        # before the start.
        self._wanted = settings.is_read_from_file
        self._begun = False
        # Why an attempt that is due is not made: another provider's token, which it needs, is not valid.
        self.waiting: Failure | None = None

    @property
    def settings(self) -> HeldSettings:
        """The settings in force."""
        return self._in_force.settings

    @property
    def is_renewable(self) -> bool:
        """Whether credentials are configured: without them the token given in the settings is the only one."""
        return self._in_force.renewable

    @property
    def timeout_seconds(self) -> float:
        """The longest time that one exchange with the upstream may take."""
        return self.settings.timeout.total_seconds()

    # -------------------------------------------------------------- status

    @property
    def record(self) -> Record:
        """The current record."""
        return self._store.get(self.name)

    @property
    def lease(self) -> Lease | None:
        """The token held now, valid or not."""
        return self.record.lease

    def is_valid(self) -> bool:
        """Return whether a valid token is held."""
        lease = self.lease
        return lease is not None and lease.token.is_valid(self._clock.instant())

    @property
    def state(self) -> State:
        """The state that status shows."""
        record = self.record
        if record.rejected:
            error = record.last_error
            is_persons = error is not None and error.reason == PersonNeededError.reason
            return State.LOGIN_REQUIRED if is_persons else State.REJECTED
        if record.requires_login:
            return State.LOGIN_REQUIRED
        if self.is_valid():
            fails = record.failures or self.reconciliation.unreadable is not None or self.waiting is not None
            return State.FAILING if fails else State.VALID
        return State.PENDING if record.lease is None else State.EXPIRED

    @property
    def note(self) -> str | None:
        """A lasting remark for the operator, or None."""
        if self.record.is_outdated:
            return OUTDATED
        if self.login is not None and (note := self.login.exchange.note) is not None:
            return note
        if self._in_force.renewable:
            remark = None if (lease := self.lease) is None else self.settings.remark_on(lease.token)
            return remark or (last_token_note(self.name, self.settings) if self.holds_last_token else None)
        then = "it is served until it expires" if self.is_valid() else "a person must give another token"
        return f"cannot be renewed: no credentials are configured; {then}"

    @property
    def holds_last_token(self) -> bool:
        """Whether the token held is valid, and only a person brings the next one: its login has no refresh token."""
        return is_last_of_login(self.record, self.settings, self._clock.instant())

    def clock_warnings(self) -> tuple[StatusWarning, ...]:
        """Warn of an upstream's clock that is far from ours."""
        return self._in_force.clock_warnings()

    @property
    def is_busy(self) -> bool:
        """Whether an attempt is under way or wanted."""
        return self._in_flight or self._wanted

    def now(self) -> Instant:
        """Read the provider's clock."""
        return self._clock.instant()

    def next_attempt(self) -> Instant | None:
        """Compute when the timer makes the next attempt, None if it makes none."""
        now = self._clock.instant()
        seconds = None if self.waiting is not None else self._seconds_until_due(now)
        return None if seconds is None else now.after(max(0.0, seconds))

    def waits_for(self) -> str | None:
        """Return the operator's sentence about what an attempt waits for: a record of this provider that cannot be
        opened, or other tokens that are not valid now."""
        return self._store.unopened(self.name) or lacking(self._in_force.references, self._store)

    def blocked_seconds(self, now: Instant, *, on_demand: bool) -> float:
        """Compute the seconds during which nobody may make an attempt."""
        return self._timing.blocked_seconds(now, on_demand=on_demand)

    # -------------------------------------------------------------- commands

    def reconfigure(self, settings: HeldSettings) -> None:
        """Apply new settings. The token stays until they have produced one, unless its account changed."""
        old, record = self.settings, self.record
        self._in_force.replace(settings)
        if self.login is not None:
            self.login.settings_replaced()
        if record.lease is not None and not settings.local and is_surely_another_account(old, settings):
            # At once: an attempt under way for the old account may take long.
            self._store.show(self.name, record.without_token())
        if not settings.has_connection_of(old):
            self.connection_changed()
        self._reconcile_soon()

    def connection_changed(self) -> None:
        """Make an attempt after a failure: another way to the upstream (a proxy, a certificate) may be what was
        missing."""
        if (record := self.record).failures or record.rejected:
            self._store.show(self.name, in_another_way(record))
            self._want_attempt()

    def secrets_changed(self) -> None:
        """Reconcile the record with a secret's new content: mint again (local kinds), or leave `Rejected`.

        A token that is read from a file is read again.
        """
        self._reconcile_soon()
        if self.settings.is_read_from_file:
            self._want_attempt()

    async def forget(self) -> None:
        """Drop the token from memory and state (publishers drop it from the files), then make an attempt.

        Its fingerprint is remembered until its end: the same token is not published again.
        """
        # The token that the admin sees now, and the one that an attempt under way may have stored meanwhile.
        seen = self.lease
        await self._store.update(self.name, lambda record: record.with_forgotten((seen,), self._clock.instant()))
        self._want_attempt()

    async def outdated(self, generation: int) -> None:
        """Note that this ``generation`` was published, which is above that of the token held: an attempt is due."""
        log.warning("token.outdated", token=self.name, generation=generation, detail=OUTDATED)
        await self._store.update(self.name, lambda record: record.outdated_by(generation))
        self.wake()

    def request_attempt(self, *, despite_rejection: bool) -> AttemptResult:
        """Have an attempt made as soon as one may be, or join the one under way; returns its future result."""
        if not self.is_busy:
            if despite_rejection:
                self._resume()
            self._want_attempt()
        self._result = self._result or AttemptResult()
        return self._result

    def _resume(self) -> None:
        record = self.record
        if record.rejected:
            record = resumed(record)
        if self.login is not None and (file := self.login.exchange.file) is not None:
            file.hasten()
        state = record.login.state.hastened(self._clock.instant())
        if record is not self.record or state is not record.login.state:
            self._store.show(self.name, record.with_login_state(state))

    def wake(self) -> None:
        """Let the loop look again at what is due."""
        self._wake.set()

    def _want(self) -> None:
        self._wanted = True

    def _want_attempt(self) -> None:
        self._want()
        self.wake()

    def _reconcile_soon(self) -> None:
        self.reconciliation.is_wanted = True
        self.wake()

    # -------------------------------------------------------------- the task

    async def run(self) -> None:
        """Keep the token fresh until cancelled."""
        HEARTBEAT.set(self.heartbeat)
        self.heartbeat.works()
        if self.accepted is not None:
            self.accepted.follow()
        try:
            if not self._begun:
                await self._wait_until_opened()
                await self._begin()
                self._begun = True
            while True:
                await self._rest()
                await self._attempt()
        finally:
            self._turn.leave()
            if self.accepted is not None:
                self.accepted.leave()

    async def _wait_until_opened(self) -> None:
        """Wait until an admin has dropped the stored record, if it cannot be opened. Meanwhile nothing is sent.

        It may hold a login that replaced the initial one: nothing of the settings is used either.
        """
        while (why := self._store.unopened(self.name)) is not None:
            changed = self._store.changed(self.name)
            self.waiting = Failure(StoreError.reason, why, self._clock.instant().wall)
            self.heartbeat.rests(None)
            await self._clock.wait(None, changed)
        self.waiting = None
        self.heartbeat.works()

    async def _begin(self) -> None:
        if self._interrupted:
            # Saved: a daemon that dies every few seconds would start the minimum interval again each time, and never
            # send a request.
            await self._store.update(self.name, lambda record: record)
        if not self.is_valid() or not self._in_force.renewable:
            await self._attempts.use_initial_token()
        self._timing.begin(valid=self.is_valid())

    async def _rest(self) -> None:
        """Return when an attempt is due."""
        while True:
            self.heartbeat.works()
            self._wake = Event()
            while self.accepted is not None and not self.accepted.is_empty():
                if not await self.accepted.save_next():
                    self._want()
            if self.reconciliation.is_due():
                await self.reconciliation.make(self._want)
            now = self._clock.instant()
            if (record := re_anchored(self.record, now)) is not self.record:
                self._store.show(self.name, record)
            if self.holds_last_token:
                self._wanted = False
                self._answer(None)
            seconds = self._seconds_until_due(now)
            self._note_waiting(self.waits_for() if seconds is not None and seconds <= 0 else None)
            if self.waiting is not None:
                seconds = None
            alone = None if self.waiting is not None else self._seconds_until_due(now, alone=True)
            self._turn.wait(self._in_force.account, record, None if alone is None else now.after(alone))
            if seconds is None or seconds > 0:
                self._turn.reset()
            elif (seconds := self._turn.seconds_left(now, needs_slot=self._needs_slot)) <= 0:
                return
            expires = None if record.lease is None else record.lease.token.expires_at
            moments = [s for s in (seconds, None if expires is None else now.until(expires)) if s is not None and s > 0]
            until = now.after(min(moments)) if moments else None
            self.heartbeat.rests(None if until is None else until.boot)
            await self._clock.wait(until, self._wake, ends=expires)

    def _seconds_until_due(self, now: Instant, *, alone: bool = False) -> float | None:
        if self.holds_last_token:
            return None
        return self._timing.seconds_until_due(now, wanted=self._wanted, alone=alone)

    def _note_waiting(self, detail: str | None) -> None:
        """Note why the attempt that is due is not made, and answer the readers that wait for it. None: it is made."""
        if detail is None or self.waiting is None or self.waiting.detail != detail:
            before = self.waiting
            self.waiting = None if detail is None else Failure(WaitingError.reason, detail, self._clock.instant().wall)
            if self.waiting != before:
                self._store.touch(self.name)
        if detail is not None:
            self._answer(WaitingError(detail))

    @property
    def _needs_slot(self) -> bool:
        """Whether the next attempt needs a slot: not for local kinds, and not while a reader waits."""
        return not self.settings.local and self._result is None

    async def _attempt(self) -> None:
        """Make one attempt. A failure is stored and logged already; waiting readers get it as their result."""
        self.heartbeat.works()
        self._in_flight, self._wanted = True, False
        self._turn.reset()
        self._turn.leave()
        self._timing.attempt_begins(self._clock.instant())
        failure: AttemptError | None = TransientError("the attempt was broken off")
        try:
            await self._attempts.attempt()
            failure = None
            self.reconciliation.secrets_were_read()
        except AttemptError as error:
            failure = error
        finally:
            self._timing.block_account(self._clock.instant())
            self._in_flight = False
            self._answer(failure)

    def _answer(self, failure: AttemptError | None) -> None:
        """Give the readers that wait for an attempt its result."""
        result, self._result = self._result, None
        if result is not None:
            result.error = failure
            result.done.set()


def _after_a_crash(record: Record, now: Instant) -> Record:
    """Compute the record after what the previous process has left under way, if there is such a thing."""
    if record.attempts.under_way:
        # It may have sent its request just before it died, later than the saved moment.
        record = replace(record, attempts=record.attempts.interrupted(now))
    if (state := record.login.state).is_exchanging:
        # The refresh token may have been sent, and nobody has seen the answer.
        record = record.with_login_state(interrupted(state, now))
    return record
