"""Reconciling a record with settings and secrets: what another secret or another request clears. Pure."""

from dataclasses import replace
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


def reconciled(
    record: Record, *, secrets: str = "new secrets", request: str = "asked", connection: str = "direct"
) -> tuple[Record, bool]:
    identity = Identity("account", request, secrets)
    return reconcile(record, FakeHeld(), request=request, connection=connection, identity=identity)


def test_refusals_of_the_old_secrets_do_not_count_for_new_ones() -> None:
    """Else one odd answer would reject them, whatever our clock said. The outage is as old as before."""
    after, ask = reconciled(REJECTED)
    assert ask
    assert after.attempts == Failing(NOW, None, Failures(2, 0, NOW, TWICE.last_error))


def test_the_rejected_secrets_stay_rejected() -> None:
    """Also where something else in the request changed: it is their second refusal that counts."""
    assert reconciled(REJECTED, secrets="old secrets") == (REJECTED, False)
    assert reconciled(REJECTED, secrets="old secrets", request="another") == (REJECTED, False)


def test_another_request_clears_the_refusals_and_the_failures() -> None:
    """They may have been due to what was asked for, and where. The minimum interval counts from the last attempt."""
    record = Record(request="asked", attempts=Failing(NOW, NOW.after(60), ONCE))
    after, ask = reconciled(record, request="another")
    assert ask
    assert after.attempts == Settled(NOW)
    assert reconciled(record) == (record, False)


def test_another_way_clears_the_failures_and_keeps_the_refusals() -> None:
    """The credentials are the same, and go to the same upstream. Without a failure another way causes no attempt."""
    failing = Record(request="asked", connection="by proxy", attempts=Failing(NOW, NOW.after(60), ONCE))
    after, ask = reconciled(failing)
    assert (ask, after.attempts) == (True, Failing(NOW, None, Failures(refusals=1)))
    assert reconciled(failing, connection="by proxy") == (failing, False)
    rejected = replace(REJECTED, connection="by proxy")
    after, ask = reconciled(rejected, secrets="old secrets")
    assert (ask, after.attempts) == (True, Failing(NOW, None, Failures(refusals=1)))
    well = Record(request="asked", connection="by proxy", attempts=Settled(NOW))
    assert reconciled(well) == (well, False)


def test_what_goes_elsewhere_begins_again_also_where_a_secret_cannot_be_read() -> None:
    """Rejected credentials stay so: it is not known whether they are the same."""

    def blindly(record: Record, request: str) -> tuple[Record, bool]:
        return reconcile(record, FakeHeld(), request=request, connection="direct", identity=None)

    record = Record(request="asked", attempts=Failing(NOW, NOW.after(60), ONCE))
    assert blindly(record, "another") == (Record(request="asked", attempts=Settled(NOW)), True)
    assert blindly(REJECTED, "another") == (REJECTED, False)


@pytest.mark.parametrize("attempts", [Settled(NOW), Interrupted(NOW, NOW.after(5))])
def test_another_request_is_sent_as_soon_as_one_may_be(attempts: AttemptState) -> None:
    """No backoff is left to wait for; the minimum interval still counts from the last attempt."""
    after, ask = reconciled(Record(request="asked", attempts=attempts), request="another")
    assert ask
    assert after.attempts == Settled(NOW)
