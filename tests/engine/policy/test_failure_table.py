"""The table of failures: every error of an attempt has a row, and every row does what it says, for both classes."""

from datetime import UTC, datetime

import pytest

from tests.expecting import present
from tokend.engine.policy.failure import (
    FAILURES,
    Meaning,
    RejectsAt,
    Repeat,
    Wait,
    after_failed_call,
    after_failure,
    meaning_of,
    rejected_on_demand,
    with_refusals,
)
from tokend.engine.records.attempt_states import Failing, Rejected
from tokend.engine.records.record import HostPause, Record
from tokend.values.errors import (
    AttemptError,
    ClockError,
    InvalidParametersError,
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

NOW = Instant(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)
# An error for each row, by the row's name.
ERRORS: dict[str, AttemptError] = {
    "person needed": PersonNeededError("a captcha"),
    "rejected twice": RejectedTwiceError("401, and 401 to the renewal"),
    "rejected": RejectedError("401"),
    "clock, offset learned": ClockError("an hour behind", offset=3600.0),
    "clock, ours is absurd": ClockError("1970"),
    "rate limited": RateLimitedError("429", retry_after=60.0),
    "transient, repeatable": TransientError("504", repeatable=True),
    "transient": TransientError("half an answer"),
    "login refused": LoginRefusedError("invalid_grant"),
    "waiting": WaitingError("waits for a"),
    "secret": SecretError("empty"),
    "bug": AttemptError("a bug"),
}


def held(error: AttemptError, record: Record) -> Record:
    return after_failure(record, error, now=NOW, interval_seconds=1.0, secrets="shown", draw=0.5, host="one:443")


def on_demand(error: AttemptError, record: Record) -> Record:
    return rejected_on_demand(
        after_failed_call(record, error, now=NOW, host="one:443"), error, now=NOW, secrets="shown"
    )


CREDENTIALS = {
    "unproven": (held, Record()),
    "proven": (held, Record(proven="shown")),
    "on_demand": (on_demand, Record()),
}


def test_every_error_of_an_attempt_has_its_row() -> None:
    """The first row that fits counts; each row is met by the error that it is for."""
    assert {name: meaning_of(error).name for name, error in ERRORS.items()} == {row.name: row.name for row in FAILURES}
    kinds = {kind for kind in AttemptError.__subclasses__() if kind is not InvalidParametersError}
    assert kinds <= {row.error for row in FAILURES}


def test_the_table_names_the_refusal_that_rejects() -> None:
    """docs/decisions/0006: unproven credentials of held kinds at once, all others at the second refusal."""
    assert {row.name: row.rejects_at for row in FAILURES if row.is_refusal} == {
        "person needed": RejectsAt(unproven=1, proven=1, on_demand=1),
        "rejected twice": RejectsAt(unproven=1, proven=1, on_demand=1),
        "rejected": RejectsAt(unproven=1, proven=2, on_demand=2),
        "clock, offset learned": RejectsAt(unproven=2, proven=2, on_demand=2),
    }


@pytest.mark.parametrize("row", FAILURES, ids=lambda row: row.name)
@pytest.mark.parametrize("credentials", CREDENTIALS)
def test_credentials_are_rejected_by_the_refusal_that_the_row_names(row: Meaning, credentials: str) -> None:
    """docs/decisions/0006. What is no refusal neither adds to the refusals nor clears them."""
    fail, record = CREDENTIALS[credentials]
    error = ERRORS[row.name]
    at = None if row.rejects_at is None else getattr(row.rejects_at, credentials)
    for number in (1, 2):
        record = fail(error, record)
        assert record.attempts.failures.refusals == (0 if at is None else number)
        assert isinstance(record.attempts, Rejected if at is not None and number >= at else Failing)
        assert (record.failures, present(record.last_error).reason) == (number, error.reason)
        if at is not None and number >= at:
            break
    refused = with_refusals(record, 1)
    assert fail(ERRORS["transient"], refused).attempts.failures.refusals == 1


@pytest.mark.parametrize("row", FAILURES, ids=lambda row: row.name)
def test_only_a_rate_limit_pauses_the_host(row: Meaning) -> None:
    """For every provider of the host, held or on demand."""
    for fail in (held, on_demand):
        expected = HostPause("one:443", NOW.after(60)) if row.pauses_host else None
        assert fail(ERRORS[row.name], Record()).host_pause == expected
    assert row.pauses_host is (row.error is RateLimitedError)


@pytest.mark.parametrize("row", FAILURES, ids=lambda row: row.name)
def test_a_held_kind_waits_as_the_row_says(row: Meaning) -> None:
    """A refusal is not an outage: its pause does not grow. A rejection has none."""
    record = Record(proven="shown")
    for _ in range(6):
        record = after_failure(
            with_refusals(record, 0), ERRORS[row.name], now=NOW, interval_seconds=1.0, secrets="shown", draw=0.5
        )
    if row.rejects_at is not None and row.rejects_at.proven == 1:
        assert record.next_attempt is None
        return
    pause = NOW.until(present(record.next_attempt))
    assert pause == 5.0 if row.wait is Wait.MINIMUM_INTERVAL else pause > 60.0


def test_only_silence_and_a_learned_clock_are_worth_another_call_of_a_query() -> None:
    """docs/vendors.md, auth-token: every other call may have had its effect."""
    assert {row.name: row.repeat for row in FAILURES if row.repeat is not Repeat.NEVER} == {
        "clock, offset learned": Repeat.WITH_THE_LEARNED_CLOCK,
        "transient, repeatable": Repeat.AFTER_A_PAUSE,
    }


def test_a_host_without_a_usable_retry_after_is_left_alone_for_the_backoff_or_for_five_seconds() -> None:
    """Held kinds have a backoff, on-demand kinds a fixed pause."""
    error = RateLimitedError("429")
    after = held(error, Record())
    assert present(after.host_pause).until == after.next_attempt
    assert present(on_demand(error, Record()).host_pause).until == NOW.after(5)


def test_an_attempt_that_sent_nothing_leaves_the_minimum_interval_alone() -> None:
    """A secret could not be read: the vendor saw no request."""
    record = Record(attempts=Failing(NOW.after(-60), None, Record().attempts.failures))
    error = ERRORS["secret"]
    unsent = after_failure(record, error, now=NOW, interval_seconds=1.0, secrets=None, draw=0.5)
    assert unsent.last_attempt == NOW.after(-60)
    assert held(error, record).last_attempt == NOW


def test_secrets_that_cannot_be_read_any_more_are_not_rejected() -> None:
    """They have changed already."""
    error = ERRORS["rejected"]
    twice = after_failed_call(after_failed_call(Record(), error, now=NOW, host=None), error, now=NOW, host=None)
    assert not rejected_on_demand(twice, error, now=NOW, secrets=None).rejected
    assert rejected_on_demand(twice, error, now=NOW, secrets="shown").rejected
