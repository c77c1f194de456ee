"""One provider's attempts to get a newer token: each notes its request, waits for its account, and asks the kind.

`refresher` decides when the next attempt is made, `attempt_outcomes` stores what comes of it, and `provider_login` gets
the token where it comes from a login.
"""

from dataclasses import dataclass, field, replace

from tokend.engine.context.context import Context
from tokend.engine.held.attempt_outcomes import FORGOTTEN, AttemptOutcomes
from tokend.engine.held.provider_login import ProviderLogin
from tokend.engine.held.settings_in_force import SettingsInForce
from tokend.engine.policy.backoff import MINIMUM_INTERVAL_SECONDS
from tokend.engine.policy.settings_change import is_foreign
from tokend.engine.policy.success import NewToken, with_new_token
from tokend.engine.records.fingerprints import Identity
from tokend.engine.records.record import Record
from tokend.machine.clock import is_plausible
from tokend.machine.event import Event
from tokend.machine.logs import get_logger
from tokend.plugin.kind_bugs import bug_in, exits_refused
from tokend.plugin.login import uses_login
from tokend.plugin.provider import Provider, Runtime, takes_initial_token
from tokend.plugin.settings import HeldSettings
from tokend.plugin.token_check import check_token
from tokend.values.errors import (
    AttemptError,
    ClockError,
    RateLimitedError,
    SameAsForgottenError,
)
from tokend.values.instant import Instant
from tokend.values.tokens import Token

# A kind that signs here makes the same token twice in one second.
MOST_MINTED = 3

log = get_logger()


@dataclass(slots=True)
class AttemptResult:
    """The result of one attempt, for all its waiters."""

    done: Event = field(default_factory=Event)
    error: AttemptError | None = None


class AttemptRunner:
    """Make one provider's attempts under the settings in force. ``login`` is None for kinds that never use one."""

    __slots__ = ("_clock", "_context", "_in_force", "_login", "_name", "_outcomes", "_store")

    def __init__(
        self,
        name: str,
        in_force: SettingsInForce,
        outcomes: AttemptOutcomes,
        login: ProviderLogin | None,
        context: Context,
    ) -> None:
        self._name = name
        self._in_force = in_force
        self._outcomes = outcomes
        self._login = login
        self._context = context
        self._clock = context.clock
        self._store = context.store

    async def attempt(self) -> None:
        """Make one attempt. Raises the `AttemptError` of a failure, after it was stored, counted and logged."""
        identity: Identity | None = None
        in_force, started = self._in_force, self._clock.instant()
        settings, runtime = in_force.settings, in_force.runtime
        requests_before, warned = runtime.requests, bool(in_force.clock_warnings())
        try:
            identity = await in_force.identify()
            _require_plausible(started)
            await self._note_request(identity.request)
            await self._wait_for_account(started)
            self._refuse_paused(settings)
            if self._login is not None and uses_login(settings):
                await self._login.refresh(settings, runtime, identity, started=started)
            else:
                before = self._store.get(self._name).generation
                token = await self._fetch(settings, runtime, self._previous(identity, started))
                await in_force.refuse_stale(settings, identity)
                record = await self._store.update(self._name, self._outcomes.with_token(token, identity))
                self._outcomes.succeeded(token, record, before=before, started=started)
        except AttemptError as error:
            await self._failed(error, identity, settings, runtime.requests - requests_before)
            raise
        except Exception:
            # The worker group logs it and restarts the worker; a bug has a backoff like any other failure.
            bug = AttemptError(f"{bug_in(settings)}; the log has its traceback")
            await self._failed(bug, identity, settings, runtime.requests - requests_before)
            raise
        finally:
            if not warned:
                for warning in in_force.clock_warnings():
                    log.warning("clock.differs", token=self._name, detail=warning.message)

    async def _failed(self, error: AttemptError, identity: Identity | None, settings: HeldSettings, cost: int) -> None:
        is_soon = self._login is not None and self._login.exchange.take_doubt()
        await self._outcomes.failed(error, identity, settings, cost=cost, is_soon=is_soon)

    async def use_initial_token(self) -> None:
        """Hold the token that the settings bring, if there is one. It proves nothing about the credentials."""
        settings = self._in_force.settings
        if not takes_initial_token(settings):
            return
        try:
            with exits_refused():
                account = (await self._in_force.identify()).account
                token = await settings.initial(self._in_force.runtime)
            if token is not None:
                check_token(token)
        except AttemptError as error:
            log.warning("token.not_inherited", token=self._name, reason=error.reason, detail=error.detail)
            return
        if token is not None and self._outcomes.is_forgotten(token):
            log.warning("token.not_inherited", token=self._name, reason=SameAsForgottenError.reason, detail=FORGOTTEN)
            return
        held = self._store.get(self._name).lease
        # A token that expired here does not start a second life because it is still in the settings.
        if token is not None and (held is None or held.token.value != token.value):
            new = self._outcomes.new(token, self._clock.instant())
            await self._store.update(self._name, lambda record: self._with_initial_token(record, new, account))
            log.info("token.inherited", token=self._name)

    def _with_initial_token(self, record: Record, new: NewToken, account: str) -> Record:
        """Compute the record with the token of the settings. Where it is all there is, it ends a failure."""
        record = replace(with_new_token(record, new, self._in_force.settings), account=account)
        return (
            record
            if self._in_force.renewable
            else replace(record, attempts=record.attempts.succeeded(record.last_attempt))
        )

    # -------------------------------------------------------------- around the request

    async def _note_request(self, request: str) -> None:
        """Save that a request is being made, before it is sent: neither a crash nor a reload must forget it.

        Until a success is known it counts as a failure: where its result is never known, it stays one.
        """
        in_force = self._in_force
        if not in_force.settings.local:
            now = self._clock.instant()
            upcoming = now.after(max(MINIMUM_INTERVAL_SECONDS, in_force.settings.request_interval_seconds))
            await self._store.update(
                self._name,
                lambda record: replace(
                    record,
                    attempts=record.attempts.noted(now, upcoming),
                    request=request,
                    connection=in_force.connection,
                ),
            )

    async def _wait_for_account(self, started: Instant) -> None:
        """Let the account's minimum interval count from now: noting the request took time.

        Another provider of the account that began before may have sent its request meanwhile.
        """
        limits, interval = self._context.limits, self._in_force.settings.request_interval_seconds
        mine, now = started.after(interval), self._clock.instant()
        while (left := limits.seconds(self._in_force.account, now)) > max(0.0, now.until(mine)):
            await self._clock.sleep(left)
            now = self._clock.instant()
        limits.block(self._in_force.account, now.after(interval))

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
            if not self._outcomes.is_forgotten(token):
                return token
            if settings.signs_here:
                # Times in a token are whole seconds: the next one makes another token of the same claims.
                now = self._clock.instant().wall
                await self._clock.sleep(1.0 - now.microsecond / 1e6)
        raise SameAsForgottenError(FORGOTTEN)

    def _previous(self, identity: Identity, now: Instant) -> Token | None:
        record = self._store.get(self._name)
        if record.lease is None or is_foreign(record, identity.account) or not record.lease.token.is_valid(now):
            return None
        return record.lease.token


def _require_plausible(now: Instant) -> None:
    """Send nothing and sign nothing by a clock that cannot be believed."""
    if not is_plausible(now.wall):
        raise ClockError(f"this machine's clock says {now.wall:%Y-%m-%d}: set it (NTP), then it goes on")


def _as_provider(settings: HeldSettings) -> Provider:
    if not isinstance(settings, Provider):
        raise TypeError(f"kind {settings.kind} is no Provider")
    return settings
