"""Records: what a restart finds again, and what a reboot does to times."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.expecting import present
from tokend.engine.records.attempt_states import (
    NO_FAILURES,
    Failing,
    Failures,
    Interrupted,
    Probe,
    Rejected,
    Settled,
    UnderWay,
)
from tokend.engine.records.codec import dump, load
from tokend.engine.records.forgotten import Forgotten
from tokend.engine.records.record import HostPause, Record
from tokend.engine.records.token_states import NO_TOKEN, Held
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.status import Failure
from tokend.values.tokens import Lease, Token

START = Instant(datetime(2026, 1, 1, tzinfo=UTC), 5000.0)
HOUR = 3600.0
TOKEN = Token(
    Secret("fake-token"),
    "Bearer",
    START,
    START.after(12 * HOUR),
    headers={"Authorization": Secret("Bearer fake-token")},
    extra={"user": "somebody", "link": Secret("https://fake")},
    renewal=Secret("fake-renewal"),
)
HELD = Held(Lease("a", TOKEN, 7, START.after(9 * HOUR), "0123456789ab"), lead_seconds=2.5 * HOUR, jitter=0.25)
FAILURES = Failures(3, 1, START.after(-60), Failure("transient", "down", START.wall), 2)
FULL = Record(
    generation=7,
    account="acc",
    request="req",
    proven="sec",
    token=HELD,
    attempts=Failing(START, START.after(60), FAILURES),
    host_pause=HostPause("one:443", START.after(600)),
    forgotten=(Forgotten("0123456789ab", START.after(HOUR)), Forgotten("ba9876543210", None)),
)
STATES = [
    Settled(),
    Settled(START),
    Interrupted(START, START.after(5)),
    Failing(START, None, FAILURES),
    Rejected(START, FAILURES, "sec"),
    Rejected(START, FAILURES, "sec", Probe(2, START.after(1200))),
    UnderWay(START, START.after(5), NO_FAILURES, None),
    UnderWay(START, START.after(5), FAILURES, "sec"),
]

# Every member has a value.
FULLEST = replace(FULL, attempts=STATES[-1])


def loaded(record: Record, *, boot_id: str = "boot", now: Instant = START) -> Record:
    name, again = load(dump("a", record, "boot"), boot_id=boot_id, now=now)
    assert name == "a"
    return again


def booted(hours: float, *, boot: float = 10.0) -> Instant:
    """A moment of another boot, so many hours after START on the wall."""
    return Instant(START.wall + timedelta(hours=hours), boot)


def test_a_reboot_of_a_provider_that_held_nothing_moves_its_pauses_alone() -> None:
    """Nothing else has boot times."""
    record = loaded(Record(attempts=Interrupted(None, START.after(60))), boot_id="other", now=booted(0))
    assert record.token is NO_TOKEN
    assert booted(0).until(present(record.next_attempt)) == pytest.approx(60)


def test_a_pause_that_was_dated_by_a_clock_which_is_not_believed_any_more_is_one_of_our_own_at_the_longest() -> None:
    """Failed in 2099, booted today: nobody waits for seventy years, nor for the hour that a host may ask for."""
    late = Instant(datetime(2099, 1, 1, tzinfo=UTC), 5000.0)
    failed = Record(attempts=Failing(late, late.after(20), FAILURES), host_pause=HostPause("one", late.after(20)))
    record = loaded(failed, boot_id="other", now=booted(0))
    assert booted(0).until(present(record.next_attempt)) == pytest.approx(300)
    assert booted(0).until(present(record.host_pause).until) == pytest.approx(HOUR)


@pytest.mark.parametrize("hours", [0, 48, -48])
def test_the_last_attempt_was_before_this_boot_whatever_the_clock_says(hours: int) -> None:
    """Its minimum interval counts from the boot: a wall clock that runs ahead by two days must not end it."""
    now = booted(hours, boot=4.0)
    assert now.until(
        present(loaded(Record(attempts=Settled(START)), boot_id="other", now=now).last_attempt)
    ) == pytest.approx(-4.0)
    late = booted(hours, boot=80 * HOUR)
    assert late.until(
        present(loaded(Record(attempts=Settled(START)), boot_id="other", now=late).last_attempt)
    ) == pytest.approx(-HOUR)
