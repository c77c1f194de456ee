"""Records: what a restart finds again, and what a reboot does to times."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.expecting import present
from tokend.engine.policy.probes import next_probe
from tokend.engine.records.adrift import seconds_until
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
HELD = Held(
    Lease("a", TOKEN, 7, START.after(9 * HOUR), "0123456789ab"),
    lead_seconds=2.5 * HOUR,
    jitter=0.25,
    max_age_seconds=24 * HOUR,
)
FAILURES = Failures(3, 1, START.after(-60), Failure("transient", "down", START.wall, "the vendor's words"), 2)
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


@pytest.mark.parametrize("says_when", [True, False], ids=["this version", "0.1.0"])
@pytest.mark.parametrize("hours", [0, -24, 24 * 365 * -56])
def test_a_reboot_makes_no_pause_longer_whatever_the_clock_says(hours: float, says_when: bool) -> None:
    """Failed in 2099, booted today; failed today, booted behind: what was left when it was saved is the most."""
    late = Instant(datetime(2099, 1, 1, tzinfo=UTC) if not hours else START.wall, 5000.0)
    failed = Record(attempts=Failing(late, late.after(20), FAILURES), host_pause=HostPause("one", late.after(30)))
    content = dump("a", failed, "boot", late if says_when else None)
    now = booted(hours)
    _, record = load(content, boot_id="other", now=now)
    assert seconds_until(present(record.next_attempt), now) == pytest.approx(20)
    assert seconds_until(present(record.host_pause).until, now) == pytest.approx(30)
    age = -seconds_until(present(record.attempts.failures.since), now)
    assert age == pytest.approx(60 if hours else late.until(START) + 60, abs=1)


def test_a_probe_of_rejected_credentials_is_a_pause_too() -> None:
    """It is saved with the moment from which it counts."""
    rejected = Record(attempts=Rejected(None, FAILURES, "sec", Probe(0, START.after(300))))
    assert rejected.has_pauses
    assert not Record(attempts=Rejected(None, NO_FAILURES, "sec")).has_pauses
    now = booted(-24)
    _, record = load(dump("a", rejected, "boot", START), boot_id="other", now=now)
    assert now.until(present(next_probe(record, now))) == pytest.approx(300)
    right = Instant(booted(0.05).wall, now.boot + 5)
    assert right.until(present(next_probe(record, right))) == pytest.approx(120)


def test_an_hour_off_ends_every_pause_and_a_restart_keeps_what_is_left() -> None:
    """The clock is right; the moments stay adrift across a restart in the new boot."""
    content = dump("a", FULL, "boot", START)
    assert not [m for m in pauses_left(load(content, boot_id="other", now=booted(1))[1], booted(1)) if m > 0]
    now = booted(-24)
    _, record = load(content, boot_id="other", now=now)
    assert pauses_left(record, now) == pytest.approx([60, 600])
    later = Instant(now.wall + timedelta(seconds=8), now.boot + 8)
    _, again = load(dump("a", record, "other", now), boot_id="other", now=later)
    assert again == record
    assert pauses_left(again, later) == pytest.approx([52, 592])
    assert pauses_left(again, Instant(booted(0.1).wall, later.boot)) == pytest.approx([60 - 360, 600 - 360])


def pauses_left(record: Record, now: Instant) -> list[float]:
    return [seconds_until(present(m), now) for m in (record.next_attempt, present(record.host_pause).until)]


def test_what_was_forgotten_is_remembered_for_the_rest_of_its_life_at_least() -> None:
    """A boot with a clock that runs ahead must not bring it back; it is remembered no longer than it was to live."""
    for hours in (-24, 0, 24):
        _, record = load(dump("a", FULL, "boot", START), boot_id="other", now=booted(hours))
        one, endless = record.forgotten
        assert endless == FULL.forgotten[1]
        assert not one.is_over(Instant(booted(24).wall, booted(0).boot + HOUR - 1))
        assert not one.is_over(Instant(booted(0.9).wall, booted(0).boot + HOUR + 1))
        assert one.is_over(Instant(booted(1).wall, booted(0).boot + HOUR))


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


def test_a_record_is_outdated_by_a_higher_generation_only() -> None:
    """And a restart knows it."""
    assert not FULL.is_outdated
    assert FULL.outdated_by(7) is FULL
    assert FULL.outdated_by(6) is FULL
    after = FULL.outdated_by(8)
    assert (after.is_outdated, after.generation, present(after.lease).generation) == (True, 8, 7)
    assert load(dump("a", after, "boot"), boot_id="boot", now=START)[1].is_outdated
    assert not Record().outdated_by(8).is_outdated
