"""The instant of an attempt."""

from tests.providers.http.asking import settings
from tests.providers.live import NOW, LiveRuntime
from tokend.providers.http.attempt_time import AttemptTime


def test_the_instant_stays_while_time_goes_on() -> None:
    """To the microsecond: a small difference of the clocks is none."""
    runtime = LiveRuntime(settings())
    began = AttemptTime.begin(runtime)
    runtime.clock.go_on(7.25)
    runtime.offset = 3.0
    assert began.by_upstream(runtime).timestamp() == NOW


def test_a_difference_of_the_clocks_that_was_learned_meanwhile_counts() -> None:
    """Also where this machine's clock was set."""
    runtime = LiveRuntime(settings())
    began = AttemptTime.begin(runtime)
    runtime.clock.go_on(7.25)
    runtime.offset = -60.0
    assert began.by_upstream(runtime).timestamp() == NOW - 60
    runtime.offset = 0.0
    runtime.clock.step(3600)
    assert began.by_upstream(runtime).timestamp() == NOW + 3600
