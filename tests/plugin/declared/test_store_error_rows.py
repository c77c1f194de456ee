"""Rows of errors of a store: a text somewhere in the body, and which errors there are."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.plugin.declared.replies import answer
from tokend.plugin.declared.answer import Answer
from tokend.plugin.declared.store_error_rows import StoreErrorRow


def row(**keys: Any) -> StoreErrorRow:
    return StoreErrorRow.model_validate({"means": "conflict", **keys})


@pytest.mark.parametrize(
    ("keys", "found", "matches"),
    [
        ({"text": "Bad Request"}, answer(b"<p>Bad Request"), True), ({"text": "Bad"}, answer(b"good"), False),
        ({"status": 400, "when": "error == 'a'", "text": "a"}, answer({"error": "a"}, 400), True),
        ({"status": 400, "when": "error == 'a'", "text": "b"}, answer({"error": "a"}, 400), False),
    ],
)  # fmt: skip
def test_a_text_stands_somewhere_in_the_body(keys: dict[str, Any], found: Answer, matches: bool) -> None:
    """A store's answer is a page more often than a word."""
    assert row(**keys).matches(found) is matches


@pytest.mark.parametrize("means", ["login_required", "clock", "bad"])
def test_a_row_means_an_error_of_a_store(means: str) -> None:
    """No login and no clock."""
    with pytest.raises(ValidationError):
        row(status=400, means=means)
