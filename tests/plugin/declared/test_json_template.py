"""JSON bodies with placeholders: types, order and quotation."""

import datetime
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tokend.plugin.declared.json_template import JsonField, JsonTemplate
from tokend.plugin.settings_base import Settings
from tokend.values.secret import Secret


def test_a_body_keeps_its_types_and_its_order_and_quotes_its_values() -> None:
    """A secret is a string, whatever it looks like; a number alone stays a number; a brace is a brace."""
    written = {
        "b": "{value}",
        "a": [1, True, 1.5, "{generation}", "n{generation}"],
        "c": {"{{d}}": "{{{name}}}"},
        "e": [],
    }
    made = JsonTemplate(written).fill({"value": Secret('7"\n{name}\\é'), "generation": 7, "name": "tt"})
    assert made.startswith(b'{"b":"7\\"\\n{name}\\\\\xc3\xa9","a":[1,true,1.5,7,"n7"],')
    assert json.loads(made)["c"] == {"{{d}}": "{tt}"}
    assert JsonTemplate(["{value}"]).fill({"value": Secret("12")}) == b'["12"]'
    assert JsonTemplate({"end": "{end}"}).fill({"end": None}) == b'{"end":null}'


def test_each_placeholder_has_its_path() -> None:
    """For the place in the file."""
    template = JsonTemplate({"a": [{"b": "{x}{y}"}], "c": "{z}"})
    assert list(template.names()) == [(("a", 0, "b"), "x"), (("a", 0, "b"), "y"), (("c",), "z")]


def deep(levels: int) -> Any:
    tree: Any = 1
    for _ in range(levels):
        tree = [tree]
    return tree


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"a": {"b": "{"}}, "a: b: character 1"), ({"{name}": 1}, "keys are literal"),
        ({"a": datetime.date(2026, 1, 1)}, "a: JSON has"), ({"a": float("nan")}, "JSON has"), (deep(40), "32 levels"),
        ("text", "a table or an array"), (5, "a table or an array"),
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused_with_its_path(written: Any, message: str) -> None:
    """When the configuration is read."""

    class Table(Settings):
        body: JsonField

    with pytest.raises(ValidationError, match=message):
        Table.model_validate({"body": written})


def test_equal_bodies_are_equal_settings() -> None:
    """true is not 1."""

    class Table(Settings):
        body: JsonField

    one = Table.model_validate({"body": {"a": [True, "{x}"]}})
    assert one == Table.model_validate({"body": {"a": [True, "{x}"]}}) == Table(body=one.body)
    assert hash(one.body) == hash(JsonTemplate({"a": [True, "{x}"]}))
    assert one != Table.model_validate({"body": {"a": [1, "{x}"]}})
    assert one.body != {"a": [True, "{x}"]}
    assert repr(one.body) == repr(JsonTemplate({"a": [True, "{x}"]})) != repr(JsonTemplate({"a": [1, "{x}"]}))
    assert Table.model_json_schema()


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
)
def test_any_value_arrives_as_it_is(value: str, around: str) -> None:
    """Quotes, braces, line ends: nothing of a value becomes JSON, and no brace of a value a placeholder."""
    literal = around.replace("{", "{{").replace("}", "}}")
    made = JsonTemplate({"a": "{x}", "b": f"{literal}{{x}}{literal}"}).fill({"x": Secret(value)})
    assert json.loads(made) == {"a": value, "b": f"{around}{value}{around}"}
