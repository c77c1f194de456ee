"""Errors of an exchange with a login server, as a person's client gets them."""

from tokend.machine.clock import Clock
from tokend.values.errors import (
    AttemptError,
    LoginRefusedError,
    LoginRequiredError,
    RateLimitedError,
    ReaderError,
    RejectedError,
    ThrottledError,
    TokenUnavailableError,
    TransientError,
)

# A server that asks for a pause without its length.
PAUSE_SECONDS = 60.0


def as_reader_error(error: AttemptError, clock: Clock) -> ReaderError:
    """Translate an attempt's error. The person who logs in gets the server's own words, as the caller of an issue."""
    if isinstance(error, RateLimitedError):
        pause = PAUSE_SECONDS if error.retry_after is None else error.retry_after
        return ThrottledError(error.whole, retry_at=clock.instant().wall.timestamp() + pause)
    if isinstance(error, RejectedError | LoginRefusedError):
        return LoginRequiredError(error.whole)
    return TokenUnavailableError(error.whole)


def may_be_repeated(error: AttemptError) -> bool:
    """Return whether a code that was to be exchanged is surely unspent: the person may send the address again."""
    if isinstance(error, TransientError):
        return not error.is_sent
    return isinstance(error, RateLimitedError)
