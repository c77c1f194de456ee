"""Backoff: the wait before the next attempt after a failure, in seconds. Pure."""

# Minimum interval between two attempts of one provider after a failure or on demand. Neither upstream nor clock nor
# readers shorten it.
MINIMUM_INTERVAL_SECONDS = 5.0
LONGEST_BACKOFF_SECONDS = 300.0
# Doubling from 5 s passes 300 s at the sixth failure; capping the exponent keeps 2**n from growing for days.
LARGEST_EXPONENT = 6
# While a token is valid, a quarter of what is left: some eight tries fit in before the last minute.
SHARE_OF_WHAT_IS_LEFT = 0.25
# After its first hour an outage has a budget of 20 requests an hour (docs/promises.md P3), readers' included: they wait
# for the shortest draw of the longest backoff then.
LONG_OUTAGE_SECONDS = 3600.0
LONG_OUTAGE_PAUSE_SECONDS = 0.6 * LONGEST_BACKOFF_SECONDS


def backoff_seconds(failures: int, *, seconds_left: float | None, draw: float) -> float:
    """Compute the wait after the ``failures``-th failure in a row (1 is the first).

    ``seconds_left`` of the token held, None or not positive if there is none; ``draw`` from [0, 1).
    """
    exponent = min(max(failures - 1, 0), LARGEST_EXPONENT)
    longest = min(longest_backoff_seconds(seconds_left), MINIMUM_INTERVAL_SECONDS * 2.0**exponent)
    return max(MINIMUM_INTERVAL_SECONDS, (0.6 + 0.4 * draw) * longest)


def longest_backoff_seconds(seconds_left: float | None) -> float:
    """Compute the longest wait that leaves room for more tries, with so many ``seconds_left`` of the token held."""
    if seconds_left is None or seconds_left <= 0:
        return LONGEST_BACKOFF_SECONDS
    return min(LONGEST_BACKOFF_SECONDS, seconds_left * SHARE_OF_WHAT_IS_LEFT)
