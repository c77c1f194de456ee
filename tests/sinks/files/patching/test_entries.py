"""Entries between braces: one more in the layout of the others, one less with its comma."""

import re

import pytest

from tokend.sinks.files.patching.entries import with_entry, without_entry

Span = tuple[int, int]


def spans(text: str) -> tuple[Span, list[Span]]:
    """The braces of a text like ``{a, b}``, and its words outside of comments."""
    bare = re.sub("#[^\n]*", lambda found: " " * len(found[0]), text)
    return (bare.index("{"), bare.index("}") + 1), [found.span() for found in re.finditer(r"\w+", bare)]


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("{}", "{x}"),
        ("{ }", "{x }"),
        ("{a}", "{a, x}"),
        ("{ a, b }", "{ a, b, x }"),
        ("{a,b}", "{a,b,x}"),
        ("{a,}", "{a, x,}"),
        ("{\n  a,\n  b\n}", "{\n  a,\n  b,\n  x\n}"),
        ("{\r\n\ta # c\r\n}", "{\r\n\ta,\r\n\tx # c\r\n}"),
    ],
)
def test_an_entry_is_added_in_the_layout_of_the_others(text: str, after: str) -> None:
    """On a line of its own where they have one."""
    assert with_entry(text, *spans(text), "x") == after


def test_a_tight_collection_stays_tight() -> None:
    """With one entry nothing shows what stands behind a comma."""
    assert with_entry("{a}", *spans("{a}"), "x", tight=True) == "{a,x}"


@pytest.mark.parametrize(
    ("text", "index", "after"),
    [
        ("{a}", 0, "{}"),
        ("{ a, }", 0, "{}"),
        ("{a, b}", 0, "{b}"),
        ("{a, b}", 1, "{a}"),
        ("{a,b,c}", 1, "{a,c}"),
        ("{\n  a,\n  b\n}", 0, "{\n  b\n}"),
        ("{\n  a,\n  b\n}", 1, "{\n  a\n}"),
        ("{a, b,}", 1, "{a,}"),
        ("{\n a, # one\n b # two\n}", 0, "{\n  # one\n b # two\n}"),
        ("{\n a, # one\n b # two\n}", 1, "{\n a # one\n  # two\n}"),
        ("{ # c\n a }", 0, "{ # c\n  }"),
        ("{a # c\n}", 0, "{ # c\n}"),
    ],
)
def test_an_entry_is_taken_away_with_one_comma(text: str, index: int, after: str) -> None:
    """Comments stay."""
    assert without_entry(text, *spans(text), index) == after
