"""Moments of an earlier boot: no clock makes a pause longer than it was, and a clock that is set corrects it."""

from datetime import UTC, datetime, timedelta

import pytest

from tokend.engine.records.adrift import Adrift, adrift, seconds_until
from tokend.values.instant import Instant

SAVED = Instant(datetime(2026, 1, 1, tzinfo=UTC), 5000.0)
DAY = 86400.0


def at(wall_seconds: float, boot: float = 20.0) -> Instant:
    """A moment of another boot, so many seconds after SAVED on the wall."""
    return Instant(SAVED.wall + timedelta(seconds=wall_seconds), boot)


def taken_over(ahead: float, now: Instant, *, saved_at: Instant | None = SAVED) -> Adrift:
    return adrift(SAVED.after(ahead), saved_at=saved_at, now=now, earliest=0.0, latest=3600.0)


@pytest.mark.parametrize(
    ("wall_seconds", "left"),
    [(0, 30), (10, 20), (31, -1), (-10, 30), (-DAY, 30), (DAY, 30 - DAY), (-56 * 365 * DAY, 30), (73 * 365 * DAY, 30)],
)
def test_what_was_left_when_it_was_saved_is_the_most_that_is_left(wall_seconds: float, left: float) -> None:
    """A clock that is behind, or not plausible, says nothing of how long the machine was off."""
    now = at(wall_seconds)
    assert seconds_until(taken_over(30, now), now) == pytest.approx(left)


def test_a_clock_that_is_set_corrects_the_moment() -> None:
    """Booted a day behind, or a day ahead; five seconds later the clock is right, ten after the save."""
    for wrong in (-DAY, DAY):
        moment = taken_over(30, at(wrong + 5))
        assert seconds_until(moment, at(10, boot=25.0)) == pytest.approx(20)
    assert seconds_until(taken_over(30, at(-DAY)), at(-DAY + 30, boot=50.0)) == pytest.approx(0)


def test_without_the_moment_of_the_save_the_wall_clock_is_believed_within_bounds() -> None:
    """Files of 0.1.0 do not have it."""
    assert seconds_until(taken_over(30, at(10), saved_at=None), at(10)) == pytest.approx(20)
    assert seconds_until(taken_over(30, at(-DAY), saved_at=None), at(-DAY)) == pytest.approx(3600)
    assert seconds_until(taken_over(30, at(-DAY), saved_at=None), at(31)) == pytest.approx(-1)


def test_a_pause_that_was_adrift_when_it_was_saved_has_no_more_left_than_it_had_then() -> None:
    """Two reboots; a pause of this boot is not adrift, and the wall clock does not count."""
    first = taken_over(30, at(-DAY))
    second = adrift(first, saved_at=at(-DAY + 12, boot=32.0), now=at(-DAY), earliest=0.0, latest=3600.0)
    assert seconds_until(second, at(-DAY)) == pytest.approx(18)
    assert seconds_until(SAVED.after(30), Instant(SAVED.wall + timedelta(days=1), SAVED.boot)) == pytest.approx(30)
