"""Refreshes that readers cause: bounded, shared by all waiting readers, and refused with a typed error."""

import anyio

from tokend.engine.held.refresher import Refresher
from tokend.engine.policy import refresh_timing
from tokend.engine.policy.login_advice import login_advice
from tokend.engine.policy.rate_limits import ALLOWANCE_BURST, Allowance
from tokend.values.errors import (
    GenerationConflictError,
    LoginRequiredError,
    ReaderError,
    ThrottledError,
    TokenUnavailableError,
    WaitTimeoutError,
)
from tokend.values.instant import Instant
from tokend.values.login_advice import LoginAdvice
from tokend.values.tokens import Lease

# How long a reader waits for an attempt that it caused.
WAIT_SECONDS = 30.0


class Demand:
    """Refresh one provider's token for readers. Every refusal is a `ReaderError`."""

    __slots__ = ("_allowance", "_refresher")

    def __init__(self, refresher: Refresher) -> None:
        self._refresher = refresher
        self._allowance = Allowance()

    async def newer_than(self, generation: int | None, *, admin: bool) -> Lease:
        """Return the lease after one attempt; without one if it is newer than ``generation`` already.

        Raises `GenerationConflictError` where ``generation`` is above the newest, else as `fresh`.
        """
        refresher = self._refresher
        if generation is not None:
            if generation > (newest := refresher.record.generation):
                raise GenerationConflictError(
                    f"{refresher.name}: if_generation is {generation}, the newest is {newest}"
                )
            current = refresher.lease
            if current is not None and generation < current.generation and refresher.is_valid():
                return current
        # A person's `tokend refresh` resumes a rejected provider; a program that reports a 401, even root's, must not.
        await self._attempt(admin=admin, resumes=admin and generation is None)
        if (lease := refresher.lease) is None:
            raise self._refusal("there is no token")
        return lease

    async def fresh(self, min_ttl: float, *, admin: bool) -> Lease:
        """Return a lease valid for ``min_ttl`` more seconds, after one attempt if need be.

        Raises `ThrottledError` where a minimum interval, the allowance or the host's pause forbids the attempt,
        `WaitTimeoutError` after 30 s, `LoginRequiredError` or `TokenUnavailableError` where there is no such token.
        """
        if (lease := self._lasting(min_ttl)) is not None:
            return lease
        life = self._fresh_life_seconds()
        if life is not None and min_ttl > life:
            refusal = self._refusal(f"min_ttl is {min_ttl:.10g} s, but a fresh token lives {life:.10g} s: ask for less")
            refusal.retry_at = None  # waiting does not help
            raise refusal
        await self._attempt(admin=admin, resumes=False)
        if (lease := self._lasting(min_ttl)) is not None:
            return lease
        raise self._refusal(f"the refreshed token does not last {min_ttl:.10g} s")

    async def _attempt(self, *, admin: bool, resumes: bool) -> None:
        """Cause an attempt, or join the one under way, and wait for its end. ``resumes``: also leave `Rejected`."""
        refresher = self._refresher
        if (waits := refresher.waits_for()) is not None:
            raise self._refusal(waits)
        if refresher.holds_last_token:
            raise self._refusal(
                f"there is no refresh token, so only a person brings another one: {self._advice.remedy}"
            )
        if not refresher.is_busy:
            self._admit(refresher.now(), admin=admin, resumes=resumes)
        result = refresher.request_attempt(despite_rejection=resumes)
        with anyio.move_on_after(WAIT_SECONDS):
            await result.done.wait()
        if not result.done.is_set():
            raise WaitTimeoutError(
                f"{refresher.name}: no answer from the upstream within {WAIT_SECONDS:.0f} s; the attempt goes on"
            )
        if result.error is not None:
            raise self._refusal(result.error.detail)

    def _admit(self, now: Instant, *, admin: bool, resumes: bool) -> None:
        """Raise where an attempt may not be made within the wait."""
        refresher = self._refresher
        if refresher.record.rejected and not resumes:
            error = refresher.record.last_error
            raise self._refusal("the credentials were rejected" if error is None else error.detail)
        if refresher.record.requires_login and not resumes:
            raise self._refusal(self._advice.need)
        blocked = refresher.blocked_seconds(now, on_demand=True)
        repeat = refresh_timing.login_blocked_seconds(refresher.record, now)
        if blocked > WAIT_SECONDS and repeat >= blocked and not resumes:
            lost = f"the answer to a refresh was lost; the refresh token is sent again in {repeat:.0f} s"
            raise self._throttled(lost, now.after(repeat))
        if blocked > WAIT_SECONDS and repeat < blocked:
            raise self._throttled(f"the upstream asked for a pause of {blocked:.0f} more seconds", now.after(blocked))
        if admin:
            return
        if (rest := refresh_timing.long_outage_seconds(refresher.record, now)) > 0:
            raise self._throttled(f"the upstream has failed for long; readers may ask in {rest:.0f} s", now.after(rest))
        if (wait := self._allowance.take(now)) > 0:
            raise self._throttled(
                f"readers caused {ALLOWANCE_BURST} attempts already; the next is in {wait:.0f} s",
                now.after(wait),
            )

    @property
    def _advice(self) -> LoginAdvice:
        return login_advice(self._refresher.name, self._refresher.settings)

    def _throttled(self, message: str, retry_at: Instant) -> ThrottledError:
        return ThrottledError(f"{self._refresher.name}: {message}", retry_at=retry_at.wall.timestamp())

    def _refusal(self, message: str) -> ReaderError:
        refresher = self._refresher
        if refresher.record.requires_login and not refresher.is_valid():
            return LoginRequiredError(self._advice.remedy)
        message = f"{refresher.name}: {message}"
        if refresher.record.rejected and not refresher.is_valid():
            return LoginRequiredError(message)
        upcoming = refresher.next_attempt()
        return TokenUnavailableError(message, retry_at=None if upcoming is None else upcoming.wall.timestamp())

    def _lasting(self, min_ttl: float) -> Lease | None:
        lease, now = self._refresher.lease, self._refresher.now()
        if lease is None or not lease.token.is_valid(now):
            return None
        expires = lease.token.expires_at
        return lease if expires is None or now.until(expires) >= min_ttl else None

    def _fresh_life_seconds(self) -> float | None:
        known = self._refresher.settings.fresh_life_seconds()
        lease = self._refresher.lease
        return lease.token.life_seconds if known is None and lease is not None else known
