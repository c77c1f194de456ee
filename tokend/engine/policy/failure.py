"""Meaning of a failed attempt, for held and for on-demand kinds: one table, and the record after a failure. Pure.

The class of the error chooses the row of `FAILURES`. The row says whether the credentials were refused and when they
are rejected, how long the next attempt waits, whether the pause binds all providers of the host, and whether an
on-demand query repeats its call.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from tokend.engine.policy.backoff import (
    LARGEST_EXPONENT,
    LONG_OUTAGE_SECONDS,
    MINIMUM_INTERVAL_SECONDS,
    backoff_seconds,
    longest_backoff_seconds,
)
from tokend.engine.policy.probes import unheard, with_first_probe
from tokend.engine.records.adrift import seconds_until
from tokend.engine.records.attempt_states import Failures
from tokend.engine.records.record import HostPause, Record
from tokend.values.errors import (
    AttemptError,
    ClockError,
    LoginRefusedError,
    PersonNeededError,
    RateLimitedError,
    RejectedError,
    RejectedTwiceError,
    SecretError,
    TransientError,
    WaitingError,
)
from tokend.values.instant import Instant
from tokend.values.status import Failure

# A person or other settings let rejected credentials be tried once more: one more refusal rejects them again.
REFUSALS_AFTER_RESUMING = 1
# An on-demand kind waits this long where the upstream answers 429 without a usable Retry-After.
DEFAULT_PAUSE_SECONDS = 5.0


class Wait(Enum):
    """The wait of a held kind before its next attempt."""

    BACKOFF = "the backoff, or what the upstream asked for; for longer than any backoff only if it pauses the host"
    MINIMUM_INTERVAL = "the minimum interval: a refusal is no outage, and neither is the end of another token"


class Repeat(Enum):
    """When an on-demand query makes another call before its deadline."""

    NEVER = "never: the call may have had its effect"
    AFTER_A_PAUSE = "after a pause: the upstream did not answer, or answered 5xx"
    WITH_THE_LEARNED_CLOCK = "at once, and once: the offset of the upstream's clock is known now"


@dataclass(frozen=True, slots=True)
class RejectsAt:
    """The number of the refusal, counted since the last success, that rejects credentials.

    ``unproven`` are credentials of a held kind that never brought a token: some vendors lock out who tries again.
    ``proven`` ones brought the last token: one odd answer must not stop them (docs/decisions/0006). ``on_demand`` kinds
    do not remember what worked.
    """

    unproven: int
    proven: int
    on_demand: int


@dataclass(frozen=True, slots=True)
class Meaning:
    """One row: what a failure means. ``rejects_at`` is None where nothing was learned about the credentials."""

    name: str
    error: type[AttemptError]
    rejects_at: RejectsAt | None = None
    wait: Wait = Wait.BACKOFF
    pauses_host: bool = False
    repeat: Repeat = Repeat.NEVER
    where: Callable[[AttemptError], bool] = lambda error: True  # noqa: ARG005  # every error of the class

    @property
    def is_refusal(self) -> bool:
        """Whether the upstream refused our credentials."""
        return self.rejects_at is not None


# The first row that fits counts.
FAILURES: tuple[Meaning, ...] = (
    Meaning("person needed", PersonNeededError, RejectsAt(unproven=1, proven=1, on_demand=1), Wait.MINIMUM_INTERVAL),
    Meaning("rejected twice", RejectedTwiceError, RejectsAt(unproven=1, proven=1, on_demand=1), Wait.MINIMUM_INTERVAL),
    Meaning("rejected", RejectedError, RejectsAt(unproven=1, proven=2, on_demand=2), Wait.MINIMUM_INTERVAL),
    Meaning(
        "clock, offset learned",  # our clock may explain the refusal: any credentials get a second try
        ClockError,
        RejectsAt(unproven=2, proven=2, on_demand=2),
        Wait.MINIMUM_INTERVAL,
        repeat=Repeat.WITH_THE_LEARNED_CLOCK,
        where=lambda error: isinstance(error, ClockError) and error.offset is not None,
    ),
    Meaning("clock, ours is absurd", ClockError),
    Meaning("rate limited", RateLimitedError, pauses_host=True),
    Meaning(
        "transient, repeatable",
        TransientError,
        repeat=Repeat.AFTER_A_PAUSE,
        where=lambda error: isinstance(error, TransientError) and error.repeatable,
    ),
    Meaning("transient", TransientError),
    # What it means for the login is in `login_outcome`.
    Meaning("login refused", LoginRefusedError, wait=Wait.MINIMUM_INTERVAL),
    Meaning("waiting", WaitingError, wait=Wait.MINIMUM_INTERVAL),
    Meaning("secret", SecretError),
    Meaning("bug", AttemptError),
)


def meaning_of(error: AttemptError) -> Meaning:
    """Look up what an error means."""
    return next(row for row in FAILURES if isinstance(error, row.error) and row.where(error))


def after_failure(
    record: Record,
    error: AttemptError,
    *,
    now: Instant,
    interval_seconds: float,
    secrets: str | None,
    draw: float,
    cost: int = 1,
    host: str | None = None,
    is_soon: bool = False,
) -> Record:
    """Compute the record after a failed attempt of a held kind; without ``next_attempt`` no timer makes another one.

    ``interval_seconds`` is the vendor's minimum interval, ``secrets`` the fingerprint of what was presented (None:
    a secret could not be read, and nothing was sent), ``draw`` from [0, 1), ``cost`` the number of requests that the
    attempt took, ``host`` the upstream that a pause binds. ``is_soon``: the next attempt waits for the minimum interval
    only, or for what the upstream asked for (`LoginExchange.take_doubt`).
    """
    meaning, failures = meaning_of(error), _counted(record, error, now=now, cost=cost)
    failures = replace(failures, since=record.attempts.failures.since or now)
    ended = record.last_attempt if secrets is None else record.ended(now)
    steps = replace(failures, count=0, since=None) if is_soon else failures
    pause = _pause_seconds(meaning, error, record, steps, now=now, interval_seconds=interval_seconds, draw=draw)
    proven = secrets is not None and secrets == record.proven
    at = meaning.rejects_at
    if secrets is not None and at is not None and failures.refusals >= (at.proven if proven else at.unproven):
        attempts = record.attempts.refused(failures, ended=ended, secrets=secrets)
    else:
        attempts = record.attempts.failed(failures, ended=ended, next_attempt=now.after(pause))
    after = replace(record, attempts=attempts)
    if not meaning.pauses_host or host is None:
        return after
    asked = _retry_after(error)
    until = attempts.next_attempt if asked is None else now.after(asked)
    return replace(after, host_pause=None if until is None else HostPause(host, until))


def after_failed_call(record: Record, error: AttemptError, *, now: Instant, host: str | None) -> Record:
    """Compute the record after a failed query of an on-demand kind. `rejected_on_demand` follows after a refusal."""
    failures = _counted(record, error, now=now, cost=1)
    after = replace(record, attempts=record.attempts.failed(failures, ended=record.last_attempt, next_attempt=None))
    if not meaning_of(error).is_refusal:
        after = unheard(after, now)
    if not meaning_of(error).pauses_host or host is None:
        return after
    return replace(after, host_pause=HostPause(host, now.after(_retry_after(error) or DEFAULT_PAUSE_SECONDS)))


def rejected_on_demand(record: Record, error: AttemptError, *, now: Instant, secrets: str | None) -> Record:
    """Reject an on-demand kind's credentials if their refusals are as many as they get, and plan the first probe.

    ``secrets`` is None where they cannot be read any more: then they have changed, and nothing is rejected.
    """
    at, attempts = meaning_of(error).rejects_at, record.attempts
    if at is None or secrets is None or attempts.failures.refusals < at.on_demand:
        return record
    refused = attempts.refused(attempts.failures, ended=attempts.last_attempt, secrets=secrets)
    return with_first_probe(replace(record, attempts=refused), now)


def with_refusals(record: Record, refusals: int) -> Record:
    """Count ``refusals`` of the credentials from here on."""
    return replace(record, attempts=record.attempts.with_refusals(refusals))


def resumed(record: Record, refusals: int = REFUSALS_AFTER_RESUMING) -> Record:
    """Leave `Rejected`, and drop the backoff."""
    return replace(record, attempts=record.attempts.resumed(refusals))


def without_failures(record: Record, refusals: int) -> Record:
    """Begin the failures again: requests are sent elsewhere from here on, or in another way."""
    return replace(record, attempts=record.attempts.without_failures(refusals))


def in_another_way(record: Record) -> Record:
    """Begin the failures again for credentials that stay the same: those that were rejected have one more refusal."""
    refusals = REFUSALS_AFTER_RESUMING if record.rejected else record.attempts.failures.refusals
    return without_failures(record, refusals)


def _counted(record: Record, error: AttemptError, *, now: Instant, cost: int) -> Failures:
    """Count one more failure. What is no refusal neither adds to the refusals nor clears them."""
    before = record.attempts.failures
    return Failures(
        count=before.count + 1,
        refusals=before.refusals + meaning_of(error).is_refusal,
        since=before.since,
        last_error=Failure(error.reason, error.detail, now.wall, error.said),
        cost=cost,
    )


def _pause_seconds(
    meaning: Meaning,
    error: AttemptError,
    record: Record,
    failures: Failures,
    *,
    now: Instant,
    interval_seconds: float,
    draw: float,
) -> float:
    if meaning.wait is Wait.MINIMUM_INTERVAL:
        return max(MINIMUM_INTERVAL_SECONDS, interval_seconds)
    lease, since = record.lease, failures.since
    left = None if lease is None or (expires := lease.token.expires_at) is None else now.until(expires)
    long_outage = since is not None and -seconds_until(since, now) >= LONG_OUTAGE_SECONDS
    # An outage that began with an hour's Retry-After has no short pauses left: those are for the first hour.
    steps = max(failures.count, LARGEST_EXPONENT + 1) if long_outage else failures.count
    # Two requests (an extension that is refused, then a login) are paid for with twice the pause.
    backoff = failures.cost * backoff_seconds(steps, seconds_left=left, draw=draw)
    asked = _retry_after(error) or 0.0
    if not meaning.pauses_host:
        asked = min(asked, longest_backoff_seconds(left))
    # An upstream that asks for five seconds again and again must not be asked 720 times an hour: backoff counts too.
    return max(backoff, asked, interval_seconds)


def _retry_after(error: AttemptError) -> float | None:
    return error.retry_after if isinstance(error, RateLimitedError | TransientError) else None
