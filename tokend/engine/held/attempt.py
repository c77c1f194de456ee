"""One provider's attempts to get a newer token: make one, store its result, count it, log it.

`policy.failure` and `policy.success` compute what a result means; `refresher` decides when the next attempt is made.
"""

from dataclasses import dataclass, field, replace
from typing import cast

from tokend.engine.context.context import Context
from tokend.engine.context.references import referenced
from tokend.engine.held.login_exchange import Change, LoginExchange, login_command
from tokend.engine.held.remembering_runtime import RecordRuntime
from tokend.engine.policy.backoff import MINIMUM_INTERVAL_SECONDS
from tokend.engine.policy.clock_difference import clock_warnings
from tokend.engine.policy.failure import after_failure
from tokend.engine.policy.login_change import InitialToken
from tokend.engine.policy.settings_change import is_foreign
from tokend.engine.policy.success import NewToken, after_success, with_new_token
from tokend.engine.records.fingerprints import Identity, connection_fingerprint, identify, rate_limited_account
from tokend.engine.records.record import Record
from tokend.machine.clock import is_plausible
from tokend.machine.event import Event
from tokend.machine.logs import get_logger
from tokend.plugin.kind_bugs import bug_in, exits_refused
from tokend.plugin.login import RememberingRuntime, WithLogin, may_use_login, uses_login
from tokend.plugin.provider import Provider, Runtime, takes_initial_token
from tokend.plugin.settings import HeldSettings
from tokend.plugin.token_check import check_token
from tokend.values.errors import (
    AttemptError,
    ClockError,
    RateLimitedError,
    SameAsForgottenError,
    SecretError,
    StoreError,
    TransientError,
    UnsafePathError,
)
from tokend.values.instant import Instant
from tokend.values.logins import Granted, LoginClient
from tokend.values.status import StatusWarning
from tokend.values.tokens import Token

# A repeated failure of one class is logged at most this often.
LOG_SECONDS = 60.0
# A kind that signs here makes the same token twice in one second.
MOST_MINTED = 3
# Of the digest of an initial refresh token.
INITIAL = "initial refresh token"
FORGOTTEN = "it is the token that was forgotten: not published again; the upstream must end it and give another one"

log = get_logger()


@dataclass(slots=True)
class AttemptResult:
    """The result of one attempt, for all its waiters."""

    done: Event = field(default_factory=Event)
    error: AttemptError | None = None


@dataclass(slots=True)
class AcceptedLogin:
    """A login that a person has begun, for the loop to save; ``error`` is why it was not.

    ``another_account``: the token held is the account's before. ``is_left``: the loop has ended before it saved it.
    """

    granted: Granted
    another_account: bool
    done: Event = field(default_factory=Event)
    error: StoreError | None = None
    is_left: bool = False


