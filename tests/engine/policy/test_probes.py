"""Probes of rejected credentials, as values."""

from datetime import UTC, datetime

from tokend.engine.policy.probes import PAUSES_SECONDS, is_due, next_probe, probing, unheard, with_first_probe
from tokend.engine.records.attempt_states import Failures, Rejected
from tokend.engine.records.record import Record
from tokend.values.instant import Instant

NOW = Instant(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)
REJECTED = Record(attempts=Rejected(NOW, Failures(2, 2), "secrets"))


def test_credentials_that_are_not_rejected_have_no_probe() -> None:
    """Nothing changes."""
    for change in (with_first_probe, probing, unheard):
        assert change(Record(), NOW) == Record()
    assert next_probe(Record(), NOW) is None
    assert unheard(REJECTED, NOW) == REJECTED  # a held kind


def test_each_probe_is_followed_by_a_longer_pause_up_to_an_hour() -> None:
    """5, 10, 20, 40 min, then hourly."""
    record, now, pauses = with_first_probe(REJECTED, NOW), NOW, []
    for _ in range(6):
        at = next_probe(record, NOW)
        assert at is not None
        assert not is_due(record, at.after(-1))
        assert is_due(record, at)
        pauses.append(now.until(at))
        record, now = probing(record, at), at
    assert pauses == [*PAUSES_SECONDS, PAUSES_SECONDS[-1]]


def test_a_second_rejection_does_not_move_the_probe() -> None:
    """Queries side by side are refused together."""
    record = with_first_probe(REJECTED, NOW)
    assert with_first_probe(record, NOW.after(60)) == record


def test_a_probe_that_nobody_heard_is_repeated_after_the_same_pause() -> None:
    """The first and a later one; a rejection of 0.1.0 has no moment, and is probed at once."""
    record = probing(with_first_probe(REJECTED, NOW), NOW)
    assert next_probe(unheard(record, NOW), NOW) == NOW.after(300)
    assert is_due(REJECTED, NOW)
    assert next_probe(probing(REJECTED, NOW), NOW) == NOW.after(600)
