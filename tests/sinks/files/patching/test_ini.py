"""INI: one option's value changes, for configparser, botocore and npm alike."""

import configparser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sinks.files.patching.edits import NEWLINES, OLD, pointer_to, removed_from, set_in
from tokend.sinks.files.patching import ini as form
from tokend.sinks.files.patching.pointer import parse_pointer
from tokend.sinks.files.patching.problems import UneditableError, UnencodableError
from tokend.sinks.files.patching.value import Value

AWS = "; keys\n[default]\naws_access_key_id = A\naws_session_token = old\n\n# the other\n[profile b]\ns3 =\n  max = 1\n"
NPMRC = "registry=https://r.example/ ; ours\n//r.example/:_authToken=old\nca[]=one\nca[]=two\n"

NAMES = st.from_regex(r"[a-z][a-z0-9_./-]{0,6}", fullmatch=True)
VALUES = st.sampled_from(
    ["1", "", "a b = c : d", "%(x)s", "'q'", "one\n  two\n  three", "https://x:y@z/?a=b#c ; d", "[no]"]
)
TEXTS = st.text(st.characters(codec="ascii", exclude_characters=";#\\$\"'"), min_size=1, max_size=8).filter(
    lambda text: text == text.strip() and text.isprintable()
)
BETWEEN = st.sampled_from(["", "\n", "# - comment\n", "; = comment\n\n"])
SIGNS = st.sampled_from([" = ", "=", ": ", " =\t"])


@st.composite
def documents(draw: st.DrawFn) -> tuple[tuple[str, str], str]:
    """The section and the option of `OLD`, and a document with it."""
    sections = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    chosen, text, way = draw(st.integers(0, len(sections) - 1)), draw(BETWEEN), ("", "")
    for number, section in enumerate(sections):
        text += f"[{section}]\n"
        keys = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
        ours = draw(st.integers(0, len(keys) - 1)) if number == chosen else None
        for index, key in enumerate(keys):
            text += f"{draw(BETWEEN)}{key}{draw(SIGNS)}{OLD if index == ours else draw(VALUES)}\n"
            way = (section, key) if index == ours else way
        text += draw(BETWEEN)
    if draw(st.booleans()):
        text = text.rstrip("\n")
    return way, text.replace("\n", draw(NEWLINES))


