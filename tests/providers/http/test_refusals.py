"""Meaning of an answer that grants nothing."""

import json
from email.utils import formatdate
from typing import Any

import pytest

from tests.providers.http.asking import TOKEN, error_of, said
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
    ("keys", "status", "masked"),
    [
        ({"errors": [{"when": "dead", "means": "rejected"}]}, 200, True),
        ({"errors": [{"status": 403, "means": "rejected"}]}, 403, True),
        ({}, 500, True),
        ({"answer": {"token": "t", "success": "dead == `false`"}}, 200, True),
        ({"answer": {"token": "none", "secret_extra": {"more": "t"}, "success": "!dead"}}, 200, True),
        ({"answer": {"token": {"header": "X-Token"}, "success": "!dead"}}, 200, True),
        ({"answer": {"token": {"cookie": "sid"}, "success": "!dead"}}, 200, True),
        ({"answer": {"token": "none", "lifetime": "1h"}}, 401, False),
    ],
)
def test_the_words_of_a_refusal_hide_what_the_answer_brings(keys: dict[str, Any], status: int, masked: bool) -> None:
    """Wherever the token stands in it, and whatever its status."""
    refused = said(
        status, {"X-Token": TOKEN, "Set-Cookie": f"sid={TOKEN}"}, t=TOKEN, dead=True, message=f"take {TOKEN}, or not"
    )
    error = error_of(refused, **{"answer": {"token": "t", "lifetime": "1h"}, **keys})
    assert error.said == ("take ***, or not" if masked else f"take {TOKEN}, or not")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [(400, b"Bad Request", "Bad Request"), (403, b"denied", "denied"), (200, TOKEN.encode(), "***")],
)
def test_where_the_whole_text_is_the_token_the_text_of_an_error_is_none(status: int, body: bytes, words: str) -> None:
    """In an answer that is no success by its status."""
    keys = {"answer": {"token": {"text": True}, "lifetime": "1h", "success": "never"}}
    assert error_of(reply(body, status=status, headers={"Content-Type": "text/plain"}), **keys).said == words


def test_an_answer_whose_secrets_cannot_be_found_has_no_words() -> None:
    """Here the evaluation finds too much."""
    refused = said(500, a=[1] * 20_000, message="planted")
    error = error_of(refused, answer={"token": "a[?@ > `0`] | [?@ > `0`] | [0]", "lifetime": "1h"})
    assert error.said is None


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
