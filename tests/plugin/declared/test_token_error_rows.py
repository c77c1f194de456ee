"""Rows of errors of a provider: which answers they know, and what follows."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.plugin.declared.replies import answer
from tokend.plugin.declared.error_rows import matching_row
from tokend.plugin.declared.token_error_rows import TokenErrorRow, raise_for_row
from tokend.values.errors import (
    AttemptError,
    ClockError,
    LoginRefusedError,
    RateLimitedError,
    RejectedError,
    TransientError,
)

MEANINGS = {
    "rejected": RejectedError, "login_required": LoginRefusedError, "rate_limited": RateLimitedError,
    "transient": TransientError, "clock": ClockError,
}  # fmt: skip


def row(**keys: Any) -> TokenErrorRow:
    return TokenErrorRow.model_validate({"means": "rejected", **keys})


@pytest.mark.parametrize("means", MEANINGS)
def test_a_row_means_an_error_whose_message_names_the_row(means: str) -> None:
    """And nothing of the body."""
    found = matching_row([row(status=500), row(when="error", means=means)], answer({"error": "planted"}, 400))
    assert found is not None
    with pytest.raises(MEANINGS[means], match=f"answered 400; row 2 of errors says {means}$"):
        raise_for_row(found, answer(None, 400).reply, "api.example:443")


@pytest.mark.parametrize(
    ("keys", "pause", "expected"),
    [({"pause": "70s"}, None, 70.0), ({"pause": "70s"}, "9", 9.0), ({}, "9", 9.0), ({}, None, None)],
)
def test_the_servers_own_pause_counts_before_that_of_the_row(
    keys: dict[str, Any], pause: str | None, expected: float | None
) -> None:
    """For both meanings that wait."""
    headers: dict[str, Any] = {} if pause is None else {"retry_after": pause}
    reply = answer(None, 400, **headers).reply
    for means in ("rate_limited", "transient"):
        with pytest.raises(AttemptError) as caught:
            raise_for_row((1, row(status=400, means=means, **keys)), reply, "x")
        assert getattr(caught.value, "retry_after", 0) == expected


@pytest.mark.parametrize(
    ("keys", "matches"),
    [
        ({"status": 400}, True), ({"status": [401, 400]}, True), ({"status": 401}, False),
        ({"when": "a.b == `1`"}, True), ({"when": "length(a.b) == `1`"}, False), ({"when": "x > `3`"}, False),
        ({"when": "a.b == `1`", "status": 401}, False), ({"text": '{"a": {"b": 1}}'}, True), ({"text": '"a"'}, False),
    ],
)  # fmt: skip
def test_all_conditions_of_a_row_hold(keys: dict[str, Any], matches: bool) -> None:
    """An expression that cannot be applied does not; a text is the whole body."""
    assert row(**keys).matches(answer({"a": {"b": 1}}, 400)) is matches
    assert not row(when="a").matches(answer(b"<html>"))


@pytest.mark.parametrize(
    "keys", [{}, {"text": "x" * 201}, {"text": ""}, {"status": 99}, {"status": []}, {"status": 400, "pause": "1s"},
             {"status": 400, "means": "conflict"}, {"when": "a["}],
)  # fmt: skip
def test_a_row_that_cannot_work_is_refused(keys: dict[str, Any]) -> None:
    """A row without a condition would hold for each answer."""
    with pytest.raises(ValidationError):
        row(**keys)
