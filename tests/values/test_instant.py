"""Moments: arithmetic on both lines of time."""

from datetime import UTC, datetime, timedelta

from tokend.values.instant import Instant

NOW = Instant(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)


def test_a_later_moment_is_later_on_both_lines() -> None:
    """A negative number of seconds leads to an earlier moment."""
    assert NOW.after(1.5) == Instant(NOW.wall + timedelta(seconds=1.5), 1001.5)
    assert NOW.after(-60) == Instant(NOW.wall - timedelta(seconds=60), 940.0)


def test_durations_are_measured_on_the_boot_line() -> None:
    """The wall clock may have been stepped between the two moments."""
    later = Instant(NOW.wall - timedelta(days=1), 1010.0)
    assert NOW.until(later) == 10.0
    assert later.until(NOW) == -10.0
