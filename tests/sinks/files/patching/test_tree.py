"""Trees to compare: what a file must say after an edit."""

from tokend.sinks.files.patching.tree import Number, Pairs, put


def test_a_leaf_is_put_and_missing_mappings_are_made() -> None:
    """Behind the entries that are there."""
    tree = Pairs([("a", Pairs([("b", 1)])), ("l", [Pairs(), 2])])
    assert put(tree, ("a", "b"), 3, empty="") == Pairs([("a", Pairs([("b", 3)])), ("l", [Pairs(), 2])])
    assert put(tree, ("a", "c", "d"), 3, empty="")[0] == ("a", Pairs([("b", 1), ("c", Pairs([("d", 3)]))]))  # type: ignore[index]  # a list of pairs
    assert put(tree, ("l", "0", "x"), 3, empty="")[1] == ("l", [Pairs([("x", 3)]), 2])  # type: ignore[index]  # a list of pairs
    assert put(None, ("a",), 3, empty="") == Pairs([("a", 3)])


def test_a_leaf_is_taken_away_and_its_mapping_stays() -> None:
    """An item of a list becomes empty, so that the others keep their places."""
    tree = Pairs([("a", Pairs([("b", 1)])), ("l", [1, 2])])
    assert put(tree, ("a", "b"), None, empty="") == Pairs([("a", Pairs()), ("l", [1, 2])])
    assert put(tree, ("l", "0"), None, empty="") == Pairs([("a", Pairs([("b", 1)])), ("l", ["", 2])])
    assert put(tree, ("x",), None, empty="") == tree


def test_a_number_is_no_string() -> None:
    """In files they are two things."""
    assert Number("1") == Number("1")
    assert put(Pairs(), ("a",), Number("1"), empty="") != put(Pairs(), ("a",), "1", empty="")
    assert len({Number("1"), Number("1")}) == 1
