"""Warnings about fields that were probably meant as values."""

import pytest

from tokend.plugin.declared.literal_slips import literal_slips
from tokend.plugin.declared.store_answers import InspectAnswer
from tokend.plugin.declared.token_error_rows import TokenErrorRow
from tokend.providers.http.settings import AnswerSettings


def test_each_expression_of_a_table_is_looked_at_and_named_by_its_key() -> None:
    """Those of places, of members and of rows, too."""
    answer = AnswerSettings.model_validate(
        {
            "token": {"json": 'a[?b == "x"] | [0].c', "after_last": "/"},
            "success": "ok == true",
            "expires_in": "life",
            "extra": {"url": 'd[?e == "f"]'},
        }
    )
    found = sorted(one.partition(" is a field")[0] for one in literal_slips(answer, "answer"))
    assert found == ['answer.extra.url: "f"', "answer.success: true", 'answer.token: "x"']


def test_a_row_is_named_by_its_index() -> None:
    """Rows without a slip count."""
    rows = tuple(TokenErrorRow.model_validate({"when": when, "means": "rejected"}) for when in ("a", 'a == "b"'))
    assert [one.partition(": ")[0] for one in literal_slips(rows, "errors")] == ["errors.1.when"]


@pytest.mark.parametrize("value", [None, 5, "a == true", InspectAnswer()])
def test_what_has_no_expression_has_no_slip(value: object) -> None:
    """A text is none."""
    assert list(literal_slips(value, "answer")) == []
