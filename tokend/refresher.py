"""One held token: rest until it is due, make one attempt, store the result, judge the failure. The only retry loop
for held tokens; sinks retry in `publisher`, on-demand calls in `issuance`.

Providers make single attempts and raise errors whose class says what happens next; everything about *when* stands
here and in `schedule`. Time comes from the `Clock`, nothing else does.
"""

from dataclasses import dataclass, field, replace

import anyio

from tokend import schedule
from tokend.clock import is_plausible
from tokend.errors import AttemptError, ClockError, RateLimitedError, SecretError, TransientError
from tokend.identity import Identity, identify, request_fingerprint
from tokend.instant import Instant
from tokend.interfaces import Inheriting, Provider
from tokend.judgement import MOST_VERDICTS, judge
from tokend.logs import get_logger
from tokend.records import Record
from tokend.settings import HeldSettings
from tokend.status import Failure, State
from tokend.surroundings import Surroundings
from tokend.tokens import Lease, Token

# A repeated failure of one class is logged at most this often.
LOG_SECONDS = 60.0
# Daemons that start together on many machines must not log in together. Only where nothing valid is held.
START_SPREAD_SECONDS = 3.0

log = get_logger()


@dataclass(slots=True)
class Outcome:
    """What one attempt came to, for everybody who waits for it."""

    done: anyio.Event = field(default_factory=anyio.Event)
    error: AttemptError | None = None


