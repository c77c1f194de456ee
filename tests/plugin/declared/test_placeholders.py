"""Placeholders in texts: what is one, what is a brace, and a secret that stays one."""

from typing import Any

import pytest
from pydantic import ValidationError

from tokend.plugin.declared.placeholders import Text, TextField, Value, as_text, unknown_name
from tokend.plugin.settings_base import Settings
from tokend.values.secret import Secret

VALUES: dict[str, Value] = {
    "value": Secret("planted-fake"), "name": "tt", "generation": 7, "flag": True, "nothing": None, "values.A.B-c": "x",
}  # fmt: skip


@pytest.mark.parametrize(
    ("written", "filled"),
    [
        ("", ""), ("plain", "plain"), ("{name}", "tt"), ("a{name}b{generation}c", "attb7c"), ("{{name}}", "{name}"),
        ("{{{name}}}", "{tt}"), ("}}{{", "}{"), ("{values.A.B-c}", "x"), ("[{nothing}]", "[]"), ("{flag}", "true"),
    ],
)  # fmt: skip
def test_names_in_braces_are_filled_in_and_doubled_braces_are_braces(written: str, filled: str) -> None:
    """A value without an end is an empty text."""
    assert Text.parse(written).fill(VALUES) == filled


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("a{", "character 2: this { has no counterpart"), ("a}b", "character 2: this } has no counterpart"),
        ("{}", "character 1: this { begins no placeholder"), ("{a b}", "begins no placeholder"),
        ("{1}", "begins no placeholder"), ("{a{b}}", "character 1: this {"), ("{{a}", "character 4: this }"),
        ("{.a}", "begins no"), ("{a.}", "begins no"),
    ],
)  # fmt: skip
def test_other_braces_are_refused_with_their_position(written: str, message: str) -> None:
    """The message says how to write a brace."""
    with pytest.raises(ValueError, match=r"write \{name\}, or \{\{ and \}\}") as refused:
        Text.parse(written)
    assert message in str(refused.value)


def test_a_text_with_a_secret_is_a_secret() -> None:
    """It shows nothing until it is sent; a text without one is a plain string."""
    made = Text.parse("Bearer {value}").fill(VALUES)
    assert isinstance(made, Secret)
    assert made.reveal() == "Bearer planted-fake"
    assert Text.parse("{name}").fill(VALUES) == "tt"


def test_a_text_that_is_one_placeholder_keeps_the_type_of_its_value() -> None:
    """In JSON a number stays a number."""
    typed = {name: Text.parse(f"{{{name}}}").fill_typed(VALUES) for name in VALUES}
    assert typed == VALUES
    assert Text.parse("{generation}{generation}").fill_typed(VALUES) == "77"
    assert Text.parse("no").fill_typed(VALUES) == "no"


def test_values_are_encoded_and_literal_text_is_not() -> None:
    """As in a URL."""
    assert Text.parse("a/{x}").fill({"x": "b/c"}, lambda text: text.replace("/", "%2F")) == "a/b%2Fc"


def test_an_unknown_name_is_named_with_what_was_meant() -> None:
    """Many known names are cut."""
    known = ["value", "name", "values.DB"]
    assert unknown_name(["value", "values.DB"], known) is None
    found = unknown_name(["value", "vlaue"], known)
    assert found == (
        'there is no placeholder "vlaue" here; known are {value}, {name}, {values.DB}; did you mean "value"?'
    )
    assert unknown_name(["x"], ["a", "a"]) == 'there is no placeholder "x" here; known are {a}'
    assert (unknown_name(["zz"], [f"a{n}" for n in range(99)]) or "").endswith("{a11}, …")


def test_a_settings_field_parses_its_text() -> None:
    """Numbers and booleans are the text that stands there."""

    class Table(Settings):
        text: TextField

    def made(value: Any) -> Text:
        return Table.model_validate({"text": value}).text

    assert made("{a}") == Text.parse("{a}") == Table(text=Text.parse("{a}")).text
    assert [as_text(made(value).fill({})) for value in (5, True, False)] == ["5", "true", "false"]
    assert Table.model_json_schema()
    for wrong in ("{", 1.5, ["a"]):
        with pytest.raises(ValidationError):
            made(wrong)
