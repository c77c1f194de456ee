"""Time zones and times of day: found by their IANA names, right where clocks are moved."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from tokend.plugin.declared.time_zones import DailyField, DailyTime, Zone, ZoneField
from tokend.plugin.settings_base import Settings


class Table(Settings):
    """A table with a zone and a time of day."""

    zone: ZoneField | None = None
    daily: DailyField | None = None


def after(written: str, moment: str) -> str:
    return DailyTime.parse(written).next_after(datetime.fromisoformat(moment)).isoformat()


@pytest.mark.parametrize(
    ("written", "moment", "found"),
    [
        ("06:00 Asia/Kolkata", "2026-01-01T00:29:59+00:00", "2026-01-01T00:30:00+00:00"),
        ("06:00 Asia/Kolkata", "2026-01-01T00:30:00+00:00", "2026-01-02T00:30:00+00:00"),
        ("06:00 Asia/Kolkata", "2025-12-31T23:59:00+00:00", "2026-01-01T00:30:00+00:00"),
        ("17:00:30 America/New_York", "2026-03-07T23:00:00+00:00", "2026-03-08T21:00:30+00:00"),
        ("17:00 America/New_York", "2026-10-31T22:00:00+00:00", "2026-11-01T22:00:00+00:00"),
        # Clocks go from 02:00 to 03:00.
        ("02:30 Europe/Berlin", "2026-03-28T20:00:00+00:00", "2026-03-29T01:30:00+00:00"),
        # Clocks go from 03:00 back to 02:00.
        ("02:30 Europe/Berlin", "2026-10-24T20:00:00+00:00", "2026-10-25T00:30:00+00:00"),
        ("02:30 Europe/Berlin", "2026-10-25T00:45:00+00:00", "2026-10-25T01:30:00+00:00"),
        ("02:30 Europe/Berlin", "2026-10-25T01:45:00+00:00", "2026-10-26T01:30:00+00:00"),
        # Samoa had no 30 December.
        ("12:00 Pacific/Apia", "2011-12-30T00:00:00+00:00", "2011-12-30T22:00:00+00:00"),
        ("00:00 UTC", "2026-12-31T23:59:59+00:00", "2027-01-01T00:00:00+00:00"),
    ],
)
def test_the_next_time_of_day_is_found(written: str, moment: str, found: str) -> None:
    """In the zone's own days."""
    assert after(written, moment) == found


@pytest.mark.parametrize("name", ["Asia/Kolkat", "Nowhere/City", "", "../etc", "/etc/localtime", "localtime",
                                  "right/UTC", "Asia/", "a b", "posix/UTC"])  # fmt: skip
def test_a_zone_that_this_machine_does_not_know_names_the_package(name: str) -> None:
    """And the name that was meant, where there is one like it. What was written is not quoted."""
    with pytest.raises(ValueError, match="install the package tzdata") as caught:
        Zone.parse(name)
    if name == "Asia/Kolkat":
        assert 'did you mean "Asia/Kolkata"?' in str(caught.value)
    if name == "Nowhere/City":
        assert name not in str(caught.value)


@pytest.mark.parametrize(
    "keys", [{"zone": 5}, {"daily": 5}, {"daily": "06:00"}, {"daily": "24:00 UTC"}, {"daily": "6:00 UTC"},
             {"daily": "06:60 UTC"}, {"daily": "06:00  UTC"}, {"daily": "06:00 Nowhere/X"}, {"zone": "Nowhere/X"}]
)  # fmt: skip
def test_what_is_no_time_of_day_is_refused(keys: dict[str, Any]) -> None:
    """With an example."""
    with pytest.raises(ValidationError, match=r"Asia/Kolkata|tzdata"):
        Table.model_validate(keys)


def test_tables_with_the_same_text_are_equal() -> None:
    """A reload compares with ``==``; a made table is taken as it is."""
    one = Table.model_validate({"zone": "Asia/Kolkata", "daily": "06:00 Asia/Kolkata"})
    assert one == Table(zone=one.zone, daily=one.daily)
    assert one != Table.model_validate({"zone": "Asia/Kolkata", "daily": "06:01 Asia/Kolkata"})
    assert "rules" not in repr(one)
    assert DailyTime.parse("06:00 UTC").next_after(datetime(2026, 1, 1, tzinfo=UTC)).tzinfo is UTC
