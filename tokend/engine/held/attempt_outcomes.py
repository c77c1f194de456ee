"""The outcomes of one provider's attempts: a new token, or a failure; each is stored, counted and logged.

`policy.success` and `policy.failure` compute what an outcome means.
"""

from tokend.engine.context.context import Context
from tokend.engine.held.login_saving import Change
from tokend.engine.held.settings_in_force import SettingsInForce
from tokend.engine.policy.failure import after_failure
from tokend.engine.policy.login_advice import login_advice
from tokend.engine.policy.settings_change import is_foreign
from tokend.engine.policy.success import NewToken, after_success
from tokend.engine.records.fingerprints import Identity
from tokend.engine.records.record import Record
from tokend.machine.logs import get_logger
from tokend.plugin.settings import HeldSettings
from tokend.values.errors import AttemptError, SameAsForgottenError, TransientError
from tokend.values.instant import Instant
from tokend.values.tokens import Token

# A repeated failure of one class is logged at most this often.
LOG_SECONDS = 60.0
FORGOTTEN = "it is the token that was forgotten: not published again; the upstream must end it and give another one"

log = get_logger()


class AttemptOutcomes:
    """Store, count and log the outcomes of attempts of the provider ``name``."""

    __slots__ = ("_clock", "_context", "_in_force", "_logged", "_name", "_store")

    def __init__(self, name: str, in_force: SettingsInForce, context: Context) -> None:
        self._name = name
        self._in_force = in_force
        self._context = context
        self._clock = context.clock
        self._store = context.store
        self._logged: tuple[str, float] | None = None  # the last failure: its reason, and when it was logged

    # -------------------------------------------------------------- success

    def with_token(self, token: Token, identity: Identity) -> Change:
        """Return the change that brings a new token. Raises `TransientError` for one that has ended.

        The change itself raises `SameAsForgottenError`.
        """
        now = self._clock.instant()
        if not token.is_valid(now):
            raise TransientError("the token had expired when it arrived (was this machine suspended?)")
        new = self.new(token, now)

        def succeeded(record: Record) -> Record:
            if self.is_forgotten(token):
                raise SameAsForgottenError(FORGOTTEN)  # it was forgotten while it was on its way
            return after_success(record, new, self._in_force.settings, identity)

        return succeeded

    def is_forgotten(self, token: Token) -> bool:
        """Return whether the token was forgotten. A token that this name holds is not published again by being kept."""
        held = self._store.get(self._name).lease
        if held is not None and held.token.value == token.value:
            return False
        return self._store.is_forgotten(self._store.state.fingerprint(token.value.reveal_bytes()))

    def new(self, token: Token, now: Instant) -> NewToken:
        """Describe a token that has arrived, for the record."""
        fingerprint = self._store.state.fingerprint(token.value.reveal_bytes())
        return NewToken(self._name, token, fingerprint, now, jitter=self._context.random.random())

    def succeeded(self, token: Token, record: Record, *, before: int, started: Instant) -> None:
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

    def adopted(self, record: Record) -> None:
        """Log the token that another daemon has got. No request was made, so no refresh is counted."""
        self._logged = None
        detail = "another daemon has refreshed it: no request"
        log.info("login.adopted", token=self._name, generation=record.generation, detail=detail)

    # -------------------------------------------------------------- failure

    async def failed(
        self, error: AttemptError, identity: Identity | None, settings: HeldSettings, *, cost: int, is_soon: bool
    ) -> None:
        """Store, count and log a failed attempt under ``settings``, which a reload may have replaced by now.

        ``identity`` is None where a secret could not be read and nothing was sent; ``cost`` is the number of requests.
        ``is_soon``: the next attempt must not wait for a long backoff (`LoginExchange.take_doubt`).
        """
        now, draw = self._clock.instant(), self._context.random.random()

        def failed(record: Record) -> Record:
            after = after_failure(
                record,
                error,
                now=now,
                interval_seconds=self._in_force.settings.request_interval_seconds,
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
            advice=_advice(self._name, self._in_force.settings, record),
        )


def _advice(name: str, settings: HeldSettings, record: Record) -> str | None:
    if record.requires_login:
        return login_advice(name, settings).to_do
    return f"fix the credentials, or run: tokend refresh {name}" if record.rejected else None
