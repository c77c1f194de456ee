"""Counters of attempts and sink writes."""

from tokend.engine.context.counters import Counters


def test_a_failure_counts_as_an_attempt_and_under_its_reason() -> None:
    """Both metrics, of this token only."""
    counters = Counters()
    counters.failed("a", "timeout")
    counters.failed("a", "rejected")
    counters.refreshed("a", "success")
    assert counters.refreshes == {("a", "failure"): 2, ("a", "success"): 1}
    assert counters.refresh_errors == {("a", "timeout"): 1, ("a", "rejected"): 1}


def test_the_time_of_attempts_is_a_sum_and_a_number() -> None:
    """A Prometheus summary is made of these two."""
    counters = Counters()
    counters.took("a", 0.5)
    counters.took("a", 1.0)
    assert (counters.refresh_seconds["a"], counters.refresh_samples["a"]) == (1.5, 2)
    assert counters.refresh_samples["b"] == 0


def test_writes_are_counted_by_sink_and_result() -> None:
    """Two sinks of one token do not share a number."""
    counters = Counters()
    for sink, result in (("json-1", "success"), ("json-1", "success"), ("raw-2", "failure")):
        counters.wrote("a", sink, result)
    assert counters.sink_writes == {("a", "json-1", "success"): 2, ("a", "raw-2", "failure"): 1}
