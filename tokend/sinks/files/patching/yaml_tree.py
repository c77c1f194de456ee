"""The tree of a YAML document with the place of each node, from the events of ruamel.yaml."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from tokend.machine.late_imports import import_alone
from tokend.sinks.files.patching.problems import UneditableError, not_parsed

# No configuration file has as many. Each edit reads all of them twice, in Python.
MOST_NODES = 20_000
DEEPEST = 100

_COLON = re.compile(r"[ \t]*:")
_DASH = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*-")


@dataclass(slots=True)
class Node:
    """One node. ``end`` is behind its last character; of a block collection, of the last one in it.

    ``entries`` has the pairs of a mapping, or the items of a sequence without keys. ``is_special``: an alias, or a
    node with an anchor or a tag. ``style`` is that of a scalar: ``'``, ``"``, ``|``, ``>``, or "" for a plain one.
    """

    kind: Literal["scalar", "mapping", "sequence"]
    start: int
    end: int
    is_special: bool
    text: str = ""
    style: str = ""
    in_flow: bool = False
    entries: "list[tuple[Node | None, Node]]" = field(default_factory=list)

    def says(self, key: str) -> bool:
        """Return whether this is a plain or quoted key of that name."""
        return self.kind == "scalar" and not self.is_special and self.text == key

    def spans(self) -> list[tuple[int, int]]:
        """Return the places of the entries, keys included."""
        return [((value if key is None else key).start, value.end) for key, value in self.entries]


def events_of(text: str) -> list[Any]:
    """Return the events of a text. Raises `UneditableError` with the place of the first fault."""
    import_alone("ruamel.yaml")  # on use: an optional package
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    found = []
    try:
        for event in YAML(typ="safe", pure=True).parse(io.StringIO(text)):
            found.append(event)
            if len(found) > MOST_NODES:
                raise UneditableError(f"it has more than {MOST_NODES} values: not edited")
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise not_parsed(text, 0 if mark is None else mark.index, "this is no YAML") from None
    except ReaderError as error:
        raise not_parsed(text, error.position or 0, "a character that YAML does not allow") from None
    except (YAMLError, RecursionError, ValueError, LookupError, AttributeError, TypeError, AssertionError) as error:
        if isinstance(error, UneditableError):
            raise
        raise not_parsed(text, 0, "this is no YAML") from None
    return found


def tree_of(text: str, events: list[Any]) -> Node | None:
    """Return the root of the only document; None if there is none. Raises `UneditableError`."""
    kinds = [type(event).__name__ for event in events]
    if kinds.count("DocumentStartEvent") > 1:
        second = [event for event in events if type(event).__name__ == "DocumentStartEvent"][1]
        what = "a second document begins here: files with several are not edited"
        raise not_parsed(text, second.start_mark.index, what)
    content = iter(event for event in events if not type(event).__name__.startswith(("Stream", "Document")))
    first = next(content, None)
    return None if first is None else _node(text, first, content, 0)


def _node(text: str, event: Any, events: Iterator[Any], depth: int) -> Node:
    kind, start, end = type(event).__name__, event.start_mark.index, event.end_mark.index
    if depth > DEEPEST:
        raise not_parsed(text, start, f"it is nested more than {DEEPEST} deep")
    special = kind == "AliasEvent" or event.anchor is not None or (event.tag is not None and _is_written(text, event))
    if kind == "ScalarEvent":
        return Node("scalar", start, end, special, event.value, event.style or "")
    if kind == "AliasEvent":
        return Node("scalar", start, end, special)
    is_mapping = kind == "MappingStartEvent"
    node = Node("mapping" if is_mapping else "sequence", start, end, special, in_flow=bool(event.flow_style))
    closing = kind.replace("Start", "End")
    for inner in events:
        if type(inner).__name__ == closing:
            if node.in_flow:
                node.end = inner.end_mark.index
            break
        key = _node(text, inner, events, depth + 1) if is_mapping else None
        value = _node(text, next(events) if is_mapping else inner, events, depth + 1)
        if value.start == value.end:  # ruamel.yaml places it where the next node begins
            sign = _COLON.match(text, key.end) if key else _DASH.match(text, node.end if node.entries else start)
            value.start = value.end = sign.end() if sign else value.start
        node.entries.append((key, value))
        node.end = value.end
    return node


def _is_written(text: str, event: Any) -> bool:
    return text[event.start_mark.index : event.start_mark.index + 1] == "!"
