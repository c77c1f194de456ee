"""State and pause after a failure of a sink, by the class of its error. Pure."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from tokend.values.errors import SinkConflictError, SinkError, SinkFinalError, SinkRejectedError

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
# Of a store elsewhere: it may be away for a day.
LONGEST_REMOTE_PAUSE_SECONDS = 300.0
# Doubling from 1 s passes 300 s at the tenth failure; capping the exponent keeps 2**n from growing for days.
LARGEST_EXPONENT = 9
# After the second refusal of a credential in a row.
REJECTED_PAUSE_SECONDS = 1800.0

Trouble: TypeAlias = Literal["failing", "rejected", "conflict", "waiting"]


@dataclass(frozen=True, slots=True)
class AfterFailure:
    """``trouble`` is the state that status shows. ``pause_seconds`` is None if no timer makes another attempt."""

    trouble: Trouble
    pause_seconds: float | None


def pause_seconds(failures: int, *, longest: float, draw: float) -> float:
    """Compute the wait after the ``failures``-th failure in a row (1 is the first); ``draw`` from [0, 1)."""
    exponent = min(failures - 1, LARGEST_EXPONENT)
    return min(longest, FIRST_PAUSE_SECONDS * 2.0**exponent) * (0.6 + 0.4 * draw)


def after_failure(error: SinkError, *, failures: int, refusals: int, longest: float, draw: float) -> AfterFailure:
    """Decide what follows an error, which is the ``failures``-th in a row.

    ``refusals`` is the number of `SinkRejectedError` since the last success or changed secret, this one included.
    """
    if isinstance(error, SinkConflictError):
        return AfterFailure("conflict", None)
    if isinstance(error, SinkFinalError):
        return AfterFailure("failing", None)
    if not isinstance(error, SinkRejectedError):
        return AfterFailure("failing", pause_seconds(failures, longest=longest, draw=draw))
    if refusals == 1:
        # The second attempt reads the credential again.
        return AfterFailure("failing", pause_seconds(1, longest=longest, draw=draw))
    return AfterFailure("rejected", REJECTED_PAUSE_SECONDS * (0.9 + 0.2 * draw))
