"""A vendor's table as defaults: what merges, what a placeholder is, and which key comes from whom."""

from pathlib import Path
from typing import Any

import pytest

from tokend.config.vendor_defaults import (
    Defaults,
    Where,
    dotted,
    filled,
    has,
    merged,
    placeholders_in,
    with_literals,
)
from tokend.plugin.secret_source import SecretSource
from tokend.values.secret import Secret


@pytest.mark.parametrize(
    ("given", "written", "whole"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({}, {"a": 1}, {"a": 1}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": "text"}, {"a": "text"}),
        ({"a": "text"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": [{"b": 1}]}, {"a": []}, {"a": []}),
    ],
)
def test_tables_merge_and_everything_else_is_replaced(given: Any, written: Any, whole: Any) -> None:
    """An array of tables is an array."""
    before = repr(given)
    assert merged(given, written) == whole
    assert repr(given) == before


def test_a_literal_secret_keeps_the_encoding_that_the_vendor_says() -> None:
    """A place merges by itself; a text that the vendor gives no table for stays what it is."""
    given = {"secrets": {"key": {"encoding": "base64"}, "other": {"encoding": "hex"}}, "a": {"b": 1}, "c": "d"}
    written = {"secrets": {"key": "ZmFrZQ==", "other": {"env": "X"}, "mine": "fake"}, "a": "text", "c": "e"}
    whole = with_literals(merged(given, written), given)
    assert SecretSource.model_validate(whole["secrets"]["key"]) == SecretSource(
        literal=Secret("ZmFrZQ=="), encoding="base64"
    )
    assert whole["secrets"]["other"] == {"encoding": "hex", "env": "X"}
    assert (whole["secrets"]["mine"], whole["a"], whole["c"]) == ("fake", "text", "e")
    assert "ZmFrZQ" not in repr(whole["secrets"]["key"])


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{x}/{y}", "1/{y}"),
        ("{{x}}", "{{x}}"),
        ("{{{x}}}", "{{1}}"),
        ("{x.y} {X} {", "{x.y} {X} {"),
        ("{token}", "{token}"),
    ],
)
def test_only_a_declared_placeholder_is_filled_in(text: str, result: str) -> None:
    """Twice a brace is a brace, and other names are the kind's."""
    assert filled({"a": [text, 1], "b": {"c": text}}, {"x": "1"}) == {"a": [result, 1], "b": {"c": result}}


def test_the_names_in_braces_are_found_in_all_texts() -> None:
    """Also in arrays and inner tables."""
    assert [*placeholders_in({"a": "{x}", "b": [{"c": "{{z}} {y}"}], "d": 1})] == ["x", "y"]


GIVEN = {"url": "u", "answer": {"a": 1}, "errors": [{"x": 1}]}
WRITTEN = {"vendor": "v", "answer": {"b": 2}, "scope": ["s"]}
DEFAULTS = Defaults("v", Path("/v.toml"), WRITTEN, GIVEN, lambda below: dotted(("provider", *below)))


@pytest.mark.parametrize(
    ("below", "is_written", "origin"),
    [
        (("url",), False, "provider.url"),
        (("answer",), True, None),
        (("answer", "a"), False, "provider.answer.a"),
        (("answer", "b"), True, None),
        (("answer", "none"), False, "provider.answer"),
        (("errors", 0, "x"), False, "provider.errors"),
        (("scope", 0), True, None),
        (("none",), False, None),
    ],
)
def test_each_path_is_the_user_s_or_the_vendor_s(below: Where, is_written: bool, origin: str | None) -> None:
    """What is inside an array is its writer's. The nearest key of the file is named."""
    assert DEFAULTS.is_written(below) == is_written
    assert DEFAULTS.origin(below) == origin


def test_a_table_has_what_its_tables_have() -> None:
    """What is in no table is not there."""
    assert has(GIVEN, ("answer", "a"))
    assert not has(GIVEN, ("answer", "b"))
    assert not has(GIVEN, ("url", "x"))


def test_a_partial_table_is_judged_where_the_user_wrote() -> None:
    """And not where something is missing that was reported."""
    partial = Defaults("v", Path("/v.toml"), WRITTEN, GIVEN, dotted, True, frozenset({("scope",)}))
    assert partial.is_unjudged(("url",))
    assert partial.is_unjudged(("scope",))
    assert not partial.is_unjudged(("answer", "b"))
    assert not DEFAULTS.is_unjudged(("url",))
