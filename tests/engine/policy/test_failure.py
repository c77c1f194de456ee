"""judgement: the class of a failure decides. Arithmetic only."""

from datetime import UTC, datetime

import pytest

from tokend.engine.policy.failure import judge
from tokend.engine.records.record import Record
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


def judged(error: AttemptError, record: Record = PROVEN, *, interval: float = 1.0, secrets: str | None = "good"):
    after = judge(error, record, now=NOW, interval_seconds=interval, secrets=secrets, draw=1 - 1e-12)
    return after, None if after.next_attempt is None else NOW.until(after.next_attempt)


@pytest.mark.parametrize(
    ("error", "failures", "expected"),
    [
        (DOWN, 0, 5),
        (DOWN, 3, 40),
        (TransientError("503", retry_after=60), 0, 60),
        (TransientError("503", retry_after=60), 5, 160),
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
def test_the_pause_is_the_backoff_or_the_wish_whichever_is_longer(error, failures, expected):
    """Transient, rate limited, clock, rejected: each by its rule, none below 5 s."""
    after, pause = judged(error, Record(proven="good", failures=failures))
    assert pause == pytest.approx(expected)
    assert after.failures == failures + 1
    assert after.last_error.reason == error.reason


def test_a_vendors_interval_holds_after_every_failure():
    """TT: one POST per 10 s, retries included."""
    assert {judged(error, interval=10.0)[1] for error in (DOWN, NO, SKEW, RateLimitedError("429", retry_after=5))} == {
        10
    }


def test_while_a_token_is_valid_a_quarter_of_what_is_left_bounds_the_pause():
    """So that some eight tries fit in before the end; afterwards n goes on."""
    lease = Lease("a", Token(Secret("x"), "Bearer", NOW, NOW.after(400)), 1, None, "f")
    assert judged(DOWN, Record(lease=lease, failures=9))[1] == pytest.approx(100)
    ended = Lease("a", Token(Secret("x"), "Bearer", NOW, NOW.after(-1)), 1, None, "f")
    assert judged(DOWN, Record(lease=ended, failures=9))[1] == pytest.approx(300)


def test_proven_credentials_have_two_verdicts_and_unproven_ones_one():
    """docs/decisions/0006: the second verdict at the latest."""
    first, pause = judged(NO)
    assert (first.rejected, first.verdicts, pause) == (None, 1, 5)
    second, pause = judged(NO, first)
    assert (second.rejected, pause) == ("good", None)
    assert judged(NO, secrets="new")[0].rejected == "new"
    assert judged(NO, Record())[0].rejected == "good"


def test_a_clock_that_may_explain_it_is_worth_a_second_try_of_any_credentials():
    """Clock: learn the offset, retry once."""
    first, pause = judged(SKEW, Record())
    assert (first.rejected, pause) == (None, 5)
    assert judged(SKEW, first)[0].rejected == "good"
    assert judged(NO, first)[0].rejected == "good"
    assert judged(ClockError("1970"), first)[0].verdicts == 1


def test_other_failures_between_two_verdicts_clear_nothing():
    """P3: an upstream that alternates 401 and 503 gets the wrong credentials twice, not for ever."""
    record = judged(NO)[0]
    for error in (DOWN, RateLimitedError("429"), SecretError("empty")):
        record = judged(error, record)[0]
        assert (record.verdicts, record.rejected) == (1, None)
    assert judged(NO, record)[0].rejected == "good"


def test_a_failure_never_leaves_rejected():
    """Only a change, a person or a success does: a secret that vanished and came back is the same secret."""
    after, pause = judged(SecretError("gone"), Record(rejected="good"), secrets=None)
    assert (after.rejected, pause) == ("good", None)
