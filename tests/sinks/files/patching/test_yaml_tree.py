"""The tree of a YAML document: each node has the place that its text has."""

import pytest

from tokend.sinks.files.patching.problems import UneditableError
from tokend.sinks.files.patching.yaml_tree import MOST_NODES, Node, events_of, tree_of


def root(text: str) -> Node:
    found = tree_of(text, events_of(text))
    assert found is not None
    return found


def values(text: str) -> list[str]:
    """The text of each value of the outer mapping or sequence."""
    return [text[node.start : node.end] for _, node in root(text).entries]


def test_nodes_are_where_their_text_is() -> None:
    """Comments, CRLF and characters beyond ASCII are counted."""
    text = 'é: b # c\r\nq: {k: "v", l: [1]}\r\nx:\r\n  - y: é\r\n\r\n# end\r\nm: plain\r\n  more\r\n'
    assert values(text) == ["b", '{k: "v", l: [1]}', "- y: é", "plain\r\n  more"]
    assert root(text).spans()[0] == (0, 4)


def test_an_empty_value_is_behind_its_sign() -> None:
    """ruamel.yaml places it where the next node begins."""
    text = "a:\n# c\nb : \n"
    assert [(node.start, node.end) for _, node in root(text).entries] == [(2, 2), (10, 10)]
    text = "- a\n# c\n-\n- \n"
    assert [node.start for _, node in root(text).entries] == [2, 9, 11]


def test_anchors_aliases_and_tags_are_special() -> None:
    """A change there is not only a change of that value."""
    text = "a: &x {}\nb: *x\nc: !t v\nd: !!str 5\ne: 5\n"
    assert [node.is_special for _, node in root(text).entries] == [True, True, True, True, False]


def test_keys_are_compared_by_their_text() -> None:
    """Quoted or not; a key that is a list is no key of a pointer."""
    keys = [key for key, _ in root("a: 1\n'b': 2\n? [c]\n: 3\n&x d: 4\n").entries]
    assert [[key is not None and key.says(name) for name in "abcd"].count(True) for key in keys] == [1, 1, 0, 0]


def test_a_file_without_a_document_has_no_root() -> None:
    """Nothing, or comments."""
    assert tree_of("", events_of("")) is None
    assert tree_of("# c\n", events_of("# c\n")) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 'planted\n", "line 3, column 1: this is no YAML"),
        ("a: 1\n b: planted: c\n", "line 2, column"),
        ("a: 1\n\tb: 2\n", "line 2, column 1"),
        ("a: planted\x00\n", "line 1, column 11: a character that YAML does not allow"),
        ("a: *planted\n--- \nb: 1\n", "line 2, column 1: a second document begins here"),
        ("%planted\n", "line "),
        ("[" * 150 + "]" * 150, "nested more than 100 deep"),
        ("a: {planted", "line "),
        ("- a\n" * (MOST_NODES + 1), f"more than {MOST_NODES} values"),
    ],
)
def test_a_file_that_is_no_yaml_is_named_by_its_place(text: str, told: str) -> None:
    """Its content is not quoted."""
    with pytest.raises(UneditableError) as refused:
        tree_of(text, events_of(text))
    assert told in str(refused.value)
    assert "planted" not in str(refused.value)
