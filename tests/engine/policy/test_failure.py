"""Pauses and rejections of held kinds after a failure. Arithmetic only."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.expecting import present
from tokend.engine.policy.failure import after_failure
from tokend.engine.records.attempt_states import Failing, Failures, Rejected, Settled
from tokend.engine.records.record import Record
from tokend.engine.records.token_states import Held
from tokend.values.errors import (
    AttemptError,
    ClockError,
    RateLimitedError,
    RejectedError,
    SecretError,
    TransientError,
)
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import Lease, Token

NOW = Instant(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)
PROVEN = Record(proven="good")
DOWN, NO, SKEW = TransientError("down"), RejectedError("no"), ClockError("skew", offset=99.0)


def failed(times: int) -> Failing | Settled:
    return Failing(NOW, None, Failures(times)) if times else Settled()


def secrets_of(record: Record) -> str | None:
    return record.attempts.rejected_secrets


def refusals(record: Record) -> int:
    return record.attempts.failures.refusals


def judged(
    error: AttemptError, record: Record = PROVEN, *, interval: float = 1.0, secrets: str | None = "good"
) -> tuple[Record, float | None]:
    after = after_failure(record, error, now=NOW, interval_seconds=interval, secrets=secrets, draw=1 - 1e-12)
    return after, None if after.next_attempt is None else NOW.until(after.next_attempt)


@pytest.mark.parametrize(
    ("error", "failures", "expected"),
    [
        (DOWN, 0, 5),
        (DOWN, 3, 40),
        (TransientError("503", retry_after=60), 0, 60),
        (TransientError("503", retry_after=60), 5, 160),
        (TransientError("503", retry_after=3600), 0, 300),
        (RateLimitedError("429"), 2, 20),
        (RateLimitedError("429", retry_after=900), 0, 900),
        (RateLimitedError("429", retry_after=5), 8, 300),  # P3: five seconds for ever are 720 requests an hour
        (SecretError("empty"), 1, 10),
        (ClockError("1970"), 3, 40),
        (SKEW, 0, 5),
        (NO, 0, 5),
        (AttemptError("a bug"), 9, 300),
    ],
)
def test_the_pause_is_the_backoff_or_the_wish_whichever_is_longer(error: Any, failures: int, expected: int) -> None:
    """Transient, rate limited, clock, rejected: each by its rule, none below 5 s."""
    after, pause = judged(error, Record(proven="good", attempts=failed(failures)))
    assert pause == pytest.approx(expected)
    assert after.failures == failures + 1
    assert present(after.last_error).reason == error.reason


@pytest.mark.parametrize(("error", "expected"), [(DOWN, 5), (TransientError("503", retry_after=60), 60)])
def test_a_refresh_token_that_may_be_spent_does_not_wait_for_the_backoff_of_earlier_failures(
    error: AttemptError, expected: float
) -> None:
    """Also hours into an outage; what the upstream asks for counts."""
    before = failed(9)
    assert isinstance(before, Failing)
    record = Record(attempts=replace(before, failures=replace(before.failures, since=NOW.after(-7200))))
    after = after_failure(record, error, now=NOW, interval_seconds=1.0, secrets="good", draw=1 - 1e-12, is_soon=True)
    assert NOW.until(present(after.next_attempt)) == pytest.approx(expected)
    assert after.failures == 10


def test_a_vendors_interval_holds_after_every_failure() -> None:
    """TT: one POST per 10 s, retries included."""
    assert {judged(error, interval=10.0)[1] for error in (DOWN, NO, SKEW, RateLimitedError("429", retry_after=5))} == {
        10
    }


def test_while_a_token_is_valid_a_quarter_of_what_is_left_bounds_the_pause() -> None:
    """So that some eight tries fit in before the end; afterwards n goes on."""
    lease = Lease("a", Token(Secret("x"), "Bearer", NOW, NOW.after(400)), 1, None, "f")
    assert judged(DOWN, Record(token=Held(lease), attempts=failed(9)))[1] == pytest.approx(100)
    ended = Lease("a", Token(Secret("x"), "Bearer", NOW, NOW.after(-1)), 1, None, "f")
    assert judged(DOWN, Record(token=Held(ended), attempts=failed(9)))[1] == pytest.approx(300)


@pytest.mark.parametrize(("left", "expected"), [(400, 100), (40, 10), (8, 5), (12 * 3600, 300), (-1, 300)])
def test_only_a_rate_limit_binds_for_longer_than_any_backoff(left: float, expected: float) -> None:
    """A 503 that asks for an hour does not let the token run out: a quarter of what is left, 300 s at most."""
    held = Record(token=Held(Lease("a", Token(Secret("x"), "Bearer", NOW, NOW.after(left)), 1, None, "f")))
    assert judged(TransientError("503", retry_after=3600), held)[1] == pytest.approx(expected)
    assert judged(TransientError("503", retry_after=3600), held, interval=30)[1] == pytest.approx(max(expected, 30))
    after, pause = judged(RateLimitedError("429", retry_after=3600), held)
    assert (pause, after.failures) == (3600, 1)


def test_proven_credentials_have_two_refusals_and_unproven_ones_one() -> None:
    """docs/decisions/0006: the second refusal at the latest."""
    first, pause = judged(NO)
    assert (secrets_of(first), refusals(first), pause) == (None, 1, 5)
    second, pause = judged(NO, first)
    assert (secrets_of(second), pause) == ("good", None)
    assert secrets_of(judged(NO, secrets="new")[0]) == "new"
    assert secrets_of(judged(NO, Record())[0]) == "good"


def test_a_clock_that_may_explain_it_is_worth_a_second_try_of_any_credentials() -> None:
    """Clock: learn the offset, retry once."""
    first, pause = judged(SKEW, Record())
    assert (secrets_of(first), pause) == (None, 5)
    assert secrets_of(judged(SKEW, first)[0]) == "good"
    assert secrets_of(judged(NO, first)[0]) == "good"
    assert refusals(judged(ClockError("1970"), first)[0]) == 1


def test_other_failures_between_two_refusals_clear_nothing() -> None:
    """P3: an upstream that alternates 401 and 503 gets the wrong credentials twice, not for ever."""
    record = judged(NO)[0]
    for error in (DOWN, RateLimitedError("429"), SecretError("empty")):
        record = judged(error, record)[0]
        assert (refusals(record), secrets_of(record)) == (1, None)
    assert secrets_of(judged(NO, record)[0]) == "good"


def test_a_failure_never_leaves_rejected() -> None:
    """Only a change, a person or a success does: a secret that vanished and came back is the same secret."""
    after, pause = judged(SecretError("gone"), Record(attempts=Rejected(None, Failures(1, 1), "good")), secrets=None)
    assert (secrets_of(after), pause) == ("good", None)
