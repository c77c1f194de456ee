"""Meaning of an answer that grants nothing."""

import json
from email.utils import formatdate
from typing import Any

import pytest

from tests.providers.http.asking import error_of, said
from tests.providers.live import NOW
from tests.upstream.loopback import reply
from tokend.values.errors import ClockError, PersonNeededError, RateLimitedError, RejectedError, TransientError

TIMED = {"request": {"json": {"key": "{key}", "at": "{now_ms}"}}}


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, TransientError), (401, RejectedError), (403, TransientError), (404, TransientError), (407, TransientError),
     (429, RateLimitedError), (500, TransientError), (503, TransientError), (302, TransientError)],
)  # fmt: skip
def test_a_status_means_what_it_means_everywhere(status: int, expected: type[Exception]) -> None:
    """Without a row."""
    assert type(error_of(said(status, planted=1))) is expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"status": 403, "means": "rejected"}, RejectedError),
        ({"when": "code == 'planted-2'", "means": "login_required"}, PersonNeededError),
        ({"when": "code == 'planted-2'", "means": "clock"}, ClockError),
        ({"when": "code", "means": "rate_limited", "pause": "70s"}, RateLimitedError),
        ({"when": "other", "means": "rejected"}, TransientError),
    ],
)
def test_a_row_counts_before_the_status(row: dict[str, Any], expected: type[Exception]) -> None:
    """The first that matches."""
    error = error_of(said(403, code="planted-2"), errors=[row])
    assert type(error) is expected
    assert getattr(error, "retry_after", 70) in {70, None}


def test_slow_down_is_a_pause() -> None:
    """RFC 8628, and others."""
    error = error_of(said(400, {"Retry-After": "9"}, error="slow_down"))
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == 9
    assert isinstance(error_of(said(400, error="planted")), TransientError)


@pytest.mark.parametrize(("ahead", "keys", "expected"), [
    (30, TIMED, ClockError), (30, {}, RejectedError), (0, TIMED, RejectedError), (7200, {}, ClockError),
])  # fmt: skip
def test_a_refusal_may_be_due_to_the_clock(ahead: int, keys: dict[str, Any], expected: type[Exception]) -> None:
    """Where the request holds a time, or the clocks differ by far."""
    date = formatdate(NOW + ahead, usegmt=True)
    assert type(error_of(reply(b"{}", status=401, headers={"Date": date}), **keys)) is expected


@pytest.mark.parametrize(
    ("body", "why"),
    [(b"<html>planted", "HTML"), (b'{"token":', "not acceptable JSON"), (b"[]", "without a token"), (b"", "JSON")],
)
def test_a_body_that_cannot_be_read_says_so(body: bytes, why: str) -> None:
    """In words of ours."""
    assert why in str(error_of(reply(body)))
    unsuccessful = error_of(reply(body), answer={"token": "t", "success": "ok"})
    assert "JSON" in str(unsuccessful) or "call no success" in str(unsuccessful)


def test_a_body_that_takes_too_long_to_look_into_is_discarded() -> None:
    """And so is a large one."""
    body = json.dumps({"a": [1] * 30_000}, separators=(",", ":")).encode()
    assert "expression" in str(error_of(reply(body), answer={"token": "a[?@ > `0` && @ > `0`] | [0]"}))
    assert "64 KiB" in str(error_of(reply(b'{"token":"' + b"x" * 65_536 + b'"}')))
