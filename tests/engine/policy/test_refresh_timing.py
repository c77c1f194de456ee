"""schedule: arithmetic only."""

import random
from bisect import bisect_right
from datetime import UTC, datetime, timedelta

import pytest

from tests.expecting import present
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
def test_the_lead_is_the_wish_or_the_greater_of_minimum_and_a_fifth_and_at_most_half(
    life: int, lead: timedelta | Percentage | None, minimum: int, expected: int
) -> None:
    """Lead: refresh_before, else max(vendor's minimum, 20 %), never more than half of the life."""
    seconds = lead_seconds(token(life), lead=lead, minimum_lead_seconds=minimum)
    assert refresh_moment(token(life), lead_seconds=seconds, jitter=0.0) == START.after(life - expected)


@pytest.mark.parametrize(("wanted", "lead"), [(500.0, 500), (900.0, 200), (100.0, 500), (True, 200), (None, 200)])
def test_an_answer_may_ask_for_an_earlier_refresh(wanted: float | None, lead: float) -> None:
    """Azure's refresh_in. Never before half of the life; the operator's wish counts before."""
    found = Token(Secret("fake"), "Bearer", START, START.after(1000), extra={"_refresh_in": wanted})
    assert lead_seconds(found, lead=None, minimum_lead_seconds=0) == lead
    assert lead_seconds(found, lead=timedelta(seconds=7), minimum_lead_seconds=0) == 7


def test_jitter_only_makes_a_refresh_earlier_and_by_at_most_a_twentieth() -> None:
    """Up to 5 % of the life earlier."""
    early = refresh_moment(token(1000), lead_seconds=200, jitter=0.999)
    assert early is not None
    assert 749 < START.until(early) < 751


def test_a_token_without_an_end_is_never_due() -> None:
    """expires_at None means that no timer asks."""
    assert lead_seconds(token(None), lead=None, minimum_lead_seconds=300) is None
    assert refresh_moment(token(None), lead_seconds=None, jitter=0.5) is None


@pytest.mark.parametrize(
    ("life", "max_age", "jitter", "expected"),
    [
        (10_000, 1_000, 0.0, 1_000),
        (10_000, 1_000, 0.8, 960),  # jitter is a share of the age, not of the far longer life
        (10_000, 9_000, 0.0, 8_000),  # the lead is earlier
        (None, 1_000, 0.4, 980),
    ],
)
def test_a_token_is_replaced_at_its_greatest_age_or_at_its_lead(
    life: float | None, max_age: float, jitter: float, expected: float
) -> None:
    """Whichever is earlier; also a token without an end."""
    lead = lead_seconds(token(life), lead=None, minimum_lead_seconds=0)
    moment = refresh_moment(token(life), lead_seconds=lead, max_age_seconds=max_age, jitter=jitter)
    assert START.until(present(moment)) == pytest.approx(expected)


def test_a_thousand_daemons_with_one_expiry_do_not_come_together() -> None:
    """docs/promises.md 118: with lives of 4 h and more the busiest 10 s see at most 4 % of them."""
    draw = random.Random(118)
    moments = sorted(
        START.until(present(refresh_moment(token(4 * 3600), lead_seconds=2880, jitter=draw.random())))
        for _ in range(1000)
    )
    assert max(bisect_right(moments, moment + 10) - n for n, moment in enumerate(moments)) <= 40
