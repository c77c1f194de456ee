"""The moments at which a changed target may be written again."""

import pytest

from tests.virtual import EPOCH
from tokend.engine.publishing.target_drift import TargetDrift
from tokend.plugin.sink import Difference
from tokend.values.instant import Instant

START = Instant(EPOCH, 1000.0)


def test_a_target_is_compared_after_each_write_and_after_each_change() -> None:
    """A program that overwrites it at the moment of our write is noticed, too."""
    drift = TargetDrift()
    drift.looked("one", None)
    assert (drift.seen, drift.good) == ("one", "one")
    drift.looked("two", Difference("it was emptied"))
    assert (drift.seen, drift.good, drift.difference) == ("two", "one", Difference("it was emptied"))
    drift.written("three")
    assert (drift.seen, drift.good, drift.difference) == (None, "three", None)


def test_three_repairs_are_made_at_once_and_then_one_a_minute() -> None:
    """Two programs that fight over a file must not keep the disk busy."""
    drift = TargetDrift()
    for second in (0, 1, 2):
        assert drift.wait_seconds(START.after(second)) == 0
        drift.repaired("stamp", START.after(second))
    assert drift.wait_seconds(START.after(3)) == 59
    drift.repaired("stamp", START.after(62))
    assert drift.wait_seconds(START.after(63)) == 59
    drift.repaired("stamp", START.after(122))
    assert drift.wait_seconds(START.after(122 + 60)) == 0


@pytest.mark.parametrize("pause", [76.0, 4000.0])
def test_a_fight_that_has_ended_is_forgotten(pause: float) -> None:
    """The next change is undone at once."""
    drift = TargetDrift()
    for second in (0, 1, 2):
        drift.repaired("stamp", START.after(second))
    assert drift.wait_seconds(START.after(3)) > 0
    drift.repaired("stamp", START.after(62))
    for later in (pause, pause + 1, pause + 2):
        assert drift.wait_seconds(START.after(62 + later)) == 0
        drift.repaired("stamp", START.after(62 + later))


def test_rare_changes_are_undone_at_once() -> None:
    """A cleaner that comes once a minute is no fight."""
    drift = TargetDrift()
    for minute in range(10):
        assert drift.wait_seconds(START.after(61 * minute)) == 0
        drift.repaired("stamp", START.after(61 * minute))


def test_a_person_ends_the_wait() -> None:
    """SIGHUP and `tokend reload`."""
    drift = TargetDrift()
    for second in (0, 1, 2):
        drift.repaired("stamp", START.after(second))
    assert drift.wait_seconds(START.after(3)) > 0
    drift.reset()
    assert drift.wait_seconds(START.after(3)) == 0
