"""The record after a token has arrived. Pure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.expecting import present
from tests.fakes import FakeHeld, FakeLocal, literal
from tokend.engine.policy.success import NewToken, after_success
from tokend.engine.records.attempt_states import Failing, Failures, Settled
from tokend.engine.records.fingerprints import Identity
from tokend.engine.records.record import HostPause, Record
from tokend.engine.records.token_states import Held
from tokend.plugin.settings import HeldSettings
from tokend.values.errors import TransientError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import Token

NOW = Instant(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)
HOUR = 3600.0
MINE = Identity("account", "request", "secrets")
SETTINGS = FakeHeld(base_url="one")


def arrived(
    record: Record,
    value: str = "fake-token",
    *,
    now: Instant = NOW,
    life: float | None = 10 * HOUR,
    identity: Identity = MINE,
    settings: HeldSettings = SETTINGS,
    extended_at: Instant | None = None,
) -> Record:
    """Let a token arrive that was issued at NOW, or whose end the upstream has moved at ``extended_at``."""
    begins = extended_at or NOW
    ends = None if life is None else begins.after(life)
    token = Token(Secret(value), "Bearer", begins, ends, is_extended=extended_at is not None)
    return after_success(record, NewToken("a", token, "0123456789ab", now, 0.0), settings, identity)


def test_a_first_token_is_held_with_a_generation_of_unix_seconds() -> None:
    """Generations must stay unique where the state was lost. The token is replaced when a fifth of its life is left."""
    after = arrived(Record())
    lease = present(after.lease)
    assert (lease.name, lease.generation, after.generation) == ("a", int(NOW.wall.timestamp()), lease.generation)
    assert lease.refresh_at == NOW.after(8 * HOUR)
    assert (after.account, after.request, after.proven) == ("account", "request", "secrets")


def test_a_generation_only_rises() -> None:
    """Also where the wall clock was set back since the last token."""
    before = Record(generation=9_999_999_999)
    assert arrived(before).generation == 10_000_000_000


def test_a_success_ends_a_run_of_failures() -> None:
    """The next pause starts from the shortest one."""
    assert arrived(Record(attempts=Failing(NOW, NOW.after(60), Failures(7, 1, NOW)))).attempts == Settled(NOW)


def test_the_same_token_again_keeps_its_lease_and_is_asked_for_at_half_of_what_remains() -> None:
    """Nothing is published: the generation stays, and so does the end."""
    before = arrived(Record())
    after = arrived(before, now=NOW.after(8 * HOUR))
    assert after.generation == before.generation
    assert present(after.lease).token == present(before.lease).token
    assert present(after.lease).refresh_at == NOW.after(9 * HOUR)


@pytest.mark.parametrize(("life", "refresh"), [(20 * HOUR, 16 * HOUR), (HOUR, 0.8 * HOUR), (None, None)])
def test_the_same_token_with_another_end_keeps_its_generation(life: float | None, refresh: float | None) -> None:
    """The upstream itself has moved its end: life and lead count from then on. What is kept says nothing of it."""
    before, now = arrived(Record()), NOW.after(8 * HOUR)
    after = arrived(before, now=now, life=life, extended_at=now)
    assert after.generation == before.generation == present(after.lease).generation
    token = present(after.lease).token
    assert (token.issued_at, token.expires_at) == (now, None if life is None else now.after(life))
    assert present(after.lease).refresh_at == (None if refresh is None else now.after(refresh))
    assert not token.is_extended
    again = arrived(after, now=now.after(60), life=20 * HOUR, extended_at=now.after(60))
    assert present(again.lease).refresh_at == now.after(60 + 16 * HOUR), "the lead does not grow with each extension"


def test_another_end_of_a_token_that_an_earlier_boot_dated_keeps_the_generation() -> None:
    """Its end is known for certain now."""
    before = arrived(Record())
    assert isinstance(before.token, Held)
    adrift = replace(before, token=replace(before.token, adrift=True))
    after = arrived(adrift, now=NOW.after(HOUR), extended_at=NOW.after(HOUR))
    assert (after.generation, isinstance(after.token, Held) and after.token.adrift) == (before.generation, False)


def test_another_end_of_another_token_or_account_is_a_new_token() -> None:
    """Only the token held can have kept its generation."""
    before, now = arrived(Record()), NOW.after(HOUR)
    other = Identity("another", "request", "secrets")
    changed = [
        arrived(before, "fake-other", now=now, extended_at=now),
        arrived(before, now=now, extended_at=now, identity=other),
        arrived(before.outdated_by(before.generation + 5), now=now, extended_at=now),
    ]
    for after in changed:
        assert after.generation > before.generation
        assert not present(after.lease).token.is_extended


def test_the_same_token_is_not_asked_for_without_end() -> None:
    """At the very end of its life the minimum interval holds; minting here costs nothing and may be repeated."""
    end = NOW.after(10 * HOUR - 0.5)
    minted = FakeLocal(secret=literal("fake"), life=10 * HOUR)
    asked = present(present(arrived(arrived(Record()), now=end).lease).refresh_at)
    local = present(present(arrived(arrived(Record()), now=end, settings=minted).lease).refresh_at)
    assert end.until(local) == 0.25
    assert end.until(asked) > 0.25


def test_the_same_token_after_its_end_is_a_failure() -> None:
    """An upstream that returns an expired token is asked again later."""
    with pytest.raises(TransientError, match="had expired already"):
        arrived(arrived(Record()), now=NOW.after(11 * HOUR))


def test_the_same_token_without_an_end_changes_nothing() -> None:
    """There is no moment to move."""
    before = arrived(Record(), life=None)
    assert arrived(before, now=NOW.after(HOUR), life=None).token == before.token


def test_the_same_value_is_a_new_token_for_another_account_or_after_a_reboot() -> None:
    """Sinks of the other account must be written; a token of an earlier boot gets certain dates."""
    before = arrived(Record())
    other = arrived(before, identity=replace(MINE, account="another"))
    assert other.generation == before.generation + 1
    assert isinstance(before.token, Held)
    adrift = replace(before, token=replace(before.token, adrift=True))
    again = arrived(adrift)
    assert again.generation == before.generation + 1
    assert isinstance(again.token, Held)
    assert not again.token.adrift


def test_only_the_pause_of_another_host_stays() -> None:
    """The host that gave this token is not busy; the record may have been another kind's before."""
    kept = HostPause("two", NOW.after(600))
    assert arrived(Record(host_pause=kept)).host_pause == kept
    assert arrived(Record(host_pause=HostPause("one", NOW.after(600)))).host_pause is None


def test_a_token_over_an_outdated_one_gets_a_generation_above_the_newer_one() -> None:
    """Also where it is the token held: a newer one was published since."""
    old = arrived(Record()).outdated_by(2**40)
    for value in ("fake-token", "another-fake-token"):
        after = arrived(old, value)
        assert (present(after.lease).generation, after.generation, after.is_outdated) == (2**40 + 1, 2**40 + 1, False)


@pytest.mark.parametrize(("life", "waits"), [(10 * HOUR, 600), (900.0, 450), (6.0, 5), (None, 600)])
def test_the_same_token_again_is_asked_for_at_the_greatest_age_from_now(life: float | None, waits: float) -> None:
    """Or at half of what remains; a token without an end is not asked for again and again either."""
    settings = FakeHeld(max_age=timedelta(minutes=10))
    first = arrived(Record(), life=life, settings=settings)
    again = arrived(first, life=life, settings=settings)
    assert present(again.lease).generation == present(first.lease).generation
    assert NOW.until(present(present(again.lease).refresh_at)) == pytest.approx(waits)
