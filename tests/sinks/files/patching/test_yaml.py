"""YAML: only the scalar's characters change, or lines are added; ruamel.yaml finds nothing else changed."""

import io
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tests.sinks.files.patching.edits import NEWLINES, OLD, TEXTS, pointer_to, removed_from, set_in
from tokend.sinks.files.patching import yaml as form
from tokend.sinks.files.patching.problems import NotThereError, UneditableError
from tokend.sinks.files.patching.value import Value, quoted

KUBE = """\
apiVersion: v1
kind: Config
users:
- name: prod   # the cluster of the desk
  user:
    token: old.token
- name: test
  user:
    exec: {command: gcloud}
current-context: prod
"""
HOSTS = "github.com:\n    user: me\n    oauth_token: gho_old # by gh\n    git_protocol: https\n"

KEYS = st.from_regex(r"[a-z][a-z0-9_.-]{0,5}", fullmatch=True) | st.text(
    "aé :#{}[]'\"&*!|>%@-~/", min_size=1, max_size=4
).filter(lambda key: key != "-")
PLAIN = st.sampled_from(
    ["1", "yes", "~", "plain", "two words", "2026-03-01", "{a: 1, b: [x]}", "[]", "''", '"q # no"', "a#b"]
)
COMMENTS = st.sampled_from(["", " # comment: {", "   #"])
BETWEEN = st.sampled_from(["", "\n", "# - comment\n", "  # indented\n\n"])


@st.composite
def documents(draw: st.DrawFn) -> tuple[tuple[str | int, ...], str, str]:
    """The way to `OLD`, a document with it in some form, and that form."""
    written = draw(st.sampled_from([OLD, quoted(OLD), f"'{OLD}'"]))
    lines, way = _mapping(draw, 0, draw(st.integers(0, 3)), written)
    text = draw(st.sampled_from(["", "---\n", "# head\n", "%YAML 1.2\n---\n"])) + "".join(line + "\n" for line in lines)
    text += draw(st.sampled_from(["", "# end\n", "...\n", "\n\n"]))
    if draw(st.booleans()):
        text = text.rstrip("\n")
    return tuple(way), text.replace("\n", draw(NEWLINES)), written


def _mapping(draw: st.DrawFn, column: int, depth: int, written: str) -> tuple[list[str], list[str | int]]:
    keys = draw(st.lists(KEYS.filter(lambda key: key.strip() == key), min_size=1, max_size=4, unique=True))
    chosen = draw(st.integers(0, len(keys) - 1))
    lines: list[str] = []
    way: list[str | int] = []
    for index, key in enumerate(keys):
        name = key if re.fullmatch(r"[a-z][a-z0-9_.-]*", key) else quoted(key)
        lines += list(draw(BETWEEN).split("\n")[:-1])
        head = " " * column + name + ":"
        if index != chosen:
            lines.append(f"{head} {draw(PLAIN)}{draw(COMMENTS)}")
            continue
        way = [key]
        if depth == 0:
            lines.append(f"{head} {written}{draw(COMMENTS)}")
        elif draw(st.booleans()):
            inner, rest = _mapping(draw, column + draw(st.integers(1, 4)), depth - 1, written)
            lines += [head + draw(COMMENTS), *inner]
            way += rest
        else:
            inner, rest = _mapping(draw, column + 2, depth - 1, written)
            first = next(
                number for number, line in enumerate(inner) if line.strip() and not line.lstrip().startswith("#")
            )
            inner[first] = inner[first][:column] + "- " + inner[first][column + 2 :]
            lines += [head, f"{' ' * column}- {draw(PLAIN)}", *inner]
            way += [1, *rest]
    return lines, way


