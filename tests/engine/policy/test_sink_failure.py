"""State and pause after each class of a sink's failures."""

import pytest

from tokend.engine.policy.sink_failure import LONGEST_REMOTE_PAUSE_SECONDS, after_failure, pause_seconds
from tokend.values.errors import (
    NewerGenerationError,
    SinkConflictError,
    SinkError,
    SinkFinalError,
    SinkRejectedError,
    SinkUnavailableError,
)


def test_pauses_grow_from_a_second_to_the_longest_one() -> None:
    """Doubled each time; the shortest draw takes four tenths away."""
    found = [pause_seconds(count, longest=300, draw=1.0) for count in (1, 2, 3, 8, 9, 10, 100_000)]
    assert found == [1, 2, 4, 128, 256, 300, 300]
    assert pause_seconds(1, longest=300, draw=0.0) == pytest.approx(0.6)


@pytest.mark.parametrize(
    "error", [SinkError, SinkUnavailableError, lambda text: NewerGenerationError(text, generation=1)]
)
def test_what_may_pass_by_itself_is_tried_again_soon(error: type[SinkError]) -> None:
    """State `failing`."""
    found = after_failure(error("x"), failures=3, refusals=0, longest=LONGEST_REMOTE_PAUSE_SECONDS, draw=1.0)
    assert (found.trouble, found.pause_seconds) == ("failing", 4)


def test_a_refused_credential_gets_a_second_attempt_and_then_a_long_pause() -> None:
    """Soon, however many failures there were before; then every half an hour, not at the same second everywhere."""

    def found(refusals: int, draw: float) -> tuple[str, int]:
        one = after_failure(SinkRejectedError("x"), failures=20, refusals=refusals, longest=300, draw=draw)
        return one.trouble, round(one.pause_seconds or 0)

    assert found(1, 1.0) == ("failing", 1)
    assert found(2, 0.0) == ("rejected", 1620)
    assert found(9, 1.0) == ("rejected", 1980)


def test_a_conflict_and_a_final_refusal_have_no_timer() -> None:
    """A person decides, or another token comes."""
    for error, state in ((SinkConflictError("x"), "conflict"), (SinkFinalError("x"), "failing")):
        found = after_failure(error, failures=1, refusals=0, longest=300, draw=0.5)
        assert (found.trouble, found.pause_seconds) == (state, None)
