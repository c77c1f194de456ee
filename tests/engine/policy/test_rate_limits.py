"""Rate limits of readers and of hosts."""

from datetime import timedelta

import pytest

from tests.engine.policy.test_refresh_timing import START
from tests.expecting import present
from tokend.engine.policy.rate_limits import MOST_UIDS, Allowance, HostLimits, UidRates
from tokend.engine.records.adrift import Adrift
from tokend.values.instant import Instant


def test_readers_have_three_attempts_and_then_one_per_five_minutes() -> None:
    """The allowance: three at once, then one per 5 min."""
    allowance = Allowance()
    assert [allowance.take(START) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert allowance.take(START) == pytest.approx(300.0)
    assert allowance.take(START.after(299)) == pytest.approx(1.0)
    assert allowance.take(START.after(301)) == 0.0
    assert allowance.take(START.after(301)) > 290


def test_a_hosts_pause_is_never_shortened_and_ends_by_itself() -> None:
    """Retry-After binds all providers of a host."""
    limits = HostLimits()
    limits.block("one:443", START.after(100))
    limits.block("one:443", START.after(10))
    assert limits.seconds("one:443", START) == pytest.approx(100)
    assert limits.seconds("other:443", START) == 0.0
    assert limits.seconds("one:443", START.after(101)) == 0.0
    assert limits.seconds(None, START) == 0.0
    limits.block(None, START.after(10))
    assert limits.pause("other:443", START) is None


def test_a_host_knows_whose_request_it_answered_with_the_pause() -> None:
    """The longest pause counts."""
    limits = HostLimits()
    limits.block("one:443", START.after(10), by="a")
    limits.block("one:443", START.after(100), by="b")
    limits.block("one:443", START.after(50), by="c")
    assert present(limits.pause("one:443", START)).by == "b"


def test_a_pause_of_an_earlier_boot_neither_hides_a_new_one_nor_is_hidden_by_it() -> None:
    """It ends as soon as the wall clock says so; until then the later of the two counts."""
    limits = HostLimits()
    limits.block("one:443", Adrift(START.wall + timedelta(seconds=20), START.boot + 600), by="a")
    limits.block("one:443", START.after(60), by="b")
    limits.block("one:443", START.after(30), by="c")
    assert limits.seconds("one:443", START) == pytest.approx(60)
    behind = Instant(START.wall - timedelta(days=1), START.boot)
    assert limits.seconds("one:443", behind) == pytest.approx(600)
    assert present(limits.pause("one:443", behind)).by == "a"
    assert limits.pause("one:443", START.after(61)) is None
    assert limits.seconds("one:443", Instant(behind.wall, START.boot + 61)) == pytest.approx(539)


def test_uids_have_buckets_of_their_own_within_bounded_memory() -> None:
    """A user may have thousands of uids: those beyond the bound share one bucket, which is no way around the limit."""
    rates, at = UidRates(), START

    def take(uid: int, now: Instant = at) -> float:
        return rates.take(uid, now, per_second=0.5, burst=2)

    for uid in range(MOST_UIDS):
        assert take(uid) == 0
    assert [take(10_000 + uid) for uid in range(4)] == [0, 0, 2, 2]
    assert [take(0), take(0)] == [0, 2]
    # Buckets that are full again make room.
    later = at.after(2)
    assert [take(20_000, later), take(20_000, later), take(20_001, later)] == [0, 0, 0]