class AttemptRunner:
    """Make one provider's attempts under its current settings."""

    __slots__ = (
        "_clock",
        "_connection",
        "_context",
        "_digest",
        "_logged",
        "_name",
        "_runtime",
        "_store",
        "account",
        "login",
        "references",
        "renewable",
        "settings",
    )

    def __init__(self, name: str, settings: HeldSettings, context: Context) -> None:
        self._name = name
        self._context = context
        self._clock = context.clock
        self._store = context.store
        self._digest = context.store.state.digest
        self._logged: tuple[str, float] | None = None
        # The exchanges of the login, for kinds that may use one.
        self.login: LoginExchange | None = None
        self.configure(settings)

    def configure(self, settings: HeldSettings) -> None:
        """Make the next attempts under ``settings``."""
        self.settings = settings
        # Kept: it is read whenever the refresher computes its next attempt, and a protocol check is slow.
        self.renewable = not takes_initial_token(settings) or settings.can_renew
        self._runtime: Runtime = self._context.runtime(settings)
        if may_use_login(settings) or settings.keeps_documents:
            self._runtime = RecordRuntime(self._runtime, self._name, self._store)
        if may_use_login(settings):
            self.login = self.login or LoginExchange(self._name, self._context)
            self.login.keep_in(settings)
        # The other providers whose tokens each attempt needs.
        self.references = referenced(settings)
        self._connection = connection_fingerprint(settings, self._digest)
        # The account whose requests the vendor counts, or None.
        self.account = rate_limited_account(settings, self._digest)

    def clock_warnings(self) -> tuple[StatusWarning, ...]:
        """Warn of an upstream's clock that is far from ours, as far as a reply has shown it."""
        now = self._clock.instant()
        return clock_warnings(self.settings.upstream, self._runtime.upstream_now(), now)

    async def identify(self) -> Identity:
        """Fingerprint whose token the next one will be. Raises `SecretError`."""
        return await self._identify(self.settings, self._runtime)

    @property
    def login_client(self) -> LoginClient | None:
        """The client of the settings' login; None where they use none."""
        settings = self.settings
        return settings.login_client if self.login is not None and uses_login(settings) else None

    async def initial_refresh_token(self) -> InitialToken | None:
        """Read the configured refresh token. None where there is none, or where it cannot be read."""
        settings = self.settings
        if self.login is None or not uses_login(settings):
            return None
        try:
            with exits_refused():
                token = await settings.initial_refresh_token(self._runtime)
        except SecretError as error:
            if self._store.get(self._name).login.login is None:
                log.warning("login.not_begun", token=self._name, reason=error.reason, detail=error.detail)
            return None
        if not token:
            return None
        return InitialToken(token, self._store.state.digest_for(INITIAL, token.reveal_bytes()))

    async def _identify(self, settings: HeldSettings, runtime: Runtime) -> Identity:
        if (unsafe := self._context.unsafe.get(self._name)) is not None:
            raise UnsafePathError(unsafe.detail)
        identity = await identify(settings, runtime, self._digest, lambda name: self._store.get(name).account)
        if settings is self.settings and settings.interval_is_per_account and self.account != identity.account:
            # One account may be named in two ways, by an environment variable here and a file there.
            limits, now = self._context.limits, self._clock.instant()
            limits.block(identity.account, now.after(limits.seconds(self.account, now)))
            self.account = identity.account
        return identity

    async def attempt(self) -> None:
        """Make one attempt. Raises the `AttemptError` of a failure, after it was stored, counted and logged."""
        identity: Identity | None = None
        started, settings, runtime = self._clock.instant(), self.settings, self._runtime
        requests_before, warned = runtime.requests, bool(self.clock_warnings())
        try:
            identity = await self._identify(settings, runtime)
            _require_plausible(started)
            await self._note_request(identity.request)
            await self._wait_for_account(started)
            self._refuse_paused(settings)
            before = self._store.get(self._name).generation
            if self.login is not None and uses_login(settings):
                token, record = await self._refresh_login(self.login, settings, runtime, identity)
            else:
                token = await self._fetch(settings, runtime, self._previous(identity, started))
                await self._refuse_stale(settings, identity)
                record = await self._store.update(self._name, self._use(token, identity))
            self._succeeded(token, record, before=before, started=started)
        except AttemptError as error:
            await self._failed(error, identity, settings, cost=runtime.requests - requests_before)
            raise
        except Exception:
            # The worker group logs it and restarts the worker; a bug has a backoff like any other failure.
            bug = AttemptError(f"{bug_in(settings)}; the log has its traceback")
            await self._failed(bug, identity, settings, cost=runtime.requests - requests_before)
            raise
        finally:
            if not warned:
                for warning in self.clock_warnings():
                    log.warning("clock.differs", token=self._name, detail=warning.message)

    async def use_initial_token(self) -> None:
        """Hold the token that the settings bring, if there is one. It proves nothing about the credentials."""
        settings = self.settings
        if not takes_initial_token(settings):
            return
        try:
            with exits_refused():
                account, token = (await self.identify()).account, await settings.initial(self._runtime)
            if token is not None:
                check_token(token)
        except AttemptError as error:
            log.warning("token.not_inherited", token=self._name, reason=error.reason, detail=error.detail)
            return
        if token is not None and self._is_forgotten(token):
            log.warning("token.not_inherited", token=self._name, reason=SameAsForgottenError.reason, detail=FORGOTTEN)
            return
        held = self._store.get(self._name).lease
        # A token that expired here does not start a second life because it is still in the settings.
        if token is not None and (held is None or held.token.value != token.value):
            new = self._new(token, self._clock.instant())
            await self._store.update(self._name, lambda record: self._with_initial_token(record, new, account))
            log.info("token.inherited", token=self._name)

    def _with_initial_token(self, record: Record, new: NewToken, account: str) -> Record:
        """Compute the record with the token of the settings. Where it is all there is, it ends a failure."""
        record = replace(with_new_token(record, new, self.settings), account=account)
        return record if self.renewable else replace(record, attempts=record.attempts.succeeded(record.last_attempt))

    # -------------------------------------------------------------- around the request

    async def _note_request(self, request: str) -> None:
        """Save that a request is being made, before it is sent: neither a crash nor a reload must forget it.

        Until a success is known it counts as a failure: where its result is never known, it stays one.
        """
        if not self.settings.local:
            now = self._clock.instant()
            upcoming = now.after(max(MINIMUM_INTERVAL_SECONDS, self.settings.request_interval_seconds))
            await self._store.update(
                self._name,
                lambda record: replace(
                    record, attempts=record.attempts.noted(now, upcoming), request=request, connection=self._connection
                ),
            )

    async def _wait_for_account(self, started: Instant) -> None:
        """Let the account's minimum interval count from now: noting the request took time.

        Another provider of the account that began before may have sent its request meanwhile.
        """
        limits, interval = self._context.limits, self.settings.request_interval_seconds
        mine, now = started.after(interval), self._clock.instant()
        while (left := limits.seconds(self.account, now)) > max(0.0, now.until(mine)):
            await self._clock.sleep(left)
            now = self._clock.instant()
        limits.block(self.account, now.after(interval))

    def _refuse_paused(self, settings: HeldSettings) -> None:
        """Send nothing where the host has asked another provider for a pause since this attempt began."""
        if (pause := self._context.limits.seconds(settings.upstream, self._clock.instant())) > 0:
            raise RateLimitedError("the upstream has just asked another provider for a pause", retry_after=pause)

    async def _fetch(self, settings: HeldSettings, runtime: Runtime, previous: Token | None) -> Token:
        """Get a token. Raises `SameAsForgottenError` for one that was forgotten."""
        for _ in range(MOST_MINTED if settings.signs_here else 1):
            with exits_refused():
                token = await _as_provider(settings).fetch(runtime, previous)
            check_token(token)
            if not self._is_forgotten(token):
                return token
            if settings.signs_here:
                # Times in a token are whole seconds: the next one makes another token of the same claims.
                now = self._clock.instant().wall
                await self._clock.sleep(1.0 - now.microsecond / 1e6)
        raise SameAsForgottenError(FORGOTTEN)

    def _is_forgotten(self, token: Token) -> bool:
        """Return whether the token was forgotten. A token that this name holds is not published again by being kept."""
        held = self._store.get(self._name).lease
        if held is not None and held.token.value == token.value:
            return False
        return self._store.is_forgotten(self._store.state.fingerprint(token.value.reveal_bytes()))

    def _previous(self, identity: Identity, now: Instant) -> Token | None:
        record = self._store.get(self._name)
        if record.lease is None or is_foreign(record, identity.account) or not record.lease.token.is_valid(now):
            return None
        return record.lease.token

    async def _refuse_stale(self, settings: HeldSettings, identity: Identity) -> None:
        """Drop a token of an account that a reload has replaced meanwhile."""
        if settings is not self.settings and (await self.identify()).account != identity.account:
            raise TransientError("the account was changed while its token was asked for: dropped")

    # -------------------------------------------------------------- success

    async def _refresh_login(
        self, login: LoginExchange, settings: WithLogin, runtime: Runtime, identity: Identity
    ) -> tuple[Token, Record]:
        """Get a token by a refresh of the login, and save both; the login also where its token cannot be used."""
        arrived: list[Token] = []

        async def use(granted: Granted) -> Change:
            token = _usable(granted)
            await self._refuse_stale(cast(HeldSettings, settings), identity)
            arrived.append(token)
            return self._use(token, identity)

        initial = None if login.file is None else await self.initial_refresh_token()
        record = await login.exchange(settings, cast(RememberingRuntime, runtime), use, initial=initial)
        return arrived[0], record

    async def follow_login_file(self) -> bool:
        """Show what the login file says by now, and use the token that another daemon has got, without a request.

        Returns whether an attempt is wanted: there is a login, and no valid token of it.
        """
        login, before, started = self.login, self._store.get(self._name), self._clock.instant()
        assert login is not None  # noqa: S101  # the caller has looked
        assert login.file is not None  # noqa: S101
        had_trouble, initial = login.file.trouble is not None, await self.initial_refresh_token()
        try:
            after = await login.file.read(initial)
        except StoreError:
            return False  # noted; the attempt says so, too
        if (token := login.file.newer_token()) is not None:
            try:
                change = self._use(token, await self.identify())
                after = await self._store.update(self._name, change)
            except AttemptError as error:
                log.warning("login.not_adopted", token=self._name, reason=error.reason, detail=error.detail)
                return False
            self._logged = None
            log.info("login.adopted", token=self._name, generation=after.generation)
            return False
        if after.login.login is None or after.requires_login:
            return False
        is_new = had_trouble or after.login.login != before.login.login
        is_first = initial is not None and after.login.login.origin is None and is_new
        lease = after.lease
        return is_first or (is_new and (lease is None or not lease.token.is_valid(started)))

    @property
    def login_runtime(self) -> RememberingRuntime:
        """The runtime of exchanges under the settings in force, for kinds that may use a login."""
        return cast(RememberingRuntime, self._runtime)

    async def accept(self, accepted: AcceptedLogin) -> bool:
        """Save and publish a login that a person has begun, with its token; the login also without it.

        Returns whether there is a token.
        """
        settings, started = self.settings, self._clock.instant()
        before = self._store.get(self._name).generation
        arrived: list[Token] = []

        async def use(granted: Granted) -> Change:
            token = _usable(granted)
            arrived.append(token)
            return self._use(token, await self.identify())

        try:
            if self.login is None or not uses_login(settings):
                accepted.error = StoreError(f"{self._name}: its settings use no login any more")
                return True
            initial = await self.initial_refresh_token()
            if accepted.another_account:
                await self._store.update(self._name, Record.without_token)
            another = accepted.another_account
            record = await self.login.accept(
                accepted.granted, settings.login_client, initial, use, another_account=another
            )
            self._succeeded(arrived[0], record, before=before, started=started)
        except StoreError as error:
            accepted.error = error  # of a login file: nothing was kept
            return True
        except AttemptError as error:
            log.warning("login.without_token", token=self._name, reason=error.reason, detail=error.detail)
            return False
        except Exception:
            accepted.error = StoreError(f"{bug_in(settings)}; the log has its traceback")
            raise
        except BaseException:  # the loop ends before anything was saved
            accepted.is_left = True
            raise
        else:
            return True
        finally:
            accepted.done.set()

    def _use(self, token: Token, identity: Identity) -> Change:
        """Return the change that brings a new token. Raises `TransientError` for one that has ended."""
        now = self._clock.instant()
        if not token.is_valid(now):
            raise TransientError("the token had expired when it arrived (was this machine suspended?)")
        new = self._new(token, now)

        def succeeded(record: Record) -> Record:
            if self._is_forgotten(token):
                raise SameAsForgottenError(FORGOTTEN)  # it was forgotten while it was on its way
            return after_success(record, new, self.settings, identity)

        return succeeded

    def _succeeded(self, token: Token, record: Record, *, before: int, started: Instant) -> None:
        """Count and log the token that was stored; ``before`` is the generation before it."""
        self._logged = None
        event = "token.refreshed" if record.generation != before else "token.unchanged"
        if event == "token.unchanged" and token.is_extended:
            event = "token.extended"
        self._context.counters.refreshed(self._name, "unchanged" if event == "token.unchanged" else "success")
        self._context.counters.took(self._name, started.until(self._clock.instant()))
        log.info(
            event,
            token=self._name,
            generation=record.generation,
            expires_at=None if token.expires_at is None else token.expires_at.wall.isoformat(timespec="seconds"),
            fingerprint=self._store.state.fingerprint(token.value.reveal_bytes()),
        )

    def _new(self, token: Token, now: Instant) -> NewToken:
        fingerprint = self._store.state.fingerprint(token.value.reveal_bytes())
        return NewToken(self._name, token, fingerprint, now, jitter=self._context.random.random())

    # -------------------------------------------------------------- failure

    async def _failed(
        self, error: AttemptError, identity: Identity | None, settings: HeldSettings, *, cost: int
    ) -> None:
        """Store, count and log a failed attempt under ``settings``, which a reload may have replaced by now.

        ``identity`` is None where a secret could not be read and nothing was sent; ``cost`` is the number of requests.
        """
        now, draw = self._clock.instant(), self._context.random.random()
        is_soon = self.login is not None and self.login.take_doubt()

        def failed(record: Record) -> Record:
            after = after_failure(
                record,
                error,
                now=now,
                interval_seconds=self.settings.request_interval_seconds,
                secrets=None if identity is None else identity.secrets,
                draw=draw,
                cost=max(cost, 1),
                host=settings.upstream,
                is_soon=is_soon,
            )
            if after.host_pause is not None:
                # Before it is saved: another provider of the host may be about to send a request.
                self._context.limits.block(after.host_pause.host, after.host_pause.until, by=self._name)
            if identity is not None and is_foreign(after, identity.account):
                # Local kinds mint before they withdraw; minting failed, so the old token goes now.
                after = after.without_token()
            return after

        record = await self._store.update(self._name, failed)
        self._context.counters.failed(self._name, error.reason)
        self._log_failure(error, now, record)

    def _log_failure(self, error: AttemptError, now: Instant, record: Record) -> None:
        """Log a failure when its class changes, then at most once a minute."""
        if self._logged is not None and self._logged[0] == error.reason and now.boot - self._logged[1] < LOG_SECONDS:
            return
        self._logged = (error.reason, now.boot)
        # No timer makes an attempt where a person has to log in.
        upcoming = None if record.requires_login else record.next_attempt
        log.warning(
            "token.rejected" if record.rejected else "token.refresh_failed",
            token=self._name,
            reason=error.reason,
            detail=error.detail,
            next_attempt_in=None if upcoming is None else f"{now.until(upcoming):.1f}s",
            advice=_advice(self._name, record),
        )


def _usable(granted: Granted) -> Token:
    """Return the token of an answer that grants. Raises `AttemptError` where there is none that can be used."""
    if granted.token is None:
        raise granted.fault or TransientError("the answer has no token")
    check_token(granted.token)
    return granted.token


def _require_plausible(now: Instant) -> None:
    """Send nothing and sign nothing by a clock that cannot be believed."""
    if not is_plausible(now.wall):
        raise ClockError(f"this machine's clock says {now.wall:%Y-%m-%d}: set it (NTP), then it goes on")


def _advice(name: str, record: Record) -> str | None:
    if record.requires_login:
        return f"run: {login_command(name)}"
    return f"fix the credentials, or run: tokend refresh {name}" if record.rejected else None


def _as_provider(settings: HeldSettings) -> Provider:
    if not isinstance(settings, Provider):
        raise TypeError(f"kind {settings.kind} is no Provider")
    return settings
