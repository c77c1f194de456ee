"""Counters in memory: they rise for all, and no implausible clock makes one."""

from datetime import UTC, datetime, timedelta

import pytest

from tokend.plugin.declared.memory_counters import next_counters
from tokend.values.errors import ClockError

AT = datetime(2031, 1, 1, tzinfo=UTC)


def test_a_counter_rises_although_the_clock_goes_back() -> None:
    """Each name by itself."""
    first = next_counters({"counter_us", "counter_ms"}, AT, AT)
    again = next_counters({"counter_us"}, AT - timedelta(hours=1), AT - timedelta(hours=1))
    assert again == {"counter_us": first["counter_us"] + 1}
    assert next_counters((), AT, AT) == {}


def test_an_upstreams_clock_of_years_ahead_makes_no_counter() -> None:
    """All later values would have to follow it."""
    ahead = next_counters({"counter_ms"}, AT, AT + timedelta(days=3653))["counter_ms"]
    assert ahead < (AT + timedelta(days=1)).timestamp() * 1000


@pytest.mark.parametrize("year", [1970, 2299])
def test_an_implausible_clock_makes_no_counter(year: int) -> None:
    """A value of the year 2299 could never be followed by a right one."""
    with pytest.raises(ClockError, match=f"clock says {year}-01-01"):
        next_counters({"counter_ns"}, AT.replace(year=year), AT)
    assert next_counters({"counter_ns"}, AT, AT)["counter_ns"] < 2 * 10**18 + 10**17
    assert next_counters((), AT.replace(year=year), AT) == {}
