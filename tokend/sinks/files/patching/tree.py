"""Plain trees of parsed files, to compare the file after an edit with the file before it."""

from dataclasses import dataclass


class Pairs(list[tuple[object, object]]):
    """The entries of a mapping, in their order."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written."""

    text: str


def put(tree: object, keys: tuple[str, ...], leaf: object, *, empty: object) -> object:
    """Return the tree with another leaf at the keys. Missing mappings are made.

    None takes the last key away; an item of a list becomes ``empty`` instead.
    """
    if not keys:
        return leaf
    key, rest = keys[0], keys[1:]
    if isinstance(tree, list) and not isinstance(tree, Pairs):
        new = empty if leaf is None and not rest else leaf
        return [put(item, rest, new, empty=empty) if str(index) == key else item for index, item in enumerate(tree)]
    pairs = Pairs(tree) if isinstance(tree, Pairs) else Pairs()
    place = next((index for index, pair in enumerate(pairs) if pair[0] == key), None)
    if place is None:
        if leaf is not None:
            pairs.append((key, put(Pairs(), rest, leaf, empty=empty)))
    elif leaf is None and not rest:
        del pairs[place]
    else:
        pairs[place] = (key, put(pairs[place][1], rest, leaf, empty=empty))
    return pairs
