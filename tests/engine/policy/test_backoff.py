"""Backoff after failures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokend.engine.policy.backoff import backoff_seconds


@given(failures=st.integers(1, 10_000), left=st.none() | st.floats(-1e6, 1e6), draw=st.floats(0, 1, exclude_max=True))
def test_backoff_stays_between_the_minimum_interval_and_five_minutes(
    failures: int, left: float | None, draw: float
) -> None:
    """uniform(0.6, 1) × min(300 s, 5 s × 2ⁿ, a quarter of what is left), at least 5 s."""
    assert 5.0 <= backoff_seconds(failures, seconds_left=left, draw=draw) <= 300.0


def test_backoff_doubles_and_respects_what_is_left() -> None:
    """n counts from 0 at the first failure; a valid token's quarter bounds it."""
    full = 1.0 - 1e-12
    assert [round(backoff_seconds(n, seconds_left=None, draw=full)) for n in range(1, 9)] == [
        5, 10, 20, 40, 80, 160, 300, 300,
    ]  # fmt: skip
    assert backoff_seconds(8, seconds_left=80, draw=full) == pytest.approx(20)
    assert backoff_seconds(8, seconds_left=-1, draw=full) == pytest.approx(300)
