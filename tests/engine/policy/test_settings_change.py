"""Reconciling a record with settings and secrets: what another secret or another request clears. Pure."""

from datetime import UTC, datetime

import pytest

from tests.fakes import FakeHeld
from tokend.engine.policy.settings_change import reconcile
from tokend.engine.records.attempt_states import AttemptState, Failing, Failures, Interrupted, Rejected, Settled
from tokend.engine.records.fingerprints import Identity
from tokend.engine.records.record import Record
from tokend.values.instant import Instant
from tokend.values.status import Failure

NOW = Instant(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)
TWICE = Failures(2, 2, NOW, Failure("rejected", "401", NOW.wall))
ONCE = Failures(1, 1, NOW, Failure("rejected", "401", NOW.wall))
REJECTED = Record(request="asked", attempts=Rejected(NOW, TWICE, "old secrets"))


def reconciled(record: Record, *, secrets: str = "new secrets", request: str = "asked") -> tuple[Record, bool]:
    return reconcile(record, FakeHeld(), request=request, identity=Identity("account", request, secrets))


def test_refusals_of_the_old_secrets_do_not_count_for_new_ones() -> None:
    """Else one odd answer would reject them, whatever our clock said. The outage is as old as before."""
    after, ask = reconciled(REJECTED)
    assert ask
    assert after.attempts == Failing(NOW, None, Failures(2, 0, NOW, TWICE.last_error))


def test_the_rejected_secrets_stay_rejected() -> None:
    """Also where something else in the request changed: it is their second refusal that counts."""
    assert reconciled(REJECTED, secrets="old secrets") == (REJECTED, False)
    assert reconciled(REJECTED, secrets="old secrets", request="another") == (REJECTED, False)


def test_another_request_clears_the_refusals_and_the_backoff() -> None:
    """The refusal may have been due to what was asked for."""
    record = Record(request="asked", attempts=Failing(NOW, NOW.after(60), ONCE))
    after, ask = reconciled(record, request="another")
    assert ask
    assert after.attempts == Failing(NOW, None, Failures(1, 0, NOW, ONCE.last_error))
    assert reconciled(record) == (record, False)


@pytest.mark.parametrize("attempts", [Settled(NOW), Interrupted(NOW, NOW.after(5))])
def test_another_request_is_sent_as_soon_as_one_may_be(attempts: AttemptState) -> None:
    """No backoff is left to wait for; the minimum interval still counts from the last attempt."""
    after, ask = reconciled(Record(request="asked", attempts=attempts), request="another")
    assert ask
    assert after.attempts == Settled(NOW)
