"""JSON: only the value's characters change, whatever the layout."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sinks.files.patching.edits import NEW, NEWLINES, OLD, TEXTS, pointer_to, removed_from, set_in
from tokend.sinks.files.patching import json as form
from tokend.sinks.files.patching.problems import NotThereError, UneditableError
from tokend.sinks.files.patching.value import Value

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
DOCKER = '{\n\t"auths": {\n\t\t"registry.example.com": {\n\t\t\t"auth": "b2xk"\n\t\t}\n\t},\n\t"credsStore": "pass"\n}'


@st.composite
def documents(draw: st.DrawFn) -> tuple[Any, tuple[str | int, ...], str]:
    """A tree with `OLD` somewhere in it, the way to that, and the tree as text in some layout."""
    tree: Any = OLD
    way: list[str | int] = []
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            before = draw(st.lists(TREES, max_size=2))
            tree = [*before, tree, *draw(st.lists(TREES, max_size=2))]
            way.insert(0, len(before))
        else:
            key = draw(st.text(max_size=4).filter(lambda name: name != "-" and name.isprintable()))
            others = [
                pair for pair in draw(st.dictionaries(st.text(max_size=4), TREES, max_size=3)).items() if pair[0] != key
            ]
            place = draw(st.integers(0, len(others)))
            tree = dict([*others[:place], (key, tree), *others[place:]])
            way.insert(0, key)
    indent = draw(st.sampled_from([None, 1, 2, 4, "\t"]))
    separators = draw(st.sampled_from([(", ", ": "), (",", ":"), (" ,", " : ")]))
    text = json.dumps(tree, indent=indent, separators=separators, ensure_ascii=draw(st.booleans()))
    return tree, tuple(way), (text + draw(st.sampled_from(["", "\n"]))).replace("\n", draw(NEWLINES))


@settings(deadline=None)
@given(documents(), TEXTS)
def test_only_the_value_changes_in_any_document(document: tuple[Any, tuple[str | int, ...], str], value: str) -> None:
    """All other characters stay; and the old value put back gives the old file."""
    _, way, text = document
    pointer = pointer_to(*way)
    after = form.edit(text, pointer, Value(value))
    assert after == text.replace(json.dumps(OLD), Value(value).quoted())
    assert form.edit(after, pointer, Value(OLD)) == text


@settings(deadline=None)
@given(documents(), st.text("abc/~ é", max_size=4), TEXTS)
def test_a_key_that_was_added_is_taken_away_without_a_trace(
    document: tuple[Any, tuple[str | int, ...], str], key: str, value: str
) -> None:
    """In a table that has other keys; Python's reader finds nothing else changed."""
    tree, way, text = document
    table = tree
    for step in way[:-1]:
        table = table[step]
    if not isinstance(table, dict) or key in table:
        return
    pointer = pointer_to(*way[:-1], key)
    after = form.edit(text, pointer, Value(value))
    table[key] = value
    assert json.dumps(json.loads(after)) == json.dumps(tree)
    assert form.edit(after, pointer, None) == text


@pytest.mark.parametrize(
    ("text", "pointer", "after"),
    [
        ("", "/a/b", '{\n  "a": {\n    "b": "x"\n  }\n}\n'),
        ("\n\n", "/a", '{\n  "a": "x"\n}\n\n'),
        ("{}", "/a/b", '{\n  "a": {\n    "b": "x"\n  }\n}'),
        ("{\n}\n", "/a", '{\n  "a": "x"\n}\n'),
        ('{"a":1}', "/b/c", '{"a":1,"b":{"c":"x"}}'),
        ('{"a": {}}', "/a/b", '{"a": {"b": "x"}}'),
        ('{"a": 1}', "/b", '{"a": 1, "b": "x"}'),
        ('{\r\n    "a": {}\r\n}\r\n', "/a/b", '{\r\n    "a": {\r\n        "b": "x"\r\n    }\r\n}\r\n'),
        ('[{"a": 1}]', "/0/b", '[{"a": 1, "b": "x"}]'),
        ('{"a": [1, 2]}', "/a/1", '{"a": [1, "x"]}'),
        ('{"a": null}', "/a", '{"a": "x"}'),
        ('{"a\\u002fb": "old"}', "/a~1b", '{"a\\u002fb": "x"}'),
        ('{"": 1}', "/", '{"": "x"}'),
        (DOCKER, "/auths/registry.example.com/auth", DOCKER.replace("b2xk", "x")),
        (
            DOCKER,
            "/auths/b/auth",
            DOCKER.replace("\n\t\t}\n\t},", '\n\t\t},\n\t\t"b": {\n\t\t\t"auth": "x"\n\t\t}\n\t},'),
        ),
    ],
)
def test_missing_objects_are_made_in_the_indentation_of_the_file(text: str, pointer: str, after: str) -> None:
    """A file on one line stays on one line."""
    assert set_in(form, text, pointer, "x") == after


