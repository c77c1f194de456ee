"""Looks at a target in a store, and how often it may be repaired."""

import random
from datetime import timedelta

from tests.virtual import BOOT, EPOCH
from tokend.engine.publishing.remote_drift import MOST_REPAIRS, RemoteDrift
from tokend.values.instant import Instant

NOW = Instant(EPOCH, BOOT)


def drift_of(interval: timedelta | None = None) -> RemoteDrift:
    return RemoteDrift(interval, random.Random(1))


def test_without_an_interval_nobody_looks() -> None:
    """The default."""
    assert drift_of().look_at(NOW) is None


def test_looks_are_jittered() -> None:
    """About every ten minutes, each time at another distance; a moment stays until the look."""
    drift = drift_of(timedelta(minutes=10))
    distances = set()
    for _ in range(20):
        at = drift.look_at(NOW)
        assert at is not None
        assert drift.look_at(NOW.after(100)) == at
        distances.add(round(NOW.until(at)))
        drift.looked("none")
    assert len(distances) > 5
    assert all(540 <= one <= 660 for one in distances)


def test_a_difference_is_new_once() -> None:
    """Until the target was seen right, or was written."""
    drift = drift_of()
    assert [drift.looked(one) for one in ("none", "changed", "missing", "unknown: x")] == [False, True, False, False]
    assert drift.looked("changed")
    assert not drift.written(NOW)
    assert (drift.shown, drift.looked("changed")) == ("none", True)
    drift.looked("unknown: x")
    drift.written(NOW)
    assert drift.shown is None


def test_repairs_are_counted_for_an_hour() -> None:
    """Three; a person's decision counts more."""
    drift = drift_of()
    for number in range(MOST_REPAIRS):
        assert drift.may_repair(NOW.after(number * 600))
        drift.is_repairing = True
        assert drift.written(NOW.after(number * 600))
        assert not drift.written(NOW.after(number * 600))
    assert not drift.may_repair(NOW.after(3599))
    assert drift.may_repair(NOW.after(3600))
    drift = drift_of()
    for _ in range(MOST_REPAIRS):
        drift.is_repairing = True
        drift.written(NOW)
    drift.decided()
    assert drift.may_repair(NOW)
