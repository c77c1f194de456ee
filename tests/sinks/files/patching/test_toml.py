"""TOML: only the value's characters change, or lines are added; tomllib finds nothing else changed."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sinks.files.patching.edits import NEWLINES, OLD, TEXTS, pointer_to, removed_from, set_in
from tokend.sinks.files.patching import toml as form
from tokend.sinks.files.patching.problems import NotThereError, UneditableError
from tokend.sinks.files.patching.value import Value, quoted

CARGO = """\
# by hand
[registries.desk]
index = "sparse+https://x/"
token = "old" # cargo login

# the net
[net]
retry = 2
"""

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,5}", fullmatch=True) | st.text("aé .#[]\"'=~/", min_size=1, max_size=4)
VALUES = st.sampled_from(
    [
        "1",
        "true",
        "1979-05-27T07:32:00Z",
        "nan",
        "-inf",
        "1_000",
        '"a # no"',
        "'[no]'",
        '"""\n[no.header]\nk = 1\n"""',
        "[1, [2, '}']]",
        "{ a = 1, b = [ { c = 'x' } ] }",
        "[\n  1, # one\n  'two',\n]",
        "''' ''' # c",
    ]
)
COMMENTS = st.sampled_from(["", " # comment = [", "  #"])
BETWEEN = st.sampled_from(["", "\n", "# - comment\n", "  # indented\n\n"])
SIGNS = st.sampled_from([" = ", "=", "  =   "])


def name(key: str) -> str:
    return key if key.replace("-", "").replace("_", "").isalnum() and key.isascii() else quoted(key)


@st.composite
def documents(draw: st.DrawFn) -> tuple[tuple[str | int, ...], str, str]:
    """The way to `OLD`, a document with it in some form, and that form."""
    written = draw(st.sampled_from([quoted(OLD), f"'{OLD}'", f'"""{OLD}"""', f"'''\n{OLD}'''"]))
    tables = draw(
        st.lists(st.lists(NAMES, min_size=1, max_size=2, unique=True), max_size=3, unique_by=lambda names: names[0])
    )
    chosen, text = draw(st.integers(0, len(tables))), ""
    way: tuple[str | int, ...] = ()
    for number, table in enumerate([[], *([f"table {names[0]}", *names[1:]] for names in tables)]):
        array = draw(st.booleans()) and bool(table)
        inner, there = _pairs(draw, written if number == chosen else None)
        head = ".".join(name(key) for key in table)
        text += (f"[[{head}]]{draw(COMMENTS)}\n" if array else f"[{head}]{draw(COMMENTS)}\n") if table else ""
        text += inner
        if number == chosen:
            way = (*table, *([0] if array else []), *there)
    if draw(st.booleans()):
        text = text.rstrip("\n")
    return way, text.replace("\n", draw(NEWLINES)), written


def _pairs(draw: st.DrawFn, written: str | None) -> tuple[str, tuple[str | int, ...]]:
    keys = draw(st.lists(NAMES, min_size=0 if written is None else 1, max_size=3, unique=True))
    chosen, text = draw(st.integers(0, max(0, len(keys) - 1))), ""
    way: tuple[str | int, ...] = ()
    for number, key in enumerate(keys):
        text += draw(BETWEEN) + draw(st.sampled_from(["", "  "]))
        if written is None or number != chosen:
            text += f"{name(key)}{draw(SIGNS)}{draw(VALUES)}{draw(COMMENTS)}\n"
            continue
        forms: dict[str, tuple[str, tuple[str | int, ...]]] = {
            "plain": (f"{name(key)}{draw(SIGNS)}{written}", (key,)),
            "dotted": (f"{name(key)} . x{draw(SIGNS)}{written}", (key, "x")),
            "inline": (f"{name(key)}{draw(SIGNS)}{{ a = 1, b = {written} }}", (key, "b")),
            "list": (f"{name(key)}{draw(SIGNS)}[1, {written}]", (key, 1)),
        }
        line, way = draw(st.sampled_from([*forms.values()]))
        text += f"{line}{draw(COMMENTS)}\n"
    return text, way


def read(text: str) -> Any:
    return tomllib.loads(text, parse_float=str)


@settings(deadline=None, max_examples=60)
@given(documents(), TEXTS)
def test_only_the_value_changes_in_any_document(document: tuple[tuple[str | int, ...], str, str], value: str) -> None:
    """All other characters stay; and the old value put back in the same form gives the old file."""
    way, text, written = document
    newline = "\r\n" if "\r\n" in text else "\n"
    after = form.edit(text, pointer_to(*way), Value(value))
    assert after == text.replace(written.replace("\n", newline), Value(value).quoted())
    if written == quoted(OLD):
        assert form.edit(after, pointer_to(*way), Value(OLD)) == text


@settings(deadline=None, max_examples=60)
@given(documents(), NAMES, TEXTS)
def test_a_key_that_was_added_is_taken_away_without_a_trace(
    document: tuple[tuple[str | int, ...], str, str], key: str, value: str
) -> None:
    """In a table that has other keys; the others are read as before."""
    way, text, _ = document
    table = tree = read(text)
    for step in way[:-1]:
        table = table[step]
    if isinstance(table, list) or key in table:
        return
    pointer = pointer_to(*way[:-1], key)
    after = form.edit(text, pointer, Value(value))
    table[key] = value
    assert read(after) == tree
    assert form.edit(after, pointer, None) == text


@pytest.mark.parametrize(
    ("text", "pointer", "after"),
    [
        ("", "/a/b", '[a]\nb = "x"\n'),
        ("", "/a", 'a = "x"\n'),
        ("# c\n", "/a", '# c\na = "x"\n'),
        (CARGO, "/registries/desk/token", CARGO.replace('"old"', '"x"')),
        (CARGO, "/registries/desk/more", CARGO.replace("cargo login\n", 'cargo login\nmore = "x"\n')),
        (CARGO, "/registries/b/token", CARGO + '\n[registries.b]\ntoken = "x"\n'),
        (CARGO, "/net/a b", CARGO + '"a b" = "x"\n'),
        (
            "a = 1 # c\r\n[t]\r\nb = 2 # c\r\n\r\n# u\r\n[u]\r\n",
            "/t/c",
            'a = 1 # c\r\n[t]\r\nb = 2 # c\r\nc = "x"\r\n\r\n# u\r\n[u]\r\n',
        ),
        ("# all\n\n# about t\n[t]\nx=1\n", "/a", '# all\n\na = "x"\n\n# about t\n[t]\nx=1\n'),
        ("a.b.c = 1\n", "/a/b/d", 'a.b.c = 1\na.b.d = "x"\n'),
        ("a.b.c = 1\n", "/a/x/d", 'a.b.c = 1\na.x.d = "x"\n'),
        ("[a.b]\nx=1", "/a/y", '[a.b]\nx=1\n\n[a]\ny = "x"'),
        ("t = {a = 1} # c\n", "/t/c", 't = {a = 1, c = "x"} # c\n'),
        ("t = {} # c", "/t/c/d", 't = {c.d = "x"} # c'),
        ("[[p]]\nn=1\n[[p]]\nn=2\n[p.q]\nz=1\n", "/p/0/m", '[[p]]\nn=1\nm = "x"\n[[p]]\nn=2\n[p.q]\nz=1\n'),
        ("[[p]]\nn=1\n[[p]]\nn=2\n", "/p/0/m/k", '[[p]]\nn=1\nm.k = "x"\n[[p]]\nn=2\n'),
        ("  [t]\n  a=1\n", "/t/b", '  [t]\n  a=1\n  b = "x"\n'),
        ('a = """x\ny"""', "/b", 'a = """x\ny"""\nb = "x"'),
        ("a = [ {}, 1 ]\n", "/a/0/y", 'a = [ {y = "x"}, 1 ]\n'),
        ("a = true\n", "/a", 'a = "x"\n'),
    ],
)
def test_missing_tables_are_made(text: str, pointer: str, after: str) -> None:
    """Keys go behind the others of their table, tables behind all others; comments stay where they belong."""
    assert set_in(form, text, pointer, "x") == after


def test_an_equal_value_is_not_written_again() -> None:
    """Whatever its quotes."""
    for text in ("a = 'x'\n", 'a = "\\u0078"\n', "a = '''x'''\n"):
        assert set_in(form, text, "/a", "x") == text


def test_a_number_is_written_as_a_number() -> None:
    """And a string or true is no number."""
    assert set_in(form, 'a = "1"\n', "/a", "1", number=True) == "a = 1\n"
    assert set_in(form, "a = true\n", "/a", "1", number=True) == "a = 1\n"
    assert set_in(form, "a = 1.5\n", "/a", "1.5", number=True) == "a = 1.5\n"
    assert set_in(form, "a = 1\n", "/a", "1") == 'a = "1"\n'


@pytest.mark.parametrize(
    ("text", "pointer", "after"),
    [
        (CARGO, "/registries/desk/token", CARGO.replace('token = "old" # cargo', "# cargo")),
        (CARGO, "/net/retry", CARGO.replace("retry = 2\n", "")),
        ("a = 1\nb = 2", "/b", "a = 1"),
        ("t = {a = 1, b = 2}\n", "/t/a", "t = {b = 2}\n"),
        ("a.b = 1\n", "/a/b", ""),
        ("a.b = 1\na.c = 2\n", "/a/b", "a.c = 2\n"),
        ("a = [1, 2]\n", "/a/0", 'a = ["", 2]\n'),
        ("[t]\n", "/t/a", "[t]\n"),
        ("", "/a", ""),
    ],
)
def test_exactly_the_key_is_taken_away(text: str, pointer: str, after: str) -> None:
    """Tables and comments stay."""
    assert removed_from(form, text, pointer) == after


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = 1\nb = planted\n", "line 2, column 5: this is no TOML"),
        ("a = 'planted\n", "line 1"),
        ("a = 1\na = 2\n", "line 2, column 1: this is no TOML"),
        ("[a]\n[a]\n", "this is no TOML"),
        ("a = {b = 1\n", "line"),
        ("a" * 5, "line 1"),
        ("a = " + "[" * 2000, "no TOML|nested"),
    ],
)
def test_a_file_that_is_no_toml_is_named_by_its_place(text: str, told: str) -> None:
    """Its content is not quoted."""
    with pytest.raises(UneditableError, match=told) as refused:
        set_in(form, text, "/a")
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "pointer", "told"),
    [
        ("a = 'planted'\n", "/a/b", "/a is a value without keys"),
        ("a = [1]\n", "/a/1", "/a is a list with 1 items"),
        ("", "/a/0/b", "/a is not there, and lists are not made"),
        ("[a]\n", "/a", "/a is a table or a list"),
        ("x = {a.b = 1}\n", "/x/a/c", "cannot be set without a change of something else"),
    ],
)
def test_a_way_that_cannot_be_gone_is_an_error(text: str, pointer: str, told: str) -> None:
    """Nothing else is changed to make it possible."""
    with pytest.raises(UneditableError) as refused:
        set_in(form, text, pointer)
    assert told in str(refused.value)


def test_nothing_is_taken_from_where_nothing_can_be() -> None:
    """`patch_file.edit` takes it for done."""
    with pytest.raises(NotThereError):
        removed_from(form, "a = 1\n", "/a/b")
