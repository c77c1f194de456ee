"""Nouns, and the JSON object of a check."""

import json

import pytest

from tokend.cli.check_result import count, print_json


def test_a_number_has_its_noun() -> None:
    """One is singular."""
    assert [count(number, "error") for number in (0, 1, 2)] == ["0 errors", "1 error", "2 errors"]


def test_a_check_is_ok_without_errors_unless_something_else_went_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """A refused trial is no error of the configuration."""
    for errors, ok, expected in (([], None, True), (["x"], None, False), ([], False, False)):
        print_json(errors=errors, warnings=[], ok=ok, note=None)
        answer = json.loads(capsys.readouterr().out)
        assert answer == {"version": 1, "ok": expected, "errors": errors, "warnings": [], "note": None}
