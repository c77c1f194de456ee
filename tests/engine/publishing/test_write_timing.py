"""Time of the next write: after ``min_interval``, and after a moment for the other tokens."""

from tests.virtual import BOOT, EPOCH
from tokend.engine.publishing.write_timing import GATHER_SECONDS, WriteTiming
from tokend.values.instant import Instant

NOW = Instant(EPOCH, BOOT)


def wait(timing: WriteTiming, seconds: float) -> float:
    now = NOW.after(seconds)
    return round(now.until(timing.write_at(now)), 3)


def test_a_content_of_one_token_waits_for_nothing() -> None:
    """No min_interval."""
    timing = WriteTiming(gathers=False, min_interval_seconds=0)
    timing.is_compared = True
    assert wait(timing, 0) == 0
    timing.written(NOW)
    assert wait(timing, 0) == 0


def test_tokens_of_one_content_are_gathered_from_the_first_change_on() -> None:
    """A later change does not begin the wait again."""
    timing = WriteTiming(gathers=True, min_interval_seconds=0)
    assert [wait(timing, seconds) for seconds in (0, 0.15, 0.2, 5)] == [GATHER_SECONDS, 0.05, 0, 0]
    assert timing.is_wanted
    timing.settled()
    assert not timing.is_wanted
    assert wait(timing, 7) == GATHER_SECONDS


def test_two_writes_are_an_interval_apart() -> None:
    """A clock that went back does not make it longer."""
    timing = WriteTiming(gathers=False, min_interval_seconds=60)
    timing.is_compared = True
    assert wait(timing, 0) == 0
    timing.written(NOW)
    assert [wait(timing, seconds) for seconds in (0, 10, 60, 100)] == [60, 50, 0, 0]
    timing.last_write = NOW.after(1000)
    assert wait(timing, 0) == 60


def test_at_a_start_the_content_is_compared_at_once() -> None:
    """The target may hold it already: then nothing waits."""
    timing = WriteTiming(gathers=False, min_interval_seconds=60)
    timing.written(NOW)
    assert wait(timing, 1) == 0
    assert timing.paused_seconds(NOW.after(1)) == 59


def test_a_person_waits_for_nothing_once() -> None:
    """`tokend sync`."""
    timing = WriteTiming(gathers=True, min_interval_seconds=60)
    timing.is_compared = True
    timing.written(NOW)
    timing.at_once()
    assert (wait(timing, 0), timing.paused_seconds(NOW)) == (0, 0)
    timing.settled()
    assert wait(timing, 0) == 60
