"""The refresh loop of one held token: rest until an attempt is due, make it, rest again.

No other loop retries held tokens. `policy.refresh_timing` computes when an attempt is due, `attempt` makes it,
`policy.settings_change` reconciles the record with changed settings. Time comes from the `Clock` only.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace

from tokend.engine.context.context import Context
from tokend.engine.context.references import lacking
from tokend.engine.held.attempt import AcceptedLogin, AttemptResult, AttemptRunner
from tokend.engine.held.login_exchange import LoginExchange
from tokend.engine.held.login_status import last_token_note
from tokend.engine.policy import refresh_timing
from tokend.engine.policy.failure import in_another_way, resumed
from tokend.engine.policy.login_change import reconcile_logins
from tokend.engine.policy.login_outcome import interrupted
from tokend.engine.policy.login_timing import is_last_of_login
from tokend.engine.policy.settings_change import is_surely_another_account, reconcile
from tokend.engine.policy.turns import LONGEST_YIELD_SECONDS, Urgency
from tokend.engine.records.fingerprints import connection_fingerprint, request_fingerprint
from tokend.engine.records.login_record import NO_LOGINS
from tokend.engine.records.record import Record, re_anchored
from tokend.engine.tasks.heartbeat import HEARTBEAT, Heartbeat
from tokend.machine.clock import is_plausible
from tokend.machine.event import Event
from tokend.machine.logs import get_logger
from tokend.plugin.login import RememberingRuntime
from tokend.plugin.settings import HeldSettings
from tokend.values.errors import AttemptError, PersonNeededError, SecretError, StoreError, TransientError, WaitingError
from tokend.values.instant import Instant
from tokend.values.logins import Granted
from tokend.values.status import Failure, State, StatusWarning
from tokend.values.tokens import Lease

OUTDATED = "a file holds a newer token than the saved state: it is kept, and a refresh is due"

log = get_logger()


class Refresher:
    """Keep one provider's token fresh. `run` is its task; everything else may be called from other tasks."""

    __slots__ = (
        "_accepted",
        "_attempts",
        "_begun",
        "_clock",
        "_clock_absurd",
        "_context",
        "_in_flight",
        "_interrupted",
        "_loops",
        "_refuses_logins",
        "_result",
        "_slot",
        "_start_at",
        "_stepped_back",
        "_store",
        "_unreconciled",
        "_wake",
        "_wanted",
        "_was_readable",
        "_yields_until",
        "heartbeat",
        "is_reconciled",
        "name",
        "unreadable",
        "waiting",
    )

    def __init__(self, name: str, settings: HeldSettings, context: Context) -> None:
        self.name = name
        self.heartbeat = Heartbeat()
        self._context = context
        self._clock = context.clock
        self._store = context.store
        self._attempts = AttemptRunner(name, settings, context)
        self._accepted: list[AcceptedLogin] = []  # logins of persons that wait for the loop
        self._loops = self._refuses_logins = False
        self._result: AttemptResult | None = None  # of the attempt under way, or of the next, once somebody wants it
        self._wake = Event()
        self._in_flight = False
        self._unreconciled = True  # the record must be reconciled with settings and secrets
        # Whether it was since the start: what an earlier process gave up may be possible by now.
        self.is_reconciled = False
        # Somebody, or new settings, want an attempt as soon as one may be made. So does a file: it may have changed
        # before the start.
        self._wanted = settings.is_read_from_file
        self._slot: Instant | None = None  # in the daemon's request rate
        self._yields_until: Instant | None = None  # to a more urgent provider of the account
        self._begun = False
        self._was_readable = False  # the secrets, since the start
        # Why they could not be read since then: a token from the state is served, and could not be refreshed.
        self.unreadable: Failure | None = None
        # Why an attempt that is due is not made: another provider's token, which it needs, is not valid.
        self.waiting: Failure | None = None
        self._start_at = self._clock.instant()
        self._clock_absurd = False  # the last attempt failed because our own clock cannot be believed
        self._stepped_back = refresh_timing.NEVER_STEPPED_BACK
        self._interrupted = self.record.attempts.under_way
        if self._interrupted:
            # The previous process may have sent its request just before it died, later than the saved moment.
            record = self.record
            self._store.show(name, replace(record, attempts=record.attempts.interrupted(self._start_at)))
        if (logins := self.record.login).state.is_exchanging:
            # The refresh token may have been sent, and nobody has seen the answer.
            state = interrupted(logins.state, self._start_at)
            self._store.show(name, replace(self.record, login=replace(logins, state=state)))
        self._block_account(self.record.last_attempt)
        if settings.interval_is_per_account and (last := self.record.last_attempt) is not None:
            # Others may name the account in another way: the account of the last token is known without a secret.
            self._context.limits.block(self.record.account, last.after(settings.request_interval_seconds))

    @property
    def settings(self) -> HeldSettings:
        """The settings in force."""
        return self._attempts.settings

    @property
    def is_renewable(self) -> bool:
        """Whether credentials are configured: without them the token given in the settings is the only one."""
        return self._attempts.renewable

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
            fails = record.failures or self.unreadable is not None or self.waiting is not None
            return State.FAILING if fails else State.VALID
        return State.PENDING if record.lease is None else State.EXPIRED

    @property
    def note(self) -> str | None:
        """A lasting remark for the operator, or None."""
        if self.record.is_outdated:
            return OUTDATED
        if (login := self._attempts.login) is not None and (note := login.note) is not None:
            return note
        if self._attempts.renewable:
            remark = None if (lease := self.lease) is None else self.settings.remark_on(lease.token)
            return remark or (last_token_note(self.name) if self.holds_last_token else None)
        then = "it is served until it expires" if self.is_valid() else "a person must give another token"
        return f"cannot be renewed: no credentials are configured; {then}"

    @property
    def holds_last_token(self) -> bool:
        """Whether the token held is valid, and only a person brings the next one: its login has no refresh token."""
        return is_last_of_login(self.record, self.settings, self._clock.instant())

    def clock_warnings(self) -> tuple[StatusWarning, ...]:
        """Warn of an upstream's clock that is far from ours."""
        return self._attempts.clock_warnings()

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
        return self._store.unopened(self.name) or lacking(self._attempts.references, self._store)

    def blocked_seconds(self, now: Instant, *, on_demand: bool, alone: bool = False) -> float:
        """Compute the seconds during which nobody may make an attempt; ``alone``: but for others of the account."""
        account = None if alone else self._attempts.account
        return refresh_timing.blocked_seconds(
            self.record, self.settings, self._context.limits, now, on_demand=on_demand, account=account
        )

    # -------------------------------------------------------------- commands

    def reconfigure(self, settings: HeldSettings) -> None:
        """Apply new settings. The token stays until they have produced one, unless its account changed."""
        old, record = self.settings, self.record
        self._attempts.configure(settings)
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
        self._wake.set()

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
        if (exchange := self.exchange) is not None and exchange.file is not None:
            exchange.file.hasten()
        state = record.login.state.hastened(self._clock.instant())
        if record is not self.record or state is not record.login.state:
            self._store.show(self.name, replace(record, login=replace(record.login, state=state)))

    # -------------------------------------------------------------- logins

    @property
    def exchange(self) -> LoginExchange | None:
        """The exchanges of the provider's login; None for kinds that never use one."""
        return self._attempts.login

    @property
    def login_runtime(self) -> RememberingRuntime:
        """The runtime of exchanges under the settings in force, for kinds that may use a login."""
        return self._attempts.login_runtime

    async def accept_login(self, granted: Granted, *, another_account: bool) -> None:
        """Use the login that a person has begun, and its token. Returns when both are saved and shown."""
        if (why := self._store.unopened(self.name)) is not None:
            raise StoreError(f"{self.name}: {why}")
        if self._refuses_logins:
            raise StoreError(f"{self.name}: the configuration has changed: log in again")
        accepted = AcceptedLogin(granted, another_account)
        if self._loops:
            self._accepted.append(accepted)
            self._wake.set()
            await accepted.done.wait()
        if not accepted.done.is_set() or accepted.is_left:
            await self._attempts.accept(accepted)  # the daemon ends, and the loop has ended before
        if accepted.error is not None:
            raise accepted.error

    def refuse_logins(self) -> None:
        """Refuse the logins that wait for the loop, and later ones: it ends, and the daemon goes on."""
        self._refuses_logins = True
        while self._accepted:
            accepted = self._accepted.pop()
            accepted.error = StoreError(f"{self.name}: the configuration has changed: log in again")
            accepted.done.set()

    async def log_out(self) -> None:
        """Withdraw the token and set the login aside for good. A record that cannot be opened is dropped.

        Raises `StoreError` where a login file cannot be written.
        """
        await self._store.drop_unopened(self.name)
        now = self._clock.instant()

        def ended(record: Record) -> Record:
            return replace(record.without_token(), login=record.login.without_login(now, logged_out=True))

        async with AsyncExitStack() as stack:
            if (exchange := self.exchange) is not None:
                await stack.enter_async_context(exchange.barred())
            await self._rewrite(ended, withdraws=True)
        self._wake.set()

    async def drop_logged_out(self) -> None:
        """Drop the logins that persons have ended, and those of former clients. Raises `StoreError` as `log_out`."""

        def dropped(record: Record) -> Record:
            seen = record.seen
            if seen is not None:
                seen = replace(seen, own=seen.own.without_aside())
            return replace(record, login=record.login.without_aside(), seen=seen)

        await self._rewrite(dropped, withdraws=False)

    async def _rewrite(self, change: Callable[[Record], Record], *, withdraws: bool) -> None:
        if (exchange := self.exchange) is None:
            await self._store.update(self.name, change)
        else:
            await exchange.rewrite(change, withdraws=withdraws)

    def _want_attempt(self) -> None:
        self._wanted = True
        self._wake.set()

    def _reconcile_soon(self) -> None:
        self._unreconciled = True
        self._wake.set()

    # -------------------------------------------------------------- the task

    async def run(self) -> None:
        """Keep the token fresh until cancelled."""
        HEARTBEAT.set(self.heartbeat)
        self.heartbeat.works()
        self._loops = True
        try:
            if not self._begun:
                await self._wait_until_opened()
                await self._begin()
                self._begun = True
            while True:
                await self._rest()
                await self._attempt()
        finally:
            self._loops = False
            self._context.turns.leave(self.name)
            while self._accepted:
                accepted = self._accepted.pop()
                accepted.is_left = True
                accepted.done.set()

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
        if not self.is_valid() or not self._attempts.renewable:
            await self._attempts.use_initial_token()
        now, draw = self._clock.instant(), self._context.random.random()
        self._start_at = refresh_timing.start_at(self.settings, now, valid=self.is_valid(), draw=draw)

    async def _rest(self) -> None:
        """Return when an attempt is due."""
        while True:
            self.heartbeat.works()
            self._wake = Event()
            while self._accepted:
                self._wanted |= not await self._attempts.accept(self._accepted.pop(0))
            if self._unreconciled or self.record.login.has_over(self._clock.instant()):
                self._unreconciled = False
                await self._reconcile()
                self._note_first_reconciliation()
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
            self._wait_for_turn(now)
            if seconds is None or seconds > 0:
                self._slot = self._yields_until = None
            elif (seconds := self._seconds_until_turn(now) or self._seconds_until_slot(now)) <= 0:
                return
            expires = None if record.lease is None else record.lease.token.expires_at
            moments = [s for s in (seconds, None if expires is None else now.until(expires)) if s is not None and s > 0]
            until = now.after(min(moments)) if moments else None
            self.heartbeat.rests(None if until is None else until.boot)
            await self._clock.wait(until, self._wake, ends=expires)

    def _note_first_reconciliation(self) -> None:
        if not self.is_reconciled:
            self.is_reconciled = True
            record = self.record
            if record.rejected or record.requires_login or not self._attempts.renewable:
                self._store.touch(self.name)  # a single run looks again: there may be nothing to wait for

    def _seconds_until_due(self, now: Instant, *, alone: bool = False) -> float | None:
        """Compute the seconds until the next attempt; None if no timer makes one.

        ``alone``: as if no other provider used the account.
        """
        if self.holds_last_token:
            return None
        if self._wanted or (self._clock_absurd and is_plausible(now.wall)):
            return self.blocked_seconds(now, on_demand=True, alone=alone)
        wanted = refresh_timing.timer_seconds(
            self.record,
            now,
            start_at=self._start_at,
            renewable=self._attempts.renewable,
            stepped_back=self._stepped_back,
        )
        return None if wanted is None else max(wanted, self.blocked_seconds(now, on_demand=False, alone=alone))

    def _note_waiting(self, detail: str | None) -> None:
        """Note why the attempt that is due is not made, and answer the readers that wait for it. None: it is made."""
        if detail is None or self.waiting is None or self.waiting.detail != detail:
            before = self.waiting
            self.waiting = None if detail is None else Failure(WaitingError.reason, detail, self._clock.instant().wall)
            if self.waiting != before:
                self._store.touch(self.name)
        if detail is not None:
            self._answer(WaitingError(detail))

    def _wait_for_turn(self, now: Instant) -> None:
        """Note when this provider is due, for the others of its account."""
        account, record = self._attempts.account, self.record
        seconds = None if self.waiting is not None else self._seconds_until_due(now, alone=True)
        if account is not None and seconds is not None:
            ends = None if record.lease is None else record.lease.token.expires_at
            urgency = Urgency.of(ends, record.last_attempt, holds=record.lease is not None)
            self._context.turns.wait(account, self.name, due=now.after(seconds), urgency=urgency)
        else:
            self._context.turns.leave(self.name)

    def _seconds_until_turn(self, now: Instant) -> float:
        """Compute how long an attempt that is due lets a more urgent one of the account go first."""
        if self._context.turns.is_first(self.name, now):
            return 0.0
        self._yields_until = self._yields_until or now.after(LONGEST_YIELD_SECONDS)
        return max(0.0, now.until(self._yields_until))

    def _seconds_until_slot(self, now: Instant) -> float:
        """Compute how long an attempt that is due waits for its slot: 0 for local kinds, and while a reader waits."""
        if self.settings.local or self._result is not None:
            return 0.0
        self._slot = self._slot or self._context.request_rate.next_slot(now)
        return now.until(self._slot)

    async def _attempt(self) -> None:
        """Make one attempt. A failure is stored and logged already; waiting readers get it as their result."""
        self.heartbeat.works()
        self._in_flight, self._wanted, self._slot, self._yields_until = True, False, None, None
        self._context.turns.leave(self.name)
        started = self._clock.instant()
        self._block_account(started)
        self._clock_absurd = not is_plausible(started.wall)
        self._stepped_back = refresh_timing.stepped_back(self.record, started, before=self._stepped_back)
        failure: AttemptError | None = TransientError("the attempt was broken off")
        try:
            await self._attempts.attempt()
            failure = None
            self._secrets_were_read()
        except AttemptError as error:
            failure = error
        finally:
            self._block_account(self._clock.instant())
            self._in_flight = False
            self._answer(failure)

    def _answer(self, failure: AttemptError | None) -> None:
        """Give the readers that wait for an attempt its result."""
        result, self._result = self._result, None
        if result is not None:
            result.error = failure
            result.done.set()

    def _block_account(self, last: Instant | None) -> None:
        """Let the account's other providers wait for the minimum interval after a request at ``last``."""
        if last is not None:
            self._context.limits.block(self._attempts.account, last.after(self.settings.request_interval_seconds))

    def _secrets_were_read(self) -> None:
        self._was_readable = True
        if self.unreadable is not None:
            self.unreadable = None
            self._store.touch(self.name)

    async def _reconcile(self) -> None:
        """Reconcile the record with settings and secrets: withdraw, make an attempt, or leave `Rejected`."""
        is_first = not self._was_readable
        try:
            async with self._context.reconciling:
                identity = await self._attempts.identify()
        except SecretError as error:
            identity = None
            if not self._was_readable and not isinstance(error, WaitingError):
                self.unreadable = Failure(error.reason, error.detail, self._clock.instant().wall)
                self._store.touch(self.name)
        else:
            self._secrets_were_read()
        await self._reconcile_logins()
        settings, before = self.settings, self.record
        request = request_fingerprint(settings, self._store.state.digest)
        connection = connection_fingerprint(settings, self._store.state.digest)

        def reconciled(record: Record) -> tuple[Record, bool]:
            return reconcile(record, settings, request=request, connection=connection, identity=identity)

        after, wanted = reconciled(before)
        if after != before:
            await self._store.update(self.name, lambda record: reconciled(record)[0])
        if before.lease is not None and after.lease is None:
            log.info(
                "token.withdrawn", token=self.name, detail="the account changed: the token held is the old account's"
            )
        if not self._attempts.renewable:
            if not is_first:
                await self._attempts.use_initial_token()  # the settings may bring another one now
            wanted = wanted and not self.is_valid()
        self._wanted |= wanted

    async def _reconcile_logins(self) -> None:
        """Use the login of the settings' client, or begin one with another initial refresh token."""
        if (exchange := self.exchange) is not None and exchange.file is not None:
            self._wanted |= await self._attempts.follow_login_file()
            return
        if self.record.seen is not None:  # the login is kept here again, from nothing
            await self._store.update(self.name, lambda record: replace(record, login=record.own_login, seen=None))
        if self._attempts.login is None and self.record.login == NO_LOGINS:
            return
        client, initial = self._attempts.login_client, await self._attempts.initial_refresh_token()
        now, before = self._clock.instant(), self.record.login
        after = reconcile_logins(before, client, initial, now)
        if after == before:
            return
        begins = after.login != before.login and after.login is not None and not after.state.is_required

        def changed(record: Record) -> Record:
            record = replace(record, login=reconcile_logins(record.login, client, initial, now))
            return resumed(record, record.attempts.failures.refusals) if begins and not record.rejected else record

        await self._store.update(self.name, changed)
        self._wanted |= begins