def read(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(io.StringIO(text))


@settings(deadline=None, max_examples=60)
@given(documents(), TEXTS)
def test_only_the_value_changes_in_any_document(document: tuple[tuple[str | int, ...], str, str], value: str) -> None:
    """All other characters stay; and the old value put back in the same form gives the old file."""
    way, text, written = document
    after = form.edit(text, pointer_to(*way), Value(value))
    assert after == text.replace(written, Value(value).quoted())
    if written == quoted(OLD):
        assert form.edit(after, pointer_to(*way), Value(OLD)) == text


@settings(deadline=None, max_examples=60)
@given(documents(), KEYS, TEXTS)
def test_a_key_that_was_added_is_taken_away_without_a_trace(
    document: tuple[tuple[str | int, ...], str, str], key: str, value: str
) -> None:
    """In a mapping that has other keys; the others are read as before."""
    way, text, _ = document
    table = tree = read(text)
    for step in way[:-1]:
        table = table[step]
    if key in table or key.strip() != key or not value.isprintable():
        return
    pointer = pointer_to(*way[:-1], key)
    after = form.edit(text, pointer, Value(value))
    table[key] = value
    assert read(after) == tree
    assert form.edit(after, pointer, None) == text


@pytest.mark.parametrize(
    ("text", "pointer", "after"),
    [
        ("", "/a/b", 'a:\n  b: "x"\n'),
        ("# c\n", "/a", '# c\na: "x"\n'),
        ("---\n", "/a", '---\na: "x"\n'),
        ("a: 1\r\n", "/c/d", 'a: 1\r\nc:\r\n  d: "x"\r\n'),
        (HOSTS, "/github.com/oauth_token", HOSTS.replace("gho_old", '"x"')),
        (HOSTS, "/ghe.example.com/oauth_token", HOSTS + 'ghe.example.com:\n    oauth_token: "x"\n'),
        (KUBE, "/users/0/user/token", KUBE.replace("old.token", '"x"')),
        (KUBE, "/users/1/user/token", KUBE.replace("gcloud}\n", 'gcloud}\n    token: "x"\n')),
        (KUBE, "/users/1/note", KUBE.replace("gcloud}\n", 'gcloud}\n  note: "x"\n')),
        (
            "users:\n- name: x\n  user:\n- name: y\n",
            "/users/0/user/token",
            'users:\n- name: x\n  user:\n    token: "x"\n- name: y\n',
        ),
        ("a:\n# c\nb: 1\n", "/a/c", 'a:\n  c: "x"\n# c\nb: 1\n'),
        ("a: |\n  t\n\n\nb: 1", "/a", 'a: "x"\n\n\nb: 1'),
        ("a: >- # why\n  t\n  u\nb: 1", "/a", 'a: "x" # why\nb: 1'),
        ("a:\n  b: |+\n    t\n\nc: d", "/a/x", 'a:\n  b: |+\n    t\n\n  x: "x"\nc: d'),
        ("a:\n  b: |\n    t\n\nc: d", "/a/x", 'a:\n  b: |\n    t\n  x: "x"\n\nc: d'),
        ("a: |+\n  t\n\n", "/x", 'a: |+\n  t\n\nx: "x"\n'),
        ("a: 'x\n\n  y'  # c\n", "/a", 'a: "x"  # c\n'),
        ("a:\n", "/a", 'a: "x"\n'),
        ("a: \n", "/a", 'a: "x" \n'),
        ('{"a": {"b": 1}}', "/a/c", '{"a": {"b": 1, c: "x"}}'),
        ("{}\n", "/a/b", '{a: {b: "x"}}\n'),
        ("a: {b: }\n", "/a/b/c", 'a: {b: {c: "x"} }\n'),
        ("yes: 1\n", "/no/1.5", 'yes: 1\n"no":\n  "1.5": "x"\n'),
        ("\n  a: 1\n  b: 2\n", "/c", '\n  a: 1\n  b: 2\n  c: "x"\n'),
        ("- a\n- b\n", "/1", '- a\n- "x"\n'),
        ("a:\n  - \n", "/a/0/c", 'a:\n  - \n      c: "x"\n'),
        ("base: &b {k: 1}\na:\n  <<: *b\n", "/a/k", 'base: &b {k: 1}\na:\n  <<: *b\n  k: "x"\n'),
    ],
)
def test_what_is_missing_is_made_in_the_indentation_of_the_file(text: str, pointer: str, after: str) -> None:
    """Flow collections stay what they are."""
    assert set_in(form, text, pointer, "x") == after


@pytest.mark.parametrize("written", ["eyJhbGciOi.eyJm-_.x", '"eyJhbGciOi.eyJm-_.x"', "'eyJhbGciOi.eyJm-_.x'"])
def test_an_equal_string_is_not_written_again(written: str) -> None:
    """Programs write it plain or quoted."""
    text = f"a: {written}\n"
    assert set_in(form, text, "/a", "eyJhbGciOi.eyJm-_.x") == text


@pytest.mark.parametrize(
    "plain",
    ["yes", "NO", "null", "12", "1e5", "0x1f", "12:30:45", "2026-03-01", "~", "1_000", ".5", "on", "0o17", "=", "<<"],
)
def test_a_plain_scalar_that_some_version_reads_as_something_else_is_quoted(plain: str) -> None:
    """YAML 1.1 is what Go's and Python's usual readers speak."""
    assert set_in(form, f"a: {plain}\n", "/a", plain) == f'a: "{plain}"\n'


def test_a_number_is_written_plain() -> None:
    """And a string is no number."""
    assert set_in(form, 'a: "1"\n', "/a", "1", number=True) == "a: 1\n"
    assert set_in(form, "a: 1\n", "/a", "1", number=True) == "a: 1\n"
    assert set_in(form, "b: 1\n", "/a", "1.5", number=True) == "b: 1\na: 1.5\n"


@pytest.mark.parametrize(
    ("text", "pointer", "after"),
    [
        (HOSTS, "/github.com/oauth_token", HOSTS.replace("oauth_token: gho_old # by gh", "# by gh")),
        (KUBE, "/users/0/user/token", KUBE.replace("token: old.token", "{}")),
        (KUBE, "/users/0/name", KUBE.replace("- name: prod   # the", "- # the")),
        ("- a: 1\n  b: 2\n", "/0/a", "-\n  b: 2\n"),
        ("a: 1\nb: |\n  x\n\nc: 2\n", "/b", "a: 1\n\nc: 2\n"),
        ("a: 1\nb: 2", "/b", "a: 1"),
        ("a: {b: 1, c: 2}\n", "/a/c", "a: {b: 1}\n"),
        ("a:\n  b: 1\n", "/a/b", "a:\n  {}\n"),
        ("a: 1\n", "/b", "a: 1\n"),
        ("a:\n", "/a/b", "a:\n"),
        ("", "/b", ""),
        ("a: [x, y]\n", "/a/0", 'a: ["", y]\n'),
        ("a:\nb: 1\n", "/a", "b: 1\n"),
    ],
)
def test_exactly_the_key_is_taken_away(text: str, pointer: str, after: str) -> None:
    """Comments stay; a mapping without keys is {}, as null would be something else."""
    assert removed_from(form, text, pointer) == after


@pytest.mark.parametrize(
    ("text", "pointer", "told"),
    [
        ("a: &x planted\nb: *x\n", "/a", "/a has an anchor, an alias or a tag"),
        ("a: &x planted\nb: *x\n", "/b", "/b has an anchor, an alias or a tag"),
        ("a: &x {}\nb: *x\n", "/a/c", "/a has an anchor"),
        ("a: &x {}\nb: *x\n", "/b/c", "/b has an anchor"),
        ("a: !vault planted\n", "/a", "/a has an anchor, an alias or a tag"),
        ("a: planted\n", "/a/b", "/a is a value without keys"),
        ("a: ~\n", "/a/b", "/a is a value without keys"),
        ("planted\n", "/a", "the whole file is a value without keys"),
        ("a: []\n", "/a/0", "/a is a list with 0 items"),
        ("", "/users/0/user", "/users is not there, and lists are not made"),
        ("a: 1\n", "/users/0", "/users is not there, and lists are not made"),
        ("a: {}\n", "/a", "/a is a table or a list"),
        ("a: 1\na: 2\n", "/a", "/a is there 2 times"),
        ("a: 1\n'a': {}\n", "/a/b", "/a is there 2 times"),
        ("a: 1\n---\nb: 2\n", "/a", "a second document begins here"),
        ("? a\n: b\n", "/c", "cannot be set without a change of something else"),
        ("a:\n  b: |\n    no end of the line", "/a/x", "cannot be set without a change of something else"),
    ],
)
def test_a_way_that_cannot_be_gone_is_an_error(text: str, pointer: str, told: str) -> None:
    """Nothing else is changed to make it possible."""
    with pytest.raises(UneditableError) as refused:
        set_in(form, text, pointer)
    assert told in str(refused.value)
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize("text", ["a: # c\n  b\nd: 1\n", "a: | # c\n  b\nd: 1\n"])
def test_a_comment_within_an_entry_is_not_taken_away(text: str) -> None:
    """Nor left where it would mean something else."""
    with pytest.raises(UneditableError, match="a comment stands within the entry"):
        removed_from(form, text, "/a")


def test_nothing_is_taken_from_where_nothing_can_be() -> None:
    """`patch_file.edit` takes it for done."""
    with pytest.raises(NotThereError):
        removed_from(form, "a: 1\n", "/a/b")
