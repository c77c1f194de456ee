"""Client errors and their exit codes."""

import pytest

from tokend.client import (
    BadRequestError,
    DeniedError,
    LoginRequiredError,
    RateLimitedError,
    TokendError,
    UnavailableError,
    UnknownTokenError,
    WaitTimeoutError,
)
from tokend.client.errors import refusal


@pytest.mark.parametrize(
    ("status", "code", "kind", "exit_code"),
    [
        (400, "bad_request", BadRequestError, 2),
        (403, "denied", DeniedError, 6),
        (404, "unknown_token", UnknownTokenError, 5),
        (405, "not_supported", BadRequestError, 2),
        (406, "not_acceptable", BadRequestError, 2),
        (409, "generation_conflict", BadRequestError, 2),
        (413, "too_large", BadRequestError, 2),
        (415, "unsupported_media_type", BadRequestError, 2),
        (422, "config_invalid", BadRequestError, 2),
        (429, "rate_limited", RateLimitedError, 7),
        (500, "internal", TokendError, 1),
        (503, "login_required", LoginRequiredError, 4),
        (503, "token_unavailable", UnavailableError, 7),
        (504, "timeout", WaitTimeoutError, 7),
        (418, "of_a_later_version", TokendError, 1),
    ],
)
def test_each_code_is_an_exception_with_its_exit_code(
    status: int, code: str, kind: type[TokendError], exit_code: int
) -> None:
    """The problem's code decides, not the status; detail, retry_at and errors are kept."""
    body = f'{{"code":"{code}","detail":"why","retry_at":"2030-01-01T00:00:00Z","errors":{{"a":["b"]}}}}'
    error = refusal(status, body.encode())
    assert type(error) is kind
    assert (str(error), error.code, error.exit_code) == ("why", code, exit_code)
    assert (error.retry_at, error.errors) == ("2030-01-01T00:00:00Z", {"a": ["b"]})


def test_a_login_that_is_required_is_a_sentence_with_the_command() -> None:
    """The daemon's detail is the command alone, for programs that show it."""
    error = refusal(503, b'{"code":"login_required","detail":"tokend login web"}')
    assert (str(error), error.exit_code) == ("a person has to log in: tokend login web", 4)
    error = refusal(503, b'{"code":"login_required","detail":"put it there"}')
    assert (str(error), error.exit_code) == ("put it there", 4)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b"null", b'{"detail":"x"}', b"\xff"])
def test_a_refusal_without_a_reason_is_an_error_all_the_same(body: bytes) -> None:
    """Not tokend's document: exit code 1, the status, and no guess."""
    error = refusal(502, body)
    assert type(error) is TokendError
    assert "502" in str(error)
