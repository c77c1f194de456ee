"""Errors of login servers as a person gets them."""

import pytest

from tests.virtual import EPOCH, VirtualClock, run_virtually
from tokend.engine.logins.login_errors import PAUSE_SECONDS, as_reader_error, may_be_repeated
from tokend.values.errors import (
    AttemptError,
    LoginRefusedError,
    LoginRequiredError,
    LostAnswerError,
    RateLimitedError,
    ReaderError,
    RejectedError,
    SecretError,
    ThrottledError,
    TokenUnavailableError,
    TransientError,
)


@pytest.mark.parametrize(
    ("error", "expected", "pause"),
    [
        (RateLimitedError("429", retry_after=7), ThrottledError, 7.0),
        (RateLimitedError("429"), ThrottledError, PAUSE_SECONDS),
        (RejectedError("invalid_client"), LoginRequiredError, None),
        (LoginRefusedError("access_denied"), LoginRequiredError, None),
        (TransientError("503"), TokenUnavailableError, None),
        (SecretError("no such file"), TokenUnavailableError, None),
    ],
)
def test_each_error_has_its_answer(error: AttemptError, expected: type[ReaderError], pause: float | None) -> None:
    """The server's own words are for the person who logs in."""
    error.said = "the app is not registered"

    async def main(clock: VirtualClock) -> None:
        found = as_reader_error(error, clock)
        assert type(found) is expected
        assert str(found) == f"{error.detail}; the upstream said: the app is not registered"
        assert found.retry_at == (None if pause is None else EPOCH.timestamp() + pause)

    run_virtually(main)


def test_only_what_is_surely_unspent_is_repeated() -> None:
    """A code works once."""
    assert may_be_repeated(TransientError("no connection", is_sent=False))
    assert may_be_repeated(RateLimitedError("429"))
    assert not may_be_repeated(TransientError("503"))
    assert not may_be_repeated(LostAnswerError("cut"))
    assert not may_be_repeated(LoginRefusedError("access_denied"))
