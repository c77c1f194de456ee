"""Rows of errors: which answers match, and what a row of any kind must have."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tests.plugin.declared.replies import answer
from tokend.plugin.declared.answer import Answer
from tokend.plugin.declared.error_rows import ErrorRow, Statuses, matching_row
from tokend.plugin.declared.store_error_rows import StoreErrorRow
from tokend.plugin.declared.token_error_rows import TokenErrorRow

KINDS: tuple[type[ErrorRow], ...] = (StoreErrorRow, TokenErrorRow)


def row(kind: type[ErrorRow] = StoreErrorRow, **keys: Any) -> ErrorRow:
    return kind.model_validate({"means": "rejected", **keys})


@pytest.mark.parametrize(
    ("keys", "found", "matches"),
    [
        ({"status": 400}, answer({}, 400), True), ({"status": [400, 422]}, answer({}, 422), True),
        ({"status": 400}, answer({}, 200), False), ({"when": "error"}, answer({"error": "x"}), True),
        ({"when": "length(error) > `0`"}, answer({"error": 5}), False), ({"when": "@ == `false`"}, answer(False), True),
        ({"text": "Bad Request"}, answer(b"Bad Request"), True), ({"text": "Bad"}, answer(b"good"), False),
        ({"status": 400, "when": "error == 'b'"}, answer({"error": "a"}, 400), False),
        ({"when": "!a"}, answer(b"no json"), False),
    ],
)  # fmt: skip
def test_a_row_matches_if_all_its_conditions_hold(keys: dict[str, Any], found: Answer, matches: bool) -> None:
    """An expression that does not apply is false."""
    assert [row(kind, **keys).matches(found) for kind in KINDS] == [matches] * len(KINDS)


def test_the_first_row_counts() -> None:
    """None for an answer that no row knows."""
    rows = [row(status=400, means="transient"), row(status=[400, 401])]
    assert matching_row(rows, answer({}, 400)) == (1, rows[0])
    assert matching_row(rows, answer({}, 401)) == (2, rows[1])
    assert matching_row(rows, answer({}, 402)) is None


@pytest.mark.parametrize(
    "keys",
    [{}, {"status": []}, {"status": 99}, {"status": "400"}, {"status": True}, {"when": "a."}, {"text": ""},
     {"status": 400, "means": "bad"}, {"status": 400, "pause": "1m"},
     {"status": 429, "pause": 60, "means": "transient"}],
)  # fmt: skip
def test_a_row_without_a_condition_or_with_a_wrong_one_is_refused(keys: dict[str, Any]) -> None:
    """`pause` goes with a pause."""
    for kind in KINDS:
        with pytest.raises(ValidationError):
            row(kind, **keys)


def test_a_pause_and_a_schema() -> None:
    """A duration, for errors that pass."""
    paused = row(status=429, means="rate_limited", pause="1m").pause
    assert paused is not None
    assert paused.total_seconds() == 60
    assert TypeAdapter(Statuses).json_schema()
