"""Positions in TOML documents: the scanner agrees with tomllib about every document."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokend.plugin.toml_positions import Layout, Path, layout, unclosed_statement

DOCUMENT = """\
# a comment = "x"
title = 'one'   # trailing
dotted . "quoted key" . c = [1, [2, 'three # no comment'], { a = "}]", "b.c" = 5 }]
when = 1979-05-27 07:32:00
text = \"\"\"
[no.header]
key = "no key" \\"\"\"\"\"\"
raw = '''it's ''' # end
"\\u00e4\\"" = true
[table."with.dot"]
x = 1
[[array]]
name = "first"
[[array.inner]]
y = 1
[[array]]
[array.sub]
z = { deep.er = [
  # inside
  1979-05-27,
  2,
] }
"""


def at(text: str, path: Path) -> tuple[int, int]:
    offset = layout(text).keys[path]
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("title",), (2, 1)),
        (("dotted",), (3, 1)),
        (("dotted", "quoted key", "c"), (3, 1)),
        (("dotted", "quoted key", "c", 0), (3, 30)),
        (("dotted", "quoted key", "c", 1, 1), (3, 37)),
        (("dotted", "quoted key", "c", 2), (3, 60)),
        (("dotted", "quoted key", "c", 2, "b.c"), (3, 72)),
        (("when",), (4, 1)),
        (("raw",), (8, 1)),
        (('ä"',), (9, 1)),
        (("table", "with.dot"), (10, 1)),
        (("table",), (10, 1)),
        (("table", "with.dot", "x"), (11, 1)),
        (("array",), (12, 1)),
        (("array", 0, "name"), (13, 1)),
        (("array", 0, "inner", 0, "y"), (15, 1)),
        (("array", 1), (16, 1)),
        (("array", 1, "sub", "z", "deep", "er"), (18, 7)),
        (("array", 1, "sub", "z", "deep", "er", 1), (21, 3)),
    ],
)
def test_keys_items_and_headers_stand_where_a_person_sees_them(path: Path, place: tuple[int, int]) -> None:
    """Line and column count from 1, for every form of a key or a table."""
    assert at(DOCUMENT, path) == place


def test_every_value_is_found_as_it_is_written() -> None:
    """A string has its quotes.

    A number or time ends before the text that follows. Text in strings and comments does not count.
    """
    found = {span.path: DOCUMENT[span.start : span.end] for span in layout(DOCUMENT).values}
    assert found["title",] == "'one'"
    assert found["when",] == "1979-05-27 07:32:00"
    assert found["text",].startswith('"""\n[no.header]')
    assert found["text",].endswith('\\""""""')
    assert found["raw",] == "'''it's '''"
    assert found["array", 1, "sub", "z", "deep", "er", 0] == "1979-05-27"
    comments = [DOCUMENT[a:b] for a, b in layout(DOCUMENT).comments]
    assert comments == ['# a comment = "x"', "# trailing", "# end", "# inside"]


def test_windows_line_ends_move_nothing() -> None:
    """CRLF is one line end, and columns stay the same."""
    text = DOCUMENT.replace("\n", "\r\n")
    tomllib.loads(text)
    assert at(text, ("array", 1, "sub", "z", "deep", "er", 1)) == (21, 3)
    assert {span.path for span in layout(text).values} == {span.path for span in layout(DOCUMENT).values}


# ------------------------------------------------------------------ any document

KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=6)
SCALARS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.datetimes(),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=4)


def quoted(text: str) -> str:
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text) + '"'


def inline(value: Any, gap: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return f"[{gap}" + f",{gap}".join(inline(item, gap) for item in value) + f"{gap}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quoted(key)} = {inline(item, gap)}" for key, item in value.items()) + " }"
    return str(value)


def written_out(tables: dict[str, Any], gap: str) -> str:
    """A document: scalars and arrays as pairs, tables with headers, with comments between."""
    lines = [f"{quoted(key)} = {inline(value, gap)}" for key, value in tables.items() if not isinstance(value, dict)]
    for key, value in tables.items():
        if isinstance(value, dict):
            lines += ["", f"# [{key!r}]", f"[{quoted(key)}] # = "]
            lines += [f"  {quoted(inner)}={inline(item, gap)}" for inner, item in value.items()]
    return "\n".join(lines) + "\n"


def paths_of(value: Any, path: Path = ()) -> set[Path]:
    if not isinstance(value, dict | list):
        return {path}
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    return {path}.union(*(paths_of(inner, (*path, key)) for key, inner in pairs)) - {()}


@settings(deadline=None)
@given(TABLES, st.sampled_from([" ", "\n  ", "", " # not, a = value ]\n"]))
def test_every_key_and_value_of_any_document_has_its_place(tables: dict[str, Any], gap: str) -> None:
    """The scanner finds exactly what tomllib finds, and the text of each value gives the same value again."""
    text = written_out(tables, gap)
    parsed = tomllib.loads(text)
    found: Layout = layout(text)
    assert set(found.keys) == paths_of(parsed)
    for span in found.values:
        value: Any = parsed
        for part in span.path:
            value = value[part]
        assert tomllib.loads(f"v = {text[span.start : span.end]}")["v"] == value


@settings(deadline=None)
@given(TABLES, st.sampled_from([" ", "\n  ", ""]))
def test_every_statement_of_any_document_has_its_place(tables: dict[str, Any], gap: str) -> None:
    """A pair's text is a document with that value at its end; an inline table's text is that table."""
    text = written_out(tables, gap)
    found = layout(text)
    assert [text[one.start : one.end] for one in found.headers] == [
        f"[{quoted(str(one.path[0]))}]" for one in found.headers
    ]
    for pair in found.pairs:
        alone: Any = tomllib.loads(text[pair.start : pair.end])
        for part in pair.path[len(pair.table) :]:
            alone = alone[part]
        assert repr(alone) == repr(value_at(tomllib.loads(text), pair.path))
    for path, (start, end) in found.inlines.items():
        assert repr(tomllib.loads(f"v = {text[start:end]}")["v"]) == repr(value_at(tomllib.loads(text), path))


def value_at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


@settings(deadline=None)
@given(TABLES, st.data())
def test_a_document_that_breaks_off_never_confuses_the_scanner(tables: dict[str, Any], data: st.DataObject) -> None:
    """If tomllib finds something open at the end, the scanner returns an offset or None and does not fail."""
    text = written_out(tables, " ")
    cut = text[: data.draw(st.integers(0, len(text)))]
    offset = unclosed_statement(cut)
    assert offset is None or 0 <= offset <= len(cut)


def test_an_open_bracket_is_found_where_its_statement_began() -> None:
    """The mistake is at the start of the statement, not at the end of the document."""
    text = 'a = 1\nb = [\n  "x",\n'
    assert unclosed_statement(text) == text.index("b = [")
    text = 'a = """\nnever closed ""\n'
    assert unclosed_statement(text) == 0
    assert unclosed_statement("a = 1\n") is None
