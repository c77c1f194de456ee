"""Callers' parameters: what a pattern may be, what it accepts, and how fast it says so."""

import re
import string
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tokend.plugin.declared.parameters import MOST_CHARACTERS, Parameter, Pattern, absent, check_parameters
from tokend.values.errors import InvalidParametersError


def declared(**tables: Any) -> dict[str, Parameter]:
    return {name: Parameter.model_validate(table) for name, table in tables.items()}


def errors(parameters: dict[str, Parameter], given: dict[str, str]) -> dict[str, list[str]]:
    try:
        check_parameters(parameters, given)
    except InvalidParametersError as error:
        return {name: list(texts) for name, texts in error.errors.items()}
    return {}


@pytest.mark.parametrize(
    ("pattern", "accepted", "refused"),
    [
        ("[A-Za-z0-9_-]{1,64}", ["a", "Z-_9", "x" * 64], ["", "a b", "ä", "a\n", "x" * 65]),
        ("[0-9]{6}", ["012345"], ["12345", "1234567", "٠١٢٣٤٥"]),
        ("[-a]{1,2}", ["-", "a-"], ["b"]), (r"[a\-z\]\\^]{1}", ["-", "a", "z", "]", "\\", "^"], ["b"]),
        ("[^a-c]{1,2}", ["d", "é\n"], ["a", "da"]), ("[.*+?(){}|$]{1,10}", [".*+?(){}|$"], ["a"]),
        ("[a&&b~~c||d-]{1,9}", ["a&~|-d"], ["e"]), ("[ -~]{0,3}", ["", " ~"], ["\t"]),
        ("demo|live", ["demo", "live"], ["", "demo|live", "dem", "demolive"]),
        (r"v1\.0|v2 beta", ["v1.0", "v2 beta"], ["v1x0"]),
        ("sandbox", ["sandbox"], ["sandbo"]), ("ä|ö-ü", ["ä", "ö-ü"], ["ö"]),
    ],
)  # fmt: skip
def test_a_pattern_accepts_whole_texts_only(pattern: str, accepted: list[str], refused: list[str]) -> None:
    """A class with a length, or words."""
    parsed = Pattern(pattern)
    assert [text for text in accepted if not parsed.accepts(text)] == []
    assert [text for text in refused if parsed.accepts(text)] == []


@pytest.mark.parametrize(
    "pattern",
    [
        "", "[a-z]", "[a-z]+", "[a-z]*", "[a-z]{1,}", "[a-z]{,5}", "[]{1}", "[^]{1}", "[a-z]{0}", "[a-z]{5,1}",
        "[a-z]{70000}",
        "[a-z]{1,5}?", "[a-z]{1,5}+", "^[a-z]{1,5}$", "[a-z]{1,5}[0-9]{1}", "([a-z]{1,5})", "(a|b)", "(a+)+", "a.*b",
        "a.b",
        r"\d{6}", r"[\d]{6}", r"[\w-]{1,5}", "[[:alpha:]]{1}", "[z-a]{1}", "[a-b-c]{1}", "[a-c-]{1,2}x", "a||b", "|a",
        "a|",
        "a|(b|c)",
        "a|b*", "[a-z]{1,5}|b", "(?i)a", "a\\", r"[a\]{1}", r"\bword", "[a-]b]{1}", "x" * 1001,
    ],
)  # fmt: skip
def test_what_is_no_such_pattern_is_refused(pattern: str) -> None:
    """No repetition of a group, no choice within one: nothing that backtracks."""
    with pytest.raises(ValueError, match=r"a pattern|character class"):
        Pattern(pattern)


@given(st.text(alphabet="ab[]{}()|*+?^$.\\-,019", max_size=12), st.text(alphabet="ab-1|.]", max_size=4))
def test_an_accepted_pattern_means_what_a_regular_expression_means(pattern: str, text: str) -> None:
    """Where it can be read, it is no other language."""
    try:
        parsed = Pattern(pattern)
    except ValueError:
        return
    assert parsed.accepts(text) == (re.fullmatch(pattern, text) is not None)


def test_a_hostile_text_is_refused_at_once() -> None:
    """The longest that a caller may send, and one that differs at its last character."""
    patterns = [Pattern(f"[a-z]{{1,{MOST_CHARACTERS}}}"), Pattern("|".join(["a" * 40, "a" * 39 + "b"] * 10))]
    started = time.thread_time()
    for text in ("a" * (MOST_CHARACTERS - 1) + "!", "a" * MOST_CHARACTERS + "!", "a" * 39 + "!"):
        assert not any(pattern.accepts(text) for pattern in patterns)
    assert time.thread_time() - started < 0.5


def test_each_wrong_parameter_is_named() -> None:
    """All at once, without the text that was given."""
    parameters = declared(
        account={"max": 4, "pattern": "[a-z]{1,64}"}, mode={"pattern": "demo|live"}, user={}, note={"optional": True}
    )
    assert errors(parameters, {"account": "abcd", "mode": "live", "user": "Ü\n"}) == {}
    planted = {"account": "planted", "mode": "planted", "user": "\ud800", "nota": "planted", string.ascii_letters: ""}
    assert errors(parameters, planted) == {
        "account": ["has 7 characters; at most 4 are allowed"],
        "mode": ["is not one of demo, live"],
        "user": ["is not valid Unicode text"],
        "nota": ['is unknown; known are account, mode, user, note; did you mean "note"?'],
        string.ascii_letters: ["is unknown; known are account, mode, user, note"],
    }
    assert errors(parameters, {"account": "A", "mode": "", "note": ""}) == {
        "account": ["is not [a-z]{1,64}"], "mode": ["is required"], "user": ["is required"],
    }  # fmt: skip
    assert errors({}, {"a": "b"}) == {"a": ["is unknown; known are none"]}


def test_without_a_length_of_its_own_a_parameter_has_a_limit() -> None:
    """That of the pattern, else 1024 characters."""
    assert errors(declared(a={}), {"a": "x" * 1025}) == {"a": ["has 1025 characters; at most 1024 are allowed"]}
    assert errors(declared(a={"pattern": "[a]{2000}"}), {"a": "a" * 2000}) == {}


def test_an_optional_parameter_may_be_absent_or_empty() -> None:
    """Both mean the same."""
    parameters = declared(a={}, b={"optional": True}, c={"optional": True})
    assert absent(parameters, {"a": "1", "b": ""}) == {"b", "c"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"max": 0}, "greater than or equal"), ({"max": 65537}, "less than or equal"),
        ({"pattern": 5}, "a pattern is one"),
        ({"max": 3, "pattern": "demo|live"}, "a word of the pattern has 4"), ({"maximum": 3}, "Extra inputs"),
    ],
)  # fmt: skip
def test_what_is_no_parameter_is_refused(table: dict[str, Any], message: str) -> None:
    """With the key."""
    with pytest.raises(ValidationError, match=message):
        declared(a=table)


def test_parameters_of_one_pattern_are_equal() -> None:
    """A reload compares them."""
    assert declared(a={"pattern": "a|b"}) == declared(a={"pattern": "a|b"}) != declared(a={"pattern": "a|c"})


def test_a_word_that_cannot_be_read_is_refused_with_what_may_stand_in_one() -> None:
    """The character is escaped there."""
    with pytest.raises(ValueError, match=r"in a word a \\ stands before each of .* \$ \. \|$"):
        Pattern("a|b.c")
    assert Pattern(r"a|b\.c").words == ("a", "b.c")
