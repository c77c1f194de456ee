"""schedule: arithmetic only."""

import random
from bisect import bisect_right
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokend.engine.policy.backoff import backoff_seconds
from tokend.engine.policy.rate_limits import Allowance, HostLimits
from tokend.engine.policy.refresh_timing import lead_seconds, refresh_moment
from tokend.plugin.settings_base import Percentage
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import Token

START = Instant(datetime(2026, 1, 1, tzinfo=UTC), 100.0)


def token(life: float | None) -> Token:
    return Token(Secret("fake"), "Bearer", START, None if life is None else START.after(life))


@pytest.mark.parametrize(
    ("life", "lead", "minimum", "expected"),
    [
        (86400, None, 300, 17280),  # a fifth of the life
        (1000, None, 300, 300),  # the vendor's minimum is greater
        (400, None, 300, 200),  # never more than half
        (43200, timedelta(minutes=10), 600, 600),  # the operator's wish
        (43200, Percentage(0.25), 600, 10800),
        (60, timedelta(hours=1), 0, 30),  # a longer wish is clamped
        (60, Percentage(0.9), 0, 30),
    ],
)
def test_the_lead_is_the_wish_or_the_greater_of_minimum_and_a_fifth_and_at_most_half(life, lead, minimum, expected):
    """Lead: refresh_before, else max(vendor's minimum, 20 %), never more than half of the life."""
    seconds = lead_seconds(token(life), lead=lead, minimum_lead_seconds=minimum)
    assert refresh_moment(token(life), lead_seconds=seconds, jitter=0.0) == START.after(life - expected)


def test_jitter_only_makes_a_refresh_earlier_and_by_at_most_a_twentieth():
    """Up to 5 % of the life earlier."""
    early = refresh_moment(token(1000), lead_seconds=200, jitter=0.999)
    assert early is not None
    assert 749 < START.until(early) < 751


def test_a_token_without_an_end_is_never_due():
    """expires_at None means that no timer asks."""
    assert lead_seconds(token(None), lead=None, minimum_lead_seconds=300) is None
    assert refresh_moment(token(None), lead_seconds=None, jitter=0.5) is None


def test_a_thousand_daemons_with_one_expiry_do_not_come_together():
    """docs/promises.md 118: with lives of 4 h and more the busiest 10 s see at most 4 % of them."""
    draw = random.Random(118)
    moments = sorted(
        START.until(refresh_moment(token(4 * 3600), lead_seconds=2880, jitter=draw.random())) for _ in range(1000)
    )
    assert max(bisect_right(moments, moment + 10) - n for n, moment in enumerate(moments)) <= 40


@given(failures=st.integers(1, 10_000), left=st.none() | st.floats(-1e6, 1e6), draw=st.floats(0, 1, exclude_max=True))
def test_backoff_stays_between_the_floor_and_five_minutes(failures, left, draw):
    """uniform(0.6, 1) × min(300 s, 5 s × 2ⁿ, a quarter of what is left), at least 5 s."""
    assert 5.0 <= backoff_seconds(failures, seconds_left=left, draw=draw) <= 300.0


def test_backoff_doubles_and_respects_what_is_left():
    """n counts from 0 at the first failure; a valid token's quarter bounds it."""
    full = 1.0 - 1e-12
    assert [round(backoff_seconds(n, seconds_left=None, draw=full)) for n in range(1, 9)] == [
        5, 10, 20, 40, 80, 160, 300, 300,
    ]  # fmt: skip
    assert backoff_seconds(8, seconds_left=80, draw=full) == pytest.approx(20)
    assert backoff_seconds(8, seconds_left=-1, draw=full) == pytest.approx(300)


def test_readers_have_three_attempts_and_then_one_per_five_minutes():
    """The allowance: three at once, then one per 5 min."""
    allowance = Allowance()
    assert [allowance.take(START) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert allowance.take(START) == pytest.approx(300.0)
    assert allowance.take(START.after(299)) == pytest.approx(1.0)
    assert allowance.take(START.after(301)) == 0.0
    assert allowance.take(START.after(301)) > 290


def test_a_hosts_pause_is_never_shortened_and_ends_by_itself():
    """Retry-After binds all providers of a host."""
    limits = HostLimits()
    limits.block("one:443", START.after(100))
    limits.block("one:443", START.after(10))
    assert limits.seconds("one:443", START) == pytest.approx(100)
    assert limits.seconds("other:443", START) == 0.0
    assert limits.seconds("one:443", START.after(101)) == 0.0
    assert limits.seconds(None, START) == 0.0