def read(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser()
    parser.read_string(text.replace("\r\n", "\n"))
    return {name: dict(section) for name, section in parser.items()}


@settings(deadline=None, max_examples=60)
@given(documents(), TEXTS)
def test_only_the_value_changes_in_any_document(document: tuple[tuple[str, str], str], value: str) -> None:
    """All other characters stay; and the old value put back gives the old file."""
    way, text = document
    after = form.edit(text, pointer_to(*way), Value(value))
    assert after == text.replace(OLD, value)
    assert form.edit(after, pointer_to(*way), Value(OLD)) == text
    wanted = read(text)
    wanted[way[0]][way[1]] = value
    assert read(after) == wanted


@settings(deadline=None, max_examples=60)
@given(documents(), NAMES, TEXTS)
def test_an_option_that_was_added_is_taken_away_without_a_trace(
    document: tuple[tuple[str, str], str], key: str, value: str
) -> None:
    """Behind the others of its section."""
    (section, _), text = document
    wanted = read(text)
    if key in wanted[section]:
        return
    after = form.edit(text, pointer_to(section, key), Value(value))
    wanted[section][key] = value
    assert read(after) == wanted
    assert form.edit(after, pointer_to(section, key), None) == text


@pytest.mark.parametrize(
    ("text", "pointer", "after"),
    [
        ("", "/a", "a=x\n"),
        ("", "/s/a", "[s]\na = x\n"),
        (AWS, "/default/aws_session_token", AWS.replace("old", "x")),
        (AWS, "/default/AWS_SESSION_TOKEN", AWS.replace("old", "x")),
        (AWS, "/default/region", AWS.replace("= old\n", "= old\nregion = x\n")),
        (AWS, "/profile b/s3", AWS.replace("=\n  max = 1", "= x")),
        (AWS, "/c/aws_session_token", AWS + "\n[c]\naws_session_token = x\n"),
        (NPMRC, "/~1~1r.example~1:_authToken", NPMRC.replace("old", "x")),
        (NPMRC, "/~1~1q.example~1:_authToken", NPMRC + "//q.example/:_authToken=x\n"),
        (NPMRC, "/registry", NPMRC.replace("https://r.example/ ;", "x ;")),
        ("  a = 'b' \r\n", "/a", "  a = x \r\n"),
        ("a\n", "/a", "a=x\n"),
        ("x=1\n[s]\n", "/a", "x=1\na=x\n[s]\n"),
        ("[a]\nb\n[c]\n", "/a/b", "[a]\nb=x\n[c]\n"),
        ("[a]\nb =\n[c]", "/a/b", "[a]\nb = x\n[c]"),
        ("[a]\n\n# c\n[c]\n", "/a/b", "[a]\nb = x\n\n# c\n[c]\n"),
        ("[a]\n\tb=1\n[c]\n", "/a/d", "[a]\n\tb=1\n\td=x\n[c]\n"),
        ("[a]\nb:1\n", "/a/d", "[a]\nb:1\nd = x\n"),
        ("[a]\r\nb = 1", "/c/d", "[a]\r\nb = 1\r\n\r\n[c]\r\nd = x"),
    ],
)
def test_what_is_missing_is_made(text: str, pointer: str, after: str) -> None:
    """Options go behind the others of their section, in their form; a new section goes to the end."""
    assert set_in(form, text, pointer, "x") == after


@pytest.mark.parametrize(
    ("text", "pointer", "after"),
    [
        (AWS, "/default/aws_session_token", AWS.replace("aws_session_token = old\n", "")),
        (AWS, "/profile b/s3", AWS.replace("s3 =\n  max = 1\n", "")),
        (NPMRC, "/registry", NPMRC.replace("registry=https://r.example/ ; ours", "; ours")),
        (NPMRC, "/none", NPMRC),
        ("[a]\nb=1", "/a/b", "[a]"),
        ("", "/a/b", ""),
    ],
)
def test_exactly_the_option_is_taken_away(text: str, pointer: str, after: str) -> None:
    """Sections and comments stay."""
    assert removed_from(form, text, pointer) == after


@pytest.mark.parametrize("value", ["a;b", "a#b", "a\\b", "${HOME}", '"a"', "'a", " a", "a ", "a\nb", "a\x00", "a\tb"])
def test_a_value_that_readers_read_differently_is_refused(value: str) -> None:
    """npm unquotes, unescapes, expands and cuts; configparser does not."""
    with pytest.raises(UnencodableError, match="it "):
        form.edit("", parse_pointer("/a"), Value(value))


@pytest.mark.parametrize(
    ("text", "pointer", "told"),
    [
        ("[a]\nb=planted\nb=2\n", "/a/b", "line 3: this key or section is there twice"),
        ("x=1\n[a]\n[a]\n", "/a/b", "line 3: this key or section is there twice"),
        ("a=1\na=planted\n", "/a", "/a is there 2 times"),
        ("[a\nplanted=1\n", "/a/b", "line 1: this is no INI"),
        ("x=1\n[a]\n=planted\n", "/a/b", "line 3: this is no INI"),
        ("[a]\nb\n  planted\n", "/a/b", "/a/b cannot be set without a change of something else"),
        ("[s]\nplanted=1\n", "/a", "the file has sections: write /section/a"),
        ("[a]\nb =\n  c\n  # planted\n  e\n", "/a/b", "line 2, column 1: a comment stands within"),
        ("a=1\rb=planted\n", "/a", "line 1, column 4: a line ends in a carriage return alone"),
    ],
)
def test_a_file_that_cannot_be_edited_is_named_by_its_place(text: str, pointer: str, told: str) -> None:
    """Its content is not quoted."""
    with pytest.raises(UneditableError) as refused:
        set_in(form, text, pointer, "x")
    assert told in str(refused.value)
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize(
    "pointer", ["/a/b/c", "/", "/a/", "//a", "/a/b=c", "/a/b:c", "/[a", "/;a", "/#a", "/ a", "/a]/b", "/ a/b", "/a=b"]
)
def test_a_pointer_that_ini_cannot_carry_is_refused(pointer: str) -> None:
    """Before any file is read."""
    with pytest.raises(ValueError, match=r"ini file|the name of"):
        form.check_pointer(parse_pointer(pointer))


def test_keys_with_colons_are_for_files_without_sections() -> None:
    """npm knows = alone."""
    form.check_pointer(parse_pointer("/~1~1r.example~1:_authToken"))
    form.check_pointer(parse_pointer("/profile b/aws_session_token"))
