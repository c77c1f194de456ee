"""JSON (RFC 8259): a value's characters are replaced, or an entry is added in the layout of the others."""

import json
import re
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from tokend.sinks.files.patching.entries import with_entry, without_entry
from tokend.sinks.files.patching.lines import indentation, line_start, newline_of
from tokend.sinks.files.patching.pointer import Pointer
from tokend.sinks.files.patching.problems import not_parsed
from tokend.sinks.files.patching.tree import Number, Pairs, put
from tokend.sinks.files.patching.value import Value

DEEPEST = 100

_BLANK = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*"')
_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")
_DEFAULT_STEP = "  "


@dataclass(slots=True)
class Node:
    """A value: its place, and what is in it. ``entries`` has, for each, key (None in an array), start and value."""

    kind: Literal["object", "array", "scalar"]
    start: int
    end: int = 0
    entries: "list[tuple[str | None, int, Node]]" = field(default_factory=list)

    def spans(self) -> list[tuple[int, int]]:
        """Return the places of the entries, keys included."""
        return [(start, node.end) for _, start, node in self.entries]


def edit(text: str, pointer: Pointer, value: Value | None) -> str:
    """Set the value at a pointer; None takes its key away. Raises `UneditableError`."""
    if not text.strip(" \t\r\n"):
        return (
            text
            if value is None
            else _object(pointer.missing(0), value, "\n", "", _DEFAULT_STEP, ": ") + (text or "\n")
        )
    root = _Parser(text).document()
    after = _edited(text, root, pointer, value)
    if after != text:
        _check(text, after, pointer, value)
    return after


def _edited(text: str, root: Node, pointer: Pointer, value: Value | None) -> str:
    node = root
    for depth in range(len(pointer.keys)):
        index = _find(node, pointer, depth)
        if index is None:
            return text if value is None else _add(text, root, node, pointer.missing(depth), value)
        if depth + 1 == len(pointer.keys):
            return _at_the_place(text, node, index, pointer, value)
        node = node.entries[index][2]
    raise AssertionError("a pointer has keys")


def _find(node: Node, pointer: Pointer, depth: int) -> int | None:
    """Return the position of the next entry of the path; None if the object has no such key."""
    if node.kind == "array":
        return pointer.index(depth, len(node.entries))
    if node.kind != "object":
        raise pointer.passes_a_value(depth)
    found = [index for index, (key, _, _) in enumerate(node.entries) if key == pointer.keys[depth]]
    if len(found) > 1:
        raise pointer.stands_twice(depth, len(found))
    return found[0] if found else None


def _at_the_place(text: str, parent: Node, index: int, pointer: Pointer, value: Value | None) -> str:
    node = parent.entries[index][2]
    if node.kind != "scalar":
        raise pointer.is_a_collection()
    if value is None and parent.kind == "array":
        value = Value("")  # the other items keep their places
    if value is None:
        return without_entry(text, (parent.start, parent.end), parent.spans(), index)
    found = json.loads(text[node.start : node.end]) if text[node.start] == '"' else None
    new = value.quoted()
    if new == text[node.start : node.end] or (found is not None and not value.is_number and found == value.text):
        return text
    return text[: node.start] + new + text[node.end :]


def _add(text: str, root: Node, node: Node, keys: tuple[str, ...], value: Value) -> str:
    step, colon = _layout(text, root)
    newline, braces = newline_of(text), (node.start, node.end)
    if node.entries:
        own = indentation(text, node.entries[-1][1])
        entry = _entry(keys, value, newline, own or "", None if own is None else step or _DEFAULT_STEP, colon)
        return with_entry(text, braces, node.spans(), entry, tight=not colon.endswith(" "))
    if step is None and node is root:
        step = _DEFAULT_STEP
    line = text[line_start(text, node.start) : node.start]
    own = line[: len(line) - len(line.lstrip(" \t"))]
    return text[: node.start] + _object(keys, value, newline, own, step, colon) + text[node.end :]


def _object(keys: tuple[str, ...], value: Value, newline: str, own: str, step: str | None, colon: str) -> str:
    """Write an object with one entry; on one line if ``step`` is None. ``own`` is the indentation of its last line."""
    if step is None:
        return "{" + _entry(keys, value, newline, own, None, colon) + "}"
    return f"{{{newline}{own}{step}{_entry(keys, value, newline, own + step, step, colon)}{newline}{own}}}"


