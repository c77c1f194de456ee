"""On-demand tokens: one upstream call per query, the few repeats that a query may cost, and `rejected`.

Nothing is prefetched, cached or persisted but the fact that the credentials were rejected.
"""

from collections.abc import Mapping
from dataclasses import replace

import anyio

from tokend.errors import (
    AttemptError,
    ClockError,
    LoginRequiredError,
    RateLimitedError,
    RejectedError,
    SecretError,
    ThrottledError,
    TokenUnavailableError,
    TransientError,
)
from tokend.identity import identify
from tokend.interfaces import Issuer
from tokend.judgement import MOST_VERDICTS, is_verdict
from tokend.logs import get_logger
from tokend.records import Record
from tokend.settings import OnDemandSettings
from tokend.status import Failure, State
from tokend.surroundings import Surroundings
from tokend.tokens import Token

# After a timeout or 5xx: up to two more calls, this much later.
REPEAT_SECONDS = (0.5, 1.0)
MOST_CALLS = 1 + len(REPEAT_SECONDS)
# Where the upstream says 429 without a usable Retry-After.
DEFAULT_PAUSE_SECONDS = 5.0

log = get_logger()


class Issuance:
    """Issue one provider's tokens. Calls may run side by side; each is one query's."""

    def __init__(self, name: str, settings: OnDemandSettings, surroundings: Surroundings) -> None:
        self.name = name
        self.settings = settings
        self._world = surroundings
        self._runtime = surroundings.runtime(settings)

    @property
    def record(self) -> Record:
        """What is stored of this provider: only its standing, never a token."""
        return self._world.store.get(self.name)

    @property
    def state(self) -> State:
        """``rejected`` after two verdicts in a row, else ``on_demand``."""
        return State.ON_DEMAND if self.record.rejected is None else State.REJECTED

    def reconfigure(self, settings: OnDemandSettings) -> None:
        """Go on under new settings."""
        self.settings = settings
        self._runtime = self._world.runtime(settings)

    async def reconsider(self) -> None:
        """Leave `rejected` if the settings or the secrets are no longer those that were rejected."""
        record = self.record
        if record.rejected is None:
            return
        try:
            identity = await identify(self.settings, self._runtime, self._world.store.state.digest)
        except SecretError:
            return
        if identity.secrets != record.rejected:
            await self._world.store.put(self.name, Record())

    async def issue(self, parameters: Mapping[str, str]) -> Token:
        """Issue one token.

        Raises `InvalidParametersError` (locally known ones without a call), `LoginRequiredError` while rejected,
        `ThrottledError` while the host asked for a pause, `TokenUnavailableError` where no token came.
        """
        issuer = _as_issuer(self.settings)
        issuer.check(parameters)
        if self.record.rejected is not None:
            raise LoginRequiredError(f"{self.name}: {self._last_detail()}")
        self._respect_pause()
        try:
            token = await self._within_timeout(issuer, parameters)
        except (RejectedError, ClockError, SecretError) as error:
            await self._failed(error)
            raise self._refusal(error) from None
        except RateLimitedError as error:
            await self._failed(error)
            pause = error.retry_after or DEFAULT_PAUSE_SECONDS
            now = self._world.clock.instant()
            self._world.limits.block(self.settings.upstream, now.after(pause))
            raise ThrottledError(f"{self.name}: {error.detail}", retry_at=now.after(pause).wall.timestamp()) from None
        except TransientError as error:
            await self._failed(error)
            raise TokenUnavailableError(f"{self.name}: {error.detail}") from None
        if self.record != Record():
            self._world.store.show(self.name, Record())
        self._world.counters.refreshed(self.name, "success")
        log.info("token.issued", token=self.name)
        return token

    async def _within_timeout(self, issuer: Issuer, parameters: Mapping[str, str]) -> Token:
        """Call, and repeat what may be repeated, all within the settings' ``timeout``."""
        clock = self._world.clock
        deadline = clock.instant().after(self.settings.timeout.total_seconds())
        clock_learned = False
        pauses = list(REPEAT_SECONDS)
        for calls_left in range(MOST_CALLS - 1, -1, -1):
            # What is left is shared by the calls that may still follow, so that a silent upstream leaves them room.
            left = clock.instant().until(deadline) - sum(pauses)
            try:
                return await self._call(issuer, parameters, seconds=max(left / (len(pauses) + 1), 0.05))
            except ClockError as error:
                if clock_learned or error.offset is None or not calls_left:
                    raise
                clock_learned = True
            except TransientError as error:
                if (
                    not error.repeatable
                    or not pauses
                    or not calls_left
                    or clock.instant().until(deadline) <= sum(pauses)
                ):
                    raise
                await clock.sleep(pauses.pop(0))
        raise AssertionError("the last call returns or raises")

    async def _call(self, issuer: Issuer, parameters: Mapping[str, str], *, seconds: float) -> Token:
        try:
            with anyio.fail_after(seconds):
                return await issuer.issue(self._runtime, parameters)
        except TimeoutError:
            raise TransientError(f"the upstream did not answer within {seconds:.1f} s", repeatable=True) from None

    async def _failed(self, error: AttemptError) -> None:
        record, now = self.record, self._world.clock.instant()
        verdicts = record.verdicts + 1 if is_verdict(error) else 0
        rejected = None
        if verdicts >= MOST_VERDICTS:
            identity = await identify(self.settings, self._runtime, self._world.store.state.digest)
            rejected = identity.secrets
        failed = replace(
            record,
            verdicts=verdicts,
            rejected=rejected,
            failures=record.failures + 1,
            last_error=Failure(error.reason, error.detail, now.wall),
        )
        self._world.counters.failed(self.name, error.reason)
        log.warning("token.issue_failed", token=self.name, reason=error.reason, detail=error.detail)
        if rejected is not None:
            log.warning("token.rejected", token=self.name, detail=error.detail, advice="mend the credentials")
            await self._world.store.put(self.name, failed)
        else:
            self._world.store.show(self.name, failed)

    def _respect_pause(self) -> None:
        now = self._world.clock.instant()
        if (pause := self._world.limits.seconds(self.settings.upstream, now)) > 0:
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


def _as_issuer(settings: OnDemandSettings) -> Issuer:
    if not isinstance(settings, Issuer):
        raise TypeError(f"kind {settings.kind} is no Issuer")
    return settings
