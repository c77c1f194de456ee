"""YAML: a scalar's characters are replaced, or lines are added in the indentation of the others.

ruamel.yaml finds the places, and reads the result. Its own output is not used: it would change quotes, indentation and
line breaks of the whole file.
"""

import re

from tokend.sinks.files.patching.entries import with_entry, without_entry
from tokend.sinks.files.patching.lines import (
    indentation,
    line_end,
    line_start,
    next_line,
    with_lines_after,
    with_lines_at_end,
    with_lines_before,
    without_lines,
)
from tokend.sinks.files.patching.pointer import Pointer
from tokend.sinks.files.patching.problems import UneditableError
from tokend.sinks.files.patching.tree import Pairs, put
from tokend.sinks.files.patching.value import Value, quoted
from tokend.sinks.files.patching.yaml_tree import Node, events_of, tree_of

_DEFAULT_STEP = 2
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*", re.ASCII)
# Plain scalars that every version of YAML reads as a string, except `_WORDS`.
_PLAIN_TEXT = re.compile(
    r"[A-Za-z_][A-Za-z0-9_./+=@:-]*|[0-9][A-Za-z0-9_-]*[g-np-suvwyG-NP-SUVWY][A-Za-z0-9_-]*", re.ASCII
)
_WORDS = {"y", "yes", "n", "no", "on", "off", "true", "false", "null"}
_BLOCKS = ("|", ">")


def edit(text: str, pointer: Pointer, value: Value | None) -> str:
    """Set the value at a pointer; None takes its key away. Raises `UneditableError`."""
    root = tree_of(text, events_of(text))
    after = _edited(text, root, pointer, value)
    if after != text:
        _check(root, text, after, pointer, value)
    return after


def _edited(text: str, root: Node | None, pointer: Pointer, value: Value | None) -> str:
    if root is None or _is_empty(root):
        return text if value is None else with_lines_at_end(text, *_lines(pointer.missing(0), value, 0, _DEFAULT_STEP))
    path, place = [root], 0
    for depth in range(len(pointer.keys)):
        node, index = path[-1], None
        if node.is_special:
            raise _special(pointer, depth)
        if not _is_empty(node):
            index = _find(node, pointer, depth)
        if index is None:
            return text if value is None else _add(text, path, pointer.missing(depth), value)
        place = index
        path.append(node.entries[index][1])
    if path[-1].is_special:
        raise _special(pointer, len(pointer.keys))
    if path[-1].kind != "scalar":
        raise pointer.is_a_collection()
    parent = path[-2]
    if value is None and parent.kind == "sequence":
        value = Value("")  # the other items keep their places
    return _without(text, parent, place) if value is None else _replaced(text, path[-1], value)


def _special(pointer: Pointer, depth: int) -> UneditableError:
    what = "has an anchor, an alias or a tag: a change there is not only a change of this value"
    return UneditableError(f"{pointer.up_to(depth)} {what}")


def _is_empty(node: Node) -> bool:
    """Return whether nothing at all is written there: ``key:``."""
    return node.kind == "scalar" and node.start == node.end


def _find(node: Node, pointer: Pointer, depth: int) -> int | None:
    """Return the position of the next entry of the path; None if the mapping has no such key."""
    if node.kind == "sequence":
        return pointer.index(depth, len(node.entries))
    if node.kind != "mapping":
        raise pointer.passes_a_value(depth)
    key = pointer.keys[depth]
    found = [index for index, (name, _) in enumerate(node.entries) if name is not None and name.says(key)]
    if len(found) > 1:
        raise pointer.stands_twice(depth, len(found))
    return found[0] if found else None


def _replaced(text: str, node: Node, value: Value) -> str:
    if value.is_number:
        is_right = not node.style and node.text == value.text
    else:
        is_right = node.text == value.text and (node.style != "" or _is_text(node.text))
    if is_right and not _is_empty(node):
        return text
    new, end = value.quoted(), _end(text, node)
    if node.style in _BLOCKS:
        # A comment may stand behind the sign of a block.
        _, sign, comment = text[node.start : line_end(text, node.start)].partition("#")
        new += f" {sign}{comment}" if sign else ""
    elif _is_empty(node) and text[node.start - 1] not in " \t":
        new = " " + new
    return text[: node.start] + new + text[end:]


def _is_text(plain: str) -> bool:
    return bool(_PLAIN_TEXT.fullmatch(plain)) and plain.lower() not in _WORDS


def _end(text: str, node: Node) -> int:
    """Return where a node ends, without the line ends behind a block scalar."""
    return node.start + len(text[node.start : node.end].rstrip(" \t\r\n")) if node.style in _BLOCKS else node.end


