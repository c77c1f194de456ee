"""On-demand tokens: one upstream call per query, the few repeats that a query may cost, and `rejected`.

Nothing is prefetched, cached or persisted but the facts that bind the next query too: that the credentials were
rejected, and that the host asked for a pause.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio

from tokend.engine.context.context import Context
from tokend.engine.policy.failure import MOST_VERDICTS, is_verdict
from tokend.engine.records.fingerprints import identify
from tokend.engine.records.record import Record
from tokend.engine.records.rename import is_blank, left_behind
from tokend.machine.lock import Lock
from tokend.machine.logs import get_logger
from tokend.plugin.provider import Issuer
from tokend.plugin.settings import OnDemandSettings
from tokend.values.errors import (
    AttemptError,
    ClockError,
    InvalidParametersError,
    LoginRequiredError,
    RateLimitedError,
    RejectedError,
    SecretError,
    ThrottledError,
    TokenUnavailableError,
    TransientError,
)
from tokend.values.instant import Instant
from tokend.values.status import Failure, State
from tokend.values.tokens import Token

# After a timeout or 5xx: up to two more calls, this much later.
REPEAT_SECONDS = (0.5, 1.0)
LEAST_PATIENCE_SECONDS = 1.0
MOST_CALLS = 1 + len(REPEAT_SECONDS)
# Where the upstream says 429 without a usable Retry-After.
DEFAULT_PAUSE_SECONDS = 5.0

log = get_logger()


class TokenIssuer:
    """Issue one provider's tokens. Calls may run side by side; each is one query's."""

    __slots__ = ("_accepted", "_context", "_runtime", "_trial", "name", "settings")

    def __init__(self, name: str, settings: OnDemandSettings, context: Context) -> None:
        self.name = name
        self.settings = settings
        self._context = context
        self._runtime = context.runtime(settings)
        self._accepted = False  # the upstream took these credentials the last time
        self._trial = Lock()

    @property
    def record(self) -> Record:
        """What is stored of this provider: only its standing, never a token."""
        return self._context.store.get(self.name)

    @property
    def state(self) -> State:
        """``rejected`` after two verdicts in a row, else ``on_demand``."""
        return State.ON_DEMAND if self.record.rejected is None else State.REJECTED

    async def reconfigure(self, settings: OnDemandSettings) -> None:
        """Go on under new settings."""
        old, self.settings = self.settings, settings
        self._runtime = self._context.runtime(settings)
        if self.record.rejected is not None and not settings.goes_the_way_of(old):
            # Another way to the upstream may be what was missing. One verdict counts still.
            self._context.store.show(self.name, replace(self.record, rejected=None, verdicts=MOST_VERDICTS - 1))
        await self.reconsider()

    async def reconsider(self) -> None:
        """Leave `rejected` if the settings or the secrets are no longer those that were rejected."""
        record = self.record
        if record.rejected is None:
            return
        try:
            identity = await identify(self.settings, self._runtime, self._context.store.state.digest)
        except SecretError:
            return
        if identity.secrets != record.rejected:
            await self._context.store.update(self.name, left_behind)

    async def issue(self, parameters: Mapping[str, str]) -> Token:
        """Issue one token.

        Raises `InvalidParametersError` (locally known ones without a call), `LoginRequiredError` while rejected,
        `ThrottledError` while the host asked for a pause, `TokenUnavailableError` where no token came.
        """
        issuer = _as_issuer(self.settings)
        issuer.check(parameters)
        deadline = self._context.clock.instant().after(self.settings.timeout.total_seconds())
        self._refuse_unsent()
        async with self._turn():
            self._refuse_unsent()
            token = await self._issue(issuer, parameters, deadline)
            self._accepted = True
        self._context.counters.refreshed(self.name, "success")
        log.info("token.issued", token=self.name)
        return token

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Let credentials that are not known to work be tried by one query at a time: ten at once, and a wrong secret
        would have been sent ten times before the first refusal came back."""
        held = False
        if not self._accepted and self.settings.upstream is not None:
            try:
                with anyio.fail_after(self.settings.timeout.total_seconds()):
                    await self._trial.acquire()
            except TimeoutError:
                raise TokenUnavailableError(f"{self.name}: an earlier query has not been answered yet") from None
            held = not self._accepted
            if not held:
                self._trial.release()
        try:
            yield
        finally:
            if held:
                self._trial.release()

    async def _issue(self, issuer: Issuer, parameters: Mapping[str, str], deadline: Instant) -> Token:
        """Have a token issued; what fails is stored and becomes a `ReaderError`."""
        try:
            token = await self._within_timeout(issuer, parameters, deadline)
        except (RejectedError, ClockError, SecretError) as error:
            await self._failed(error)
            raise self._refusal(error) from None
        except InvalidParametersError:
            # The vendor looked at the fields: it had accepted the credentials.
            self._accepted = True
            self._context.store.show(self.name, replace(self.record, verdicts=0))
            raise
        except RateLimitedError as error:
            until = self._context.clock.instant().after(error.retry_after or DEFAULT_PAUSE_SECONDS)
            self._context.limits.block(self.settings.upstream, until)
            await self._failed(error, until=until)
            raise ThrottledError(f"{self.name}: {error.detail}", retry_at=until.wall.timestamp()) from None
        except TransientError as error:
            await self._failed(error)
            raise TokenUnavailableError(f"{self.name}: {error.detail}") from None
        if not is_blank(self.record):
            await self._context.store.update(self.name, left_behind)
        return token

    async def _within_timeout(self, issuer: Issuer, parameters: Mapping[str, str], deadline: Instant) -> Token:
        """Call, and repeat what may be repeated, all before ``deadline``."""
        clock = self._context.clock
        pauses, clock_learned = list(REPEAT_SECONDS), False
        calls_left = MOST_CALLS
        while True:
            calls_left -= 1
            try:
                return await self._call(issuer, parameters, seconds=_patience(clock.instant().until(deadline), pauses))
            except (ClockError, RejectedError) as error:
                if clock_learned:
                    # It was not the clock then: these were two in a row.
                    self._context.store.show(self.name, replace(self.record, verdicts=self.record.verdicts + 1))
                if not _is_worth_another(error, before=self.record.verdicts) or clock_learned or not calls_left:
                    raise
                clock_learned = True
            except TransientError as error:
                if not (error.repeatable and pauses and calls_left and clock.instant().until(deadline) > pauses[0]):
                    raise
                await clock.sleep(pauses.pop(0))

    async def _call(self, issuer: Issuer, parameters: Mapping[str, str], *, seconds: float) -> Token:
        try:
            with anyio.fail_after(seconds):
                return await issuer.issue(self._runtime, parameters)
        except TimeoutError:
            raise TransientError(f"the upstream did not answer within {seconds:.1f} s", repeatable=True) from None

    async def _failed(self, error: AttemptError, *, until: Instant | None = None) -> None:
        """Remember a failure. Saved is what binds the next query after a restart, too."""
        now, verdict = self._context.clock.instant(), is_verdict(error)
        secrets = await self._secrets() if verdict else None
        self._accepted = self._accepted and not verdict

        def failed(record: Record) -> Record:
            # Other failures say nothing of the credentials: they neither add to the verdicts nor clear them.
            verdicts = record.verdicts + verdict
            return replace(
                record,
                verdicts=verdicts,
                rejected=secrets if verdicts >= MOST_VERDICTS else None,
                host_pause=until or record.host_pause,
                paused_host=self.settings.upstream if until is not None else record.paused_host,
                failures=record.failures + 1,
                last_error=Failure(error.reason, error.detail, now.wall),
            )

        self._context.counters.failed(self.name, error.reason)
        log.warning("token.issue_failed", token=self.name, reason=error.reason, detail=error.detail)
        if not verdict and until is None:
            self._context.store.show(self.name, failed(self.record))
            return
        record = await self._context.store.update(self.name, failed)
        if record.rejected is not None:
            log.warning("token.rejected", token=self.name, detail=error.detail, advice="mend the credentials")

    async def _secrets(self) -> str | None:
        """The fingerprint of what was presented; None if it cannot be read any more: then it has changed."""
        try:
            return (await identify(self.settings, self._runtime, self._context.store.state.digest)).secrets
        except SecretError:
            return None

    def _refuse_unsent(self) -> None:
        """Raise where a call must not be made now."""
        if self.record.rejected is not None:
            raise LoginRequiredError(f"{self.name}: {self._last_detail()}")
        now = self._context.clock.instant()
        if (pause := self._context.limits.seconds(self.settings.upstream, now)) > 0:
            raise ThrottledError(
                f"{self.name}: the upstream asked for a pause of {pause:.0f} more seconds",
                retry_at=now.after(pause).wall.timestamp(),
            )

    def _refusal(self, error: AttemptError) -> TokenUnavailableError | LoginRequiredError:
        message = f"{self.name}: {error.detail}"
        return TokenUnavailableError(message) if self.record.rejected is None else LoginRequiredError(message)

    def _last_detail(self) -> str:
        error = self.record.last_error
        return "the credentials were rejected" if error is None else error.detail


def _patience(left: float, pauses: list[float]) -> float:
    """How long one call may take: half of what is left while others may follow, so that a silent upstream leaves them
    room; but not so little that one which is merely slow gets no chance."""
    shared = (left - sum(pauses)) / 2 if pauses else left
    return max(shared, min(left, LEAST_PATIENCE_SECONDS))


def _is_worth_another(error: AttemptError, *, before: int) -> bool:
    """Tell whether a refusal may be the fault of our clock, which has been learned now. Not after ``before`` verdicts:
    with this one they are as many as credentials get. Queries side by side may all meet the same wrong clock once."""
    return isinstance(error, ClockError) and error.offset is not None and before + 1 < MOST_VERDICTS


def _as_issuer(settings: OnDemandSettings) -> Issuer:
    if not isinstance(settings, Issuer):
        raise TypeError(f"kind {settings.kind} is no Issuer")
    return settings
