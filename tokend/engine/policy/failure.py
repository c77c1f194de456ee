"""What a failed attempt means: the class of the error decides when the next one may be. Pure."""

from dataclasses import replace

from tokend.engine.policy.backoff import FLOOR_SECONDS, LARGEST_EXPONENT, LONG_OUTAGE_SECONDS, backoff_seconds
from tokend.engine.records.record import Record
from tokend.values.errors import AttemptError, ClockError, RateLimitedError, RejectedError, TransientError
from tokend.values.instant import Instant
from tokend.values.status import Failure

# Verdicts on the credentials without a success between them, after which no timer asks again.
MOST_VERDICTS = 2


def is_verdict(error: AttemptError) -> bool:
    """Tell whether the upstream refused our credentials; a refusal that our clock may explain counts as well."""
    return isinstance(error, RejectedError) or (isinstance(error, ClockError) and error.offset is not None)


def judge(
    error: AttemptError,
    record: Record,
    *,
    now: Instant,
    interval_seconds: float,
    secrets: str | None,
    draw: float,
    cost: int = 1,
) -> Record:
    """The record after one failed attempt of a held provider; without ``next_attempt`` no timer asks again.

    ``interval_seconds`` is the vendor's least pause between requests, ``secrets`` the fingerprint of what was
    presented (None if it could not be read), ``draw`` from [0, 1), ``cost`` how many requests the attempt took.
    """
    # Other failures say nothing of the credentials: they neither add to the verdicts nor clear them.
    verdicts = record.verdicts + is_verdict(error)
    # Credentials that worked before get a second hearing: one odd answer must not stop them. Others are believed to
    # be wrong at once, for some vendors lock out whoever tries again (docs/decisions/0006). What only our clock may
    # explain deserves its second try, too.
    proven = secrets is not None and secrets == record.proven
    final = is_verdict(error) and (verdicts >= MOST_VERDICTS or (isinstance(error, RejectedError) and not proven))
    rejected = secrets if final else record.rejected
    failures = record.failures + 1
    left = None if record.lease is None or (expires := record.lease.token.expires_at) is None else now.until(expires)
    since = record.failing_since
    long_outage = since is not None and since.until(now) >= LONG_OUTAGE_SECONDS
    # An outage that began with an hour's Retry-After has no short pauses left: they are the first hour's.
    steps = max(failures, LARGEST_EXPONENT + 1) if long_outage else failures
    # Two requests (an extension that is refused, then a login) are paid for with twice the pause.
    backoff = cost * backoff_seconds(steps, seconds_left=left, draw=draw)
    pause = _pause_seconds(error, backoff=backoff, interval_seconds=interval_seconds)
    return replace(
        record,
        next_attempt=None if rejected is not None else now.after(pause),
        failures=failures,
        failing_since=record.failing_since or now,
        verdicts=verdicts,
        rejected=rejected,
        last_error=Failure(error.reason, error.detail, now.wall),
        cost=cost,
    )


def _pause_seconds(error: AttemptError, *, backoff: float, interval_seconds: float) -> float:
    if is_verdict(error):
        return max(FLOOR_SECONDS, interval_seconds)
    # An upstream that asks for five seconds again and again must not be asked 720 times an hour: backoff counts too.
    asked = error.retry_after if isinstance(error, RateLimitedError | TransientError) else None
    return max(backoff, asked or 0.0, interval_seconds)
