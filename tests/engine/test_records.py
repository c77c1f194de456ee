"""Records: what a restart finds again, and what a reboot does to times."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from tokend.engine.records.attempt_states import (
    NO_FAILURES,
    Failing,
    Failures,
    Interrupted,
    Rejected,
    Settled,
    UnderWay,
)
from tokend.engine.records.codec import dump, load
from tokend.engine.records.record import HostPause, Record, re_anchored
from tokend.engine.records.token_states import NO_TOKEN, WITHDRAWN, Held
from tokend.values.errors import StoreError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.status import Failure
from tokend.values.tokens import Lease, Token, native

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
)
STATES = [
    Settled(),
    Settled(START),
    Interrupted(START, START.after(5)),
    Failing(START, None, FAILURES),
    Rejected(START, FAILURES, "sec"),
    UnderWay(START, START.after(5), NO_FAILURES, None),
    UnderWay(START, START.after(5), FAILURES, "sec"),
]

# Every member has a value.
FULLEST = replace(FULL, attempts=STATES[-1])


def loaded(record: Record, *, boot_id: str = "boot", now: Instant = START) -> Record:
    name, again = load(dump("a", record, "boot"), boot_id=boot_id, now=now)
    assert name == "a"
    return again


@pytest.mark.parametrize("attempts", STATES, ids=lambda state: type(state).__name__)
@pytest.mark.parametrize("token", [NO_TOKEN, WITHDRAWN, HELD], ids=lambda state: type(state).__name__)
def test_a_restart_finds_every_field_again(token, attempts):
    """Last request time, Retry-After, failures, rejected, jitter: all of it."""
    record = replace(FULL, token=token, attempts=attempts)
    assert loaded(record) == record
    assert loaded(replace(record, host_pause=None)) == replace(record, host_pause=None)


def test_a_record_without_an_end_survives_too():
    """expires_at and refresh_at may be None."""
    endless = Token(Secret("x"), "Bearer", START, None)
    record = Record(token=Held(Lease("a", endless, 1, None, "f")), generation=1)
    assert loaded(record) == record
    assert loaded(record, boot_id="other").lease.token.expires_at is None
    assert native(record.lease)["expires_at"] is None
    assert native(FULL.lease)["expires_at_unix"] == TOKEN.expires_at.wall.timestamp()


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.update(version=2),
        lambda d: d.pop("lease"),
        lambda d: d.update(generation="many"),
        lambda d: d["lease"]["token"].update(issued_at=None),
        lambda d: d["lease"]["token"].update(issued_at=["2026-01-01T00:00:00", 1.0]),
        lambda d: d["lease"]["token"].update(headers=[]),
    ],
)
def test_what_tokend_did_not_write_is_a_store_error_that_quotes_nothing(damage):
    """docs/promises.md 64: set aside, never a crash loop, and no secret in the message."""
    document = orjson.loads(dump("a", FULL, "boot"))
    damage(document)
    with pytest.raises(StoreError) as refused:
        load(orjson.dumps(document), boot_id="boot", now=START)
    assert "fake" not in str(refused.value)


def places(document, path=()):
    """Every value of a document that stands in a place of its own, by the keys that lead there."""
    for key, value in document.items():
        yield (*path, key)
        if isinstance(value, dict) and key != "plain":
            yield from places(value, (*path, key))


@pytest.mark.parametrize("wrong", [7.5, True, "x", [], {}, ["2026-01-01T00:00:00", 1.0]])
def test_a_value_of_another_type_is_a_store_error_too(wrong):
    """docs/promises.md 64: believed, it would break whatever uses it later, at every start anew."""
    for path in places(orjson.loads(dump("a", FULLEST, "boot"))):
        document = place = orjson.loads(dump("a", FULLEST, "boot"))
        for key in path[:-1]:
            place = place[key]
        fits = path[-1] in {"plain", "boot_id"} or place[path[-1]] == wrong or type(place[path[-1]]) is type(wrong)
        place[path[-1]] = wrong
        if not fits and not (wrong == {} and path[-1] in {"headers", "extra"}):
            with pytest.raises(StoreError):
                load(orjson.dumps(document), boot_id="boot", now=START)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"version":1}', b'"x"'])
def test_other_content_is_a_store_error(content):
    """Whatever a power cut left behind."""
    with pytest.raises(StoreError):
        load(content, boot_id="boot", now=START)


def booted(hours: float, *, boot: float = 10.0) -> Instant:
    """A moment of another boot, so many hours after START on the wall."""
    return Instant(START.wall + timedelta(hours=hours), boot)


def test_after_a_reboot_a_token_ends_when_the_wall_says_so():
    """docs/promises.md 35: stamps of the boot line are void."""
    now = booted(2)
    record = loaded(FULL, boot_id="other", now=now)
    assert record.token.adrift
    assert now.until(record.lease.token.expires_at) == pytest.approx(10 * HOUR)
    assert now.until(record.lease.refresh_at) == pytest.approx(7 * HOUR)
    assert record.lease.token.expires_at.wall == TOKEN.expires_at.wall


def test_a_reboot_of_a_provider_that_held_nothing_moves_its_pauses_alone():
    """Nothing else has boot times."""
    record = loaded(Record(attempts=Interrupted(None, START.after(60))), boot_id="other", now=booted(0))
    assert record.token is NO_TOKEN
    assert booted(0).until(record.next_attempt) == pytest.approx(60)


@pytest.mark.parametrize("hours", [-3, -24 * 365 * 56, 24 * 365 * 73])
def test_a_wrong_clock_at_boot_neither_expires_a_token_nor_lengthens_its_life(hours):
    """docs/promises.md 36: RTC in 1970 or 2099, or behind the issue: at most one life from now, no pause for ever."""
    now = booted(hours)
    record = loaded(FULL, boot_id="other", now=now)
    assert 0 < now.until(record.lease.token.expires_at) <= 12 * HOUR + 1
    assert 0 <= now.until(record.next_attempt) <= HOUR
    assert 0 <= now.until(record.host_pause.until) <= HOUR
    assert -HOUR <= now.until(record.last_attempt) <= 0


def test_a_clock_set_after_boot_dates_the_token_anew():
    """P6, wrong clock at boot: what had run out while the machine was off is noticed when the clock is right."""
    record = loaded(FULL, boot_id="other", now=booted(0))
    assert re_anchored(record, booted(0, boot=40.0)) is not record
    assert re_anchored(record, booted(0.0001, boot=10.0)) is record
    now = booted(13, boot=20.0)
    assert now.until(re_anchored(record, now).lease.token.expires_at) == pytest.approx(-HOUR)


@pytest.mark.parametrize("hours", [-5, 24 * 365 * 73])
def test_a_clock_that_cannot_be_right_dates_nothing_anew(hours):
    """Before the issue, or in another century."""
    record = loaded(FULL, boot_id="other", now=booted(1))
    assert re_anchored(record, booted(hours, boot=20.0)) is record


def test_a_lease_of_this_boot_is_never_dated_by_the_wall():
    """The boot line decides as long as there is one."""
    assert re_anchored(FULL, booted(20)) is FULL
    assert re_anchored(Record(), booted(20)) == Record()


def test_a_pause_that_was_dated_by_a_clock_which_is_not_believed_any_more_is_one_of_our_own_at_the_longest():
    """Failed in 2099, booted today: nobody waits for seventy years, nor for the hour that a host may ask for."""
    late = Instant(datetime(2099, 1, 1, tzinfo=UTC), 5000.0)
    failed = Record(attempts=Failing(late, late.after(20), FAILURES), host_pause=HostPause("one", late.after(20)))
    record = loaded(failed, boot_id="other", now=booted(0))
    assert booted(0).until(record.next_attempt) == pytest.approx(300)
    assert booted(0).until(record.host_pause.until) == pytest.approx(HOUR)


@pytest.mark.parametrize("hours", [0, 48, -48])
def test_the_last_attempt_was_before_this_boot_whatever_the_clock_says(hours):
    """Its floor counts from the boot: a wall clock that runs ahead by two days must not end it."""
    now = booted(hours, boot=4.0)
    assert now.until(loaded(Record(attempts=Settled(START)), boot_id="other", now=now).last_attempt) == pytest.approx(
        -4.0
    )
    late = booted(hours, boot=80 * HOUR)
    assert late.until(loaded(Record(attempts=Settled(START)), boot_id="other", now=late).last_attempt) == pytest.approx(
        -HOUR
    )