def test_an_equal_value_is_not_written_again() -> None:
    """However it is escaped: other programs write the file too."""
    text = '{"a": "\\u00e9\\/b"}'
    assert set_in(form, text, "/a", "é/b") == text
    assert set_in(form, text, "/a", NEW) != text


def test_a_number_is_written_as_a_number() -> None:
    """And a string of digits is no number."""
    assert set_in(form, '{"a": "1"}', "/a", "1", number=True) == '{"a": 1}'
    assert set_in(form, '{"a": 1}', "/a", "1") == '{"a": "1"}'
    assert set_in(form, '{"a": 1.0, "b": 1E400}', "/a", "1.0", number=True) == '{"a": 1.0, "b": 1E400}'


@pytest.mark.parametrize(
    ("text", "pointer", "after"),
    [
        ('{"a": 1, "b": 2}', "/a", '{"b": 2}'),
        ('{"a": 1, "b": 2}', "/b", '{"a": 1}'),
        ('{"a": 1}', "/a", "{}"),
        ('{\n  "a": 1,\n  "b": 2\n}', "/b", '{\n  "a": 1\n}'),
        ('{"a": 1}', "/b", '{"a": 1}'),
        ("", "/a", ""),
        ('{"a": [1, 2]}', "/a/0", '{"a": ["", 2]}'),
        (DOCKER, "/auths/b/auth", DOCKER),
        ('{"a": {"b": 1}}', "/a/b", '{"a": {}}'),
    ],
)
def test_exactly_the_key_is_taken_away(text: str, pointer: str, after: str) -> None:
    """Objects stay, and so do the places of other items of a list."""
    assert removed_from(form, text, pointer) == after


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1 // no\n}', "line 1, column 9: a comment, which JSON does not have"),
        ('{\n  // no\n  "a": 1}', "line 2, column 3"),
        ('/* no */ {"a": 1}', "line 1, column 1: a comment"),
        ('{\n  "a": planted}', "line 2, column 8: a value is expected"),
        ('{"a": 1,}', "line 1, column 9: a key in double quotes is expected"),
        ("{'a': 1}", "line 1, column 2"),
        ('{"a": "planted\n"}', "line 1, column 7: this string is not closed"),
        ('{"a": 01}', "line 1, column 8: a comma or } is expected"),
        ('{"a": 1', "line 1, column 8"),
        ('{"a"', "line 1, column 5: a colon is expected"),
        ('{"a": 1} planted', "line 1, column 10: there is text after the end"),
        ("[" * 200, "nested more than 100 deep"),
        ('{"a": NaN}', "line 1, column 7: a value is expected"),
        ('{"a":', "line 1, column 6: the file ends too early"),
    ],
)
def test_a_file_that_is_no_json_is_named_by_its_place(text: str, told: str) -> None:
    """Its content is not quoted: it may be a secret."""
    with pytest.raises(UneditableError) as refused:
        set_in(form, text, "/a")
    assert told in str(refused.value)
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "pointer", "told"),
    [
        ('{"a": "planted"}', "/a/b", "/a is a value without keys"),
        ('"planted"', "/a", "the whole file is a value without keys"),
        ('{"a": null}', "/a/b", "/a is a value without keys"),
        ('{"a": [1]}', "/a/1", "/a is a list with 1 items"),
        ('{"a": [1]}', "/a/b", "/a is a list"),
        ("", "/a/0", "/a is not there, and lists are not made"),
        ('{"a": {}}', "/a/b/0", "/a/b is not there, and lists are not made"),
        ('{"a": {}}', "/a", "/a is a table or a list"),
        ('{"a": 1, "a": 2}', "/a", "/a is there 2 times"),
        ('{"a": {}, "a": {}}', "/a/b", "/a is there 2 times"),
    ],
)
def test_a_way_that_cannot_be_gone_is_an_error(text: str, pointer: str, told: str) -> None:
    """Nothing is overwritten to make room."""
    with pytest.raises(UneditableError) as refused:
        set_in(form, text, pointer)
    assert told in str(refused.value)


def test_a_key_twice_elsewhere_is_nobody_s_business() -> None:
    """It stays as it is."""
    assert set_in(form, '{"b": 1, "b": 2, "a": 3}', "/a", "x") == '{"b": 1, "b": 2, "a": "x"}'


def test_nothing_is_taken_from_where_nothing_can_be() -> None:
    """`patch_file.edit` takes it for done."""
    with pytest.raises(NotThereError):
        removed_from(form, '{"a": 1}', "/a/b")