def _add(text: str, path: list[Node], keys: tuple[str, ...], value: Value) -> str:
    """Add the keys to the last node of the path: a mapping, or nothing at all."""
    node, step = path[-1], _step(text, path[0])
    if node.in_flow or any(one.in_flow for one in path):
        entry = _flow_entry(keys, value)
        if _is_empty(node):
            blank = "" if text[node.start - 1] in " \t" else " "
            return f"{text[: node.start]}{blank}{{{entry}}}{text[node.end :]}"
        return with_entry(text, (node.start, node.end), node.spans(), entry)
    if _is_empty(node):
        column = _column(text, path[-2].spans()[0][0]) if path[-2].kind == "mapping" else _column(text, node.start) + 1
        return with_lines_after(text, node.start, *_lines(keys, value, column + step, step))
    lines = _lines(keys, value, _column(text, node.spans()[0][0]), step)
    last = node
    while last.entries:
        last = last.entries[-1][1]
    if last.style in _BLOCKS and "+" in text[last.start : line_end(text, last.start)].partition("#")[0]:
        if text[: node.end].endswith("\n"):
            return with_lines_before(text, node.end, *lines)  # the blank lines before it are part of the scalar
        return with_lines_at_end(text, *lines)
    return with_lines_after(text, _end(text, last) if last.style in _BLOCKS else node.end, *lines)


def _column(text: str, offset: int) -> int:
    return offset - line_start(text, offset)


def _step(text: str, root: Node) -> int:
    """Return the indentation of one level: that of the first mapping in a mapping."""
    waiting = [root]
    while waiting:
        node = waiting.pop(0)
        for _, inner in node.entries:
            if inner.entries and not inner.in_flow:
                step = _column(text, inner.spans()[0][0]) - _column(text, node.spans()[0][0])
                if node.kind == inner.kind == "mapping" and step > 0:
                    return step
                waiting.append(inner)
    return _DEFAULT_STEP


def _lines(keys: tuple[str, ...], value: Value, column: int, step: int) -> list[str]:
    heads = [" " * (column + depth * step) + _key(key) + ":" for depth, key in enumerate(keys)]
    return [*heads[:-1], f"{heads[-1]} {value.quoted()}"]


def _flow_entry(keys: tuple[str, ...], value: Value) -> str:
    inner = value.quoted() if len(keys) == 1 else "{" + _flow_entry(keys[1:], value) + "}"
    return f"{_key(keys[0])}: {inner}"


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) and key.lower() not in _WORDS else quoted(key)


def _without(text: str, parent: Node, index: int) -> str:
    """Take an entry of a mapping away. A comment behind it stays."""
    if parent.in_flow:
        return without_entry(text, (parent.start, parent.end), parent.spans(), index)
    key, node = parent.entries[index]
    start, end = parent.spans()[index][0], _end(text, node)
    head = text[node.start : line_end(text, node.start)] if node.style in _BLOCKS else ""
    if "#" in text[(key or node).end : node.start] + head:
        raise UneditableError("a comment stands within the entry: it cannot be taken away without it")
    if len(parent.entries) == 1:
        return f"{text[:start]}{{}}{text[end:]}"
    if text[end : line_end(text, end)].strip():
        return text[:start] + text[end:].lstrip(" \t")
    if indentation(text, start) is None:  # behind the sign of an item: ``- key: value``
        return text[:start].rstrip(" ") + text[end:]
    return without_lines(text, line_start(text, start), next_line(text, end))


def _check(before: Node | None, text: str, after: str, pointer: Pointer, value: Value | None) -> None:
    """Raise `UneditableError` if the new text differs from the old one in more than the value."""
    leaf = None if value is None else (value.text, value.is_number, "")
    wanted = put(_plain(before, text), pointer.keys, leaf, empty=("", False, ""))
    try:
        is_right = _plain(tree_of(after, events_of(after)), after) == wanted
    except UneditableError:
        is_right = False
    if not is_right:
        raise pointer.needs_another_change()


def _plain(node: Node | None, text: str) -> object:
    """Return what is written: of a scalar its text, whether it is no string for sure, and all of a special one."""
    if node is None:
        return None
    if node.kind == "scalar":
        whole = text[node.start : node.end] if node.is_special else ""
        return (node.text, not node.style and not _is_text(node.text), whole)
    if node.kind == "sequence":
        return [_plain(inner, text) for _, inner in node.entries]
    return Pairs((_name(key, text), _plain(inner, text)) for key, inner in node.entries)


def _name(key: Node | None, text: str) -> object:
    return key.text if key and key.kind == "scalar" and not key.is_special else _plain(key, text)
