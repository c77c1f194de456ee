"""What a failed attempt means: the class of the error decides when the next one may be. Pure."""

from dataclasses import dataclass, replace

from tokend import schedule
from tokend.errors import AttemptError, ClockError, RateLimitedError, RejectedError, TransientError
from tokend.instant import Instant
from tokend.records import Record
from tokend.status import Failure

# Verdicts on the credentials in a row after which no timer asks again.
MOST_VERDICTS = 2


@dataclass(frozen=True, slots=True)
class Judgement:
    """The record after the failure, and the pause in seconds until the next attempt; None: no timer asks again."""

    record: Record
    pause_seconds: float | None


def is_verdict(error: AttemptError) -> bool:
    """Tell whether the upstream refused our credentials; a refusal that our clock may explain counts as well."""
    return isinstance(error, RejectedError) or (isinstance(error, ClockError) and error.offset is not None)


def judge(
    error: AttemptError, record: Record, *, now: Instant, interval_seconds: float, secrets: str | None, draw: float
) -> Judgement:
    """Judge one failed attempt of a held provider.

    ``interval_seconds`` is the vendor's least pause between requests, ``secrets`` the fingerprint of what was
    presented (None if it could not be read), ``draw`` from [0, 1).
    """
    lease = record.lease
    valid = lease is not None and lease.token.is_valid(now)
    failures = record.failures + 1
    verdicts = record.verdicts + 1 if is_verdict(error) else 0
    # While a valid token is held, a single odd answer must not stop the timer; without one a person is needed
    # anyway, and some vendors lock out whoever tries again. A clock that was just learned deserves its second try.
    final = verdicts >= MOST_VERDICTS or (isinstance(error, RejectedError) and not valid)
    left = None if lease is None or lease.token.expires_at is None else now.until(lease.token.expires_at)
    backoff = schedule.backoff_seconds(failures, seconds_left=left, draw=draw)
    pause = None if final else _pause_seconds(error, backoff=backoff, interval_seconds=interval_seconds)
    after = replace(
        record,
        next_attempt=None if pause is None else now.after(pause),
        failures=failures,
        verdicts=verdicts,
        rejected=secrets if final else None,
        last_error=Failure(error.reason, error.detail, now.wall),
    )
    return Judgement(after, pause)


def _pause_seconds(error: AttemptError, *, backoff: float, interval_seconds: float) -> float:
    if isinstance(error, ClockError | RejectedError):
        return max(schedule.FLOOR_SECONDS, interval_seconds)
    if isinstance(error, RateLimitedError):
        return max(backoff if error.retry_after is None else error.retry_after, schedule.FLOOR_SECONDS)
    wished = error.retry_after if isinstance(error, TransientError) else None
    return max(backoff, wished or 0.0, interval_seconds)
