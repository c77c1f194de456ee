"""The clock of counters: the upstream's where it can be right, else ours."""

from datetime import UTC, datetime, timedelta

import pytest

from tokend.plugin.declared.counter_clock import counter_time
from tokend.values.errors import ClockError

AT = datetime(2031, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("apart", [timedelta(0), timedelta(hours=24), timedelta(hours=-24), timedelta(seconds=-90)])
def test_a_counter_follows_the_upstreams_clock_within_a_day(apart: timedelta) -> None:
    """Its time is what the upstream compares with."""
    assert counter_time(AT, AT + apart) == AT + apart


@pytest.mark.parametrize("apart", [timedelta(hours=25), timedelta(days=3653), timedelta(hours=-25), timedelta(36500)])
def test_of_a_clock_that_is_days_from_ours_no_counter_is_made(apart: timedelta) -> None:
    """One wrong `Date` would bind all later values."""
    assert counter_time(AT, AT + apart) == AT


@pytest.mark.parametrize("year", [1970, 2299])
def test_while_our_clock_is_not_plausible_there_is_no_counter(year: int) -> None:
    """Nothing says which of the two is right."""
    for upstream in (AT, AT.replace(year=year)):
        with pytest.raises(ClockError, match=f"clock says {year}-01-01"):
            counter_time(AT.replace(year=year), upstream)