def _entry(keys: tuple[str, ...], value: Value, newline: str, own: str, step: str | None, colon: str) -> str:
    inner = value.quoted() if len(keys) == 1 else _object(keys[1:], value, newline, own, step, colon)
    return json.dumps(keys[0], ensure_ascii=False) + colon + inner


def _layout(text: str, root: Node) -> tuple[str | None, str]:
    """Return the indentation of one level (None if nothing is indented), and what stands between key and value."""
    step, colon, waiting = None, None, [(root, "")]
    while waiting and (step is None or colon is None):
        node, outer = waiting.pop(0)
        for key, start, inner in node.entries:
            own = indentation(text, start)
            if step is None and own is not None and own != outer and own.startswith(outer):
                step = own[len(outer) :]
            if key is not None and colon is None and (end := _STRING.match(text, start)):
                colon = text[end.end() : inner.start]
            waiting.append((inner, outer if own is None else own))
    return step, ": " if colon is None or "\n" in colon else colon


def _check(before: str, after: str, pointer: Pointer, value: Value | None) -> None:
    """Raise `UneditableError` if the new text differs from the old one in more than the value, for Python's reader."""
    try:
        found, wanted = (_plain(text) for text in (after, before if before.strip() else "{}"))
        leaf = None if value is None else Number(value.text) if value.is_number else value.text
        is_right = put(wanted, pointer.keys, leaf, empty="") == found
    except (ValueError, RecursionError, TypeError):
        is_right = False
    if not is_right:
        raise pointer.needs_another_change()


def _plain(text: str) -> object:
    return json.loads(text, parse_int=Number, parse_float=Number, object_pairs_hook=Pairs)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def document(self) -> Node:
        """Parse the whole text. Raises `UneditableError` with the place of the first fault."""
        self._skip()
        root = self._value(0)
        self._skip()
        if self._at < len(self._text):
            self._fail("there is text after the end of the JSON value")
        return root

    def _value(self, depth: int) -> Node:
        if depth > DEEPEST:
            self._fail(f"it is nested more than {DEEPEST} deep")
        opening = self._text[self._at : self._at + 1]
        if opening == "{":
            return self._collection(Node("object", self._at), "}", depth)
        if opening == "[":
            return self._collection(Node("array", self._at), "]", depth)
        found = (_STRING if opening == '"' else _SCALAR).match(self._text, self._at)
        if found is None:
            self._fail(
                "this string is not closed, or holds what JSON does not allow" if opening == '"' else _unknown(opening)
            )
        node = Node("scalar", found.start(), found.end())
        self._at = found.end()
        return node

    def _collection(self, node: Node, closing: str, depth: int) -> Node:
        self._at += 1
        self._skip()
        while not self._text.startswith(closing, self._at):
            if node.entries:
                self._expect(",", f"a comma or {closing}")
            start, key = self._at, None
            if node.kind == "object":
                found = _STRING.match(self._text, self._at)
                if found is None:
                    self._fail("a key in double quotes is expected")
                key = json.loads(found[0])
                self._at = found.end()
                self._skip()
                self._expect(":", "a colon")
            node.entries.append((key, start, self._value(depth + 1)))
            self._skip()
        self._at += 1
        node.end = self._at
        return node

    def _expect(self, character: str, what: str) -> None:
        if not self._text.startswith(character, self._at):
            self._fail(_unknown(self._text[self._at : self._at + 1]) if self._comment() else f"{what} is expected")
        self._at += 1
        self._skip()

    def _comment(self) -> bool:
        return self._text.startswith(("//", "/*", "#"), self._at)

    def _skip(self) -> None:
        found = _BLANK.match(self._text, self._at)
        self._at = self._at if found is None else found.end()

    def _fail(self, what: str) -> NoReturn:
        raise not_parsed(self._text, self._at, f"{what}: this is no JSON")


def _unknown(opening: str) -> str:
    if opening in {"/", "#"}:
        return "a comment, which JSON does not have"
    return "a value is expected" if opening else "the file ends too early"