class Refresher:
    """Keep one provider's token fresh. `run` is its task; every other method may be called from other tasks."""

    def __init__(self, name: str, settings: HeldSettings, surroundings: Surroundings) -> None:
        self.name = name
        self.settings = settings
        self._world = surroundings
        self._clock = surroundings.clock
        self._store = surroundings.store
        self._runtime = surroundings.runtime(settings)
        self._outcome = Outcome()
        self._wake = anyio.Event()
        self._in_flight = False
        self._look_again = True  # identity must be compared with the record
        self._hurried = False  # somebody, or new settings, want an attempt as soon as the floor allows
        self._start_at: Instant | None = None
        self._expiry_noticed: int | None = None
        self._logged: tuple[str, float] | None = None

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
        record, valid = self.record, self.is_valid()
        if record.rejected is not None:
            return State.REJECTED
        if valid:
            return State.FAILING if record.failures else State.VALID
        return State.PENDING if record.lease is None else State.EXPIRED

    @property
    def note(self) -> str | None:
        """A standing remark for the operator, or None."""
        if self._can_renew():
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

    # -------------------------------------------------------------- what others ask for

    def reconfigure(self, settings: HeldSettings) -> None:
        """Go on under new settings. The token stays until they have produced one, unless its account changed."""
        self.settings = settings
        self._runtime = self._world.runtime(settings)
        self._look()

    def secrets_changed(self) -> None:
        """A secret's content may have changed: mint anew (local kinds), or leave `rejected`."""
        self._look()

    async def forget(self) -> None:
        """Drop the token: out of memory and state now, out of the files by the publishers; then log in anew."""
        await self._store.put(self.name, replace(self.record, lease=None, withdrawn=True))
        self._hurried = True
        self._wake.set()

    def ask(self, *, despite_rejection: bool) -> Outcome:
        """Have an attempt made as soon as the floor allows, or join the one under way; returns what to wait for."""
        if not self.is_busy:
            if despite_rejection and self.record.rejected is not None:
                # One verdict counts still: if it is confirmed, the provider is rejected again after one request.
                self._store.show(self.name, replace(self.record, rejected=None, verdicts=MOST_VERDICTS - 1))
            self._hurried = True
            self._wake.set()
        return self._outcome

    # -------------------------------------------------------------- the loop

    async def run(self) -> None:
        """Keep the token fresh until cancelled."""
        if self._start_at is None:
            await self._inherit()
            self._start_at = self._spread_start()
        while True:
            await self._rest()
            await self._attempt()

    async def _rest(self) -> None:
        """Return when an attempt is due."""
        while True:
            self._wake = anyio.Event()
            if self._look_again:
                self._look_again = False
                await self._compare_identity()
            now = self._clock.instant()
            self._notice_expiry(now)
            seconds = self._seconds_until_due(now)
            if seconds is not None and seconds <= 0:
                return
            moments = [s for s in (seconds, self._seconds_until_expiry(now)) if s is not None and s > 0]
            await self._clock.wait(now.after(min(moments)) if moments else None, self._wake)

    def _seconds_until_due(self, now: Instant) -> float | None:
        """Seconds until the next attempt; None if no timer causes one."""
        record, lease = self.record, self.record.lease
        if self._hurried:
            wanted = 0.0
        elif record.rejected is not None or (record.lease is not None and not self._can_renew()):
            return None
        elif record.next_attempt is not None:
            wanted = now.until(record.next_attempt)
        elif lease is None or not lease.token.is_valid(now):
            wanted = now.until(self._start_at) if self._start_at is not None else 0.0
        elif lease.refresh_at is None:
            return None
        else:
            # Either line may call: a wall clock that jumped ahead causes one request too many, never one too few.
            wanted = min(now.until(lease.refresh_at), (lease.refresh_at.wall - now.wall).total_seconds())
        return max(wanted, self.floor_seconds(now, on_demand=self._hurried))

    def floor_seconds(self, now: Instant, *, on_demand: bool) -> float:
        """Seconds during which no attempt may be made, whoever wants it; after a failure or on demand at least 5 s."""
        if self.settings.local:
            return 0.0
        record = self.record
        floor = self._world.limits.seconds(self.settings.upstream, now)
        if record.last_attempt is not None:
            pause = self.settings.request_interval_seconds
            if on_demand or record.next_attempt is not None:
                pause = max(pause, schedule.FLOOR_SECONDS)
            # A boot clock that was laid anew could put the last attempt into the future: one pause at most.
            floor = max(floor, min(pause, now.until(record.last_attempt) + pause))
        return floor

    def _seconds_until_expiry(self, now: Instant) -> float | None:
        lease = self.record.lease
        return None if lease is None or lease.token.expires_at is None else now.until(lease.token.expires_at)

    def _notice_expiry(self, now: Instant) -> None:
        """Wake the publishers when a token has run out unreplaced."""
        lease = self.record.lease
        if lease is None or lease.token.is_valid(now) or self._expiry_noticed == lease.generation:
            return
        self._expiry_noticed = lease.generation
        log.warning("token.expired", token=self.name, generation=lease.generation)
        self._store.touch(self.name)

    # -------------------------------------------------------------- one attempt

    async def _attempt(self) -> None:
        """Make one attempt and store what came of it. Everything that can go wrong upstream ends here."""
        self._in_flight, self._hurried = True, False
        outcome, started = self._outcome, self._clock.instant()
        identity: Identity | None = None
        try:
            if not is_plausible(started.wall):
                raise ClockError(f"this machine's clock says {started.wall:%Y-%m-%d}: set it (NTP), then it goes on")
            settings, runtime = self.settings, self._runtime
            identity = await identify(settings, runtime, self._store.state.digest)
            if not settings.local:
                # Before the request: a crash after it must not forget that it was made.
                await self._store.put(self.name, replace(self.record, last_attempt=started))
            token = await _as_provider(settings).fetch(runtime, self._previous(identity, started))
            await self._succeeded(token, identity)
        except AttemptError as error:
            outcome.error = error
            await self._failed(error, identity)
        finally:
            self._in_flight = False
            self._outcome = Outcome()
            outcome.done.set()

    def _previous(self, identity: Identity, now: Instant) -> Token | None:
        record = self.record
        if record.lease is None or record.account != identity.account or not record.lease.token.is_valid(now):
            return None
        return record.lease.token

    async def _succeeded(self, token: Token, identity: Identity) -> None:
        now, record = self._clock.instant(), self.record
        if not token.is_valid(now):
            raise TransientError("the token had expired when it arrived (was this machine suspended?)")
        lease = record.lease
        same = lease is not None and lease.token.value == token.value and record.account == identity.account
        if lease is not None and same:
            left = self._seconds_until_expiry(now)
            lease = replace(
                lease, refresh_at=None if left is None else now.after(max(left / 2, schedule.FLOOR_SECONDS))
            )
        else:
            lease = self._new_lease(token, record, now)
        await self._store.put(
            self.name,
            replace(
                record,
                lease=lease,
                account=identity.account,
                request=identity.request,
                generation=lease.generation,
                next_attempt=None,
                failures=0,
                verdicts=0,
                rejected=None,
                withdrawn=False,
                last_error=None,
            ),
        )
        self._logged = None
        self._world.counters.refreshed(self.name, "unchanged" if same else "success")
        self._world.counters.took(self.name, token.issued_at.until(now))
        expires = None if token.expires_at is None else token.expires_at.wall.isoformat(timespec="seconds")
        event = "token.unchanged" if same else "token.refreshed"
        log.info(event, token=self.name, generation=lease.generation, expires_at=expires, fingerprint=lease.fingerprint)

    def _new_lease(self, token: Token, record: Record, now: Instant) -> Lease:
        settings = self.settings
        return Lease(
            name=self.name,
            token=token,
            # Unix seconds keep generations unique even where the state was lost.
            generation=max(record.generation + 1, int(now.wall.timestamp())),
            refresh_at=schedule.refresh_moment(
                token,
                lead=settings.refresh_before,
                minimum_lead_seconds=settings.minimum_lead_seconds,
                jitter=self._world.random.random(),
            ),
            fingerprint=self._store.state.fingerprint(token.value.reveal_bytes()),
        )

    async def _failed(self, error: AttemptError, identity: Identity | None) -> None:
        now = self._clock.instant()
        judgement = judge(
            error,
            self.record,
            now=now,
            interval_seconds=self.settings.request_interval_seconds,
            secrets=None if identity is None else identity.secrets,
            draw=self._world.random.random(),
        )
        if isinstance(error, RateLimitedError) and judgement.pause_seconds is not None:
            self._world.limits.block(self.settings.upstream, now.after(judgement.pause_seconds))
        await self._store.put(self.name, judgement.record)
        await self._withdraw_foreign(identity)
        self._world.counters.failed(self.name, error.reason)
        self._log_failure(error, now, pause=judgement.pause_seconds)

    def _log_failure(self, error: AttemptError, now: Instant, *, pause: float | None) -> None:
        """Log a failure when its class changes, then at most once a minute."""
        if self._logged is not None and self._logged[0] == error.reason and now.boot - self._logged[1] < LOG_SECONDS:
            return
        self._logged = (error.reason, now.boot)
        event = "token.rejected" if pause is None else "token.refresh_failed"
        advice = "mend the credentials, or run: tokend refresh " + self.name if pause is None else None
        wait = None if pause is None else f"{pause:.1f}s"
        log.warning(
            event, token=self.name, reason=error.reason, detail=error.detail, next_attempt_in=wait, advice=advice
        )

    # -------------------------------------------------------------- identity

    def _look(self) -> None:
        self._look_again = True
        self._wake.set()

    async def _compare_identity(self) -> None:
        """Hold the settings against what the record was made with: withdraw, ask anew, or leave `rejected`."""
        record, settings = self.record, self.settings
        digest = self._store.state.digest
        asked_otherwise = record.request is not None and record.request != request_fingerprint(settings, digest)
        try:
            identity = await identify(settings, self._runtime, digest)
        except SecretError as error:
            # Nothing can be said of the account; the attempt will report it. Unless the places changed, it is the same.
            self._hurried |= asked_otherwise or record.lease is None
            if asked_otherwise:
                await self._note_unreadable(error)
            return
        if record.rejected is not None and record.rejected != identity.secrets:
            record = replace(record, rejected=None, verdicts=0, next_attempt=None)
            self._hurried = True
        foreign = record.lease is not None and record.account != identity.account
        if foreign and not settings.local:
            log.info("token.withdrawn", token=self.name, detail="the account changed: the old token is not its")
            record = replace(record, lease=None, withdrawn=True, next_attempt=None)
        if record.last_error is not None and record.last_error.reason == SecretError.reason:
            self._hurried = True  # it can be read now
        if asked_otherwise or foreign:
            record = replace(record, next_attempt=None, verdicts=0)
            self._hurried = True
        if record != self.record:
            await self._store.put(self.name, record)

    async def _note_unreadable(self, error: SecretError) -> None:
        failure = Failure(error.reason, error.detail, self._clock.instant().wall)
        await self._store.put(self.name, replace(self.record, last_error=failure))

    async def _withdraw_foreign(self, identity: Identity | None) -> None:
        """Local kinds mint before they withdraw, so that no reader sees a gap; when minting fails, the gap is due."""
        record = self.record
        if identity is not None and record.lease is not None and record.account != identity.account:
            await self._store.put(self.name, replace(record, lease=None, withdrawn=True))

    # -------------------------------------------------------------- small parts

    async def _inherit(self) -> None:
        """Begin with the token that the settings bring, where nothing valid is held."""
        settings = self.settings
        if not isinstance(settings, Inheriting) or self.is_valid():
            return
        try:
            identity = await identify(settings, self._runtime, self._store.state.digest)
            token = await settings.initial(self._runtime)
            if token is not None:
                await self._succeeded(token, identity)
        except AttemptError as error:
            log.warning("token.not_inherited", token=self.name, reason=error.reason, detail=error.detail)

    def _can_renew(self) -> bool:
        return not isinstance(self.settings, Inheriting) or self.settings.can_renew

    def _spread_start(self) -> Instant:
        now = self._clock.instant()
        host = self.settings.upstream
        if self.settings.local or host is None or _is_loopback(host) or self.is_valid():
            return now
        return now.after(self._world.random.random() * START_SPREAD_SECONDS)


def _as_provider(settings: HeldSettings) -> Provider:
    if not isinstance(settings, Provider):
        raise TypeError(f"kind {settings.kind} is no Provider")
    return settings


def _is_loopback(host: str) -> bool:
    """A loopback upstream belongs to this machine alone: there is no fleet to spread."""
    return host.startswith(("127.", "localhost", "[::1]", "::1"))
