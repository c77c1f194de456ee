"""TOML: a value's characters are replaced, or lines are added to its table.

tomlkit reads the file before, and names the place of a fault; tomllib reads the result. tomlkit's own edits are not
used: they end new lines with a line feed in every file, and put a key between a table and the comment above it.
"""

import re
import tomllib
from typing import Any

from tokend.machine.late_imports import import_alone
from tokend.plugin.toml_positions import Layout, Path, Statement, layout
from tokend.sinks.files.patching.entries import with_entry, without_entry
from tokend.sinks.files.patching.lines import (
    indentation,
    line_end,
    line_start,
    newline_of,
    next_line,
    with_lines_after,
    with_lines_at_end,
    with_lines_before,
    without_lines,
)
from tokend.sinks.files.patching.pointer import Pointer
from tokend.sinks.files.patching.problems import UneditableError, not_parsed
from tokend.sinks.files.patching.tree import Number, Pairs, put
from tokend.sinks.files.patching.value import Value, quoted

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_WHERE = re.compile(r"at line (\d+), column (\d+)")


def edit(text: str, pointer: Pointer, value: Value | None) -> str:
    """Set the value at a pointer; None takes its key away. Raises `UneditableError`."""
    tree = _parsed(text)
    after = _edited(text, tree, pointer, value)
    if after != text:
        _check(tree, after, pointer, value)
    return after


def _parsed(text: str) -> dict[str, Any]:
    """Parse a document. Raises `UneditableError` with the place of the first fault."""
    import_alone("tomlkit")  # on use: an optional package
    import tomlkit
    from tomlkit.exceptions import ParseError, TOMLKitError

    try:
        tomlkit.parse(text)
        return _read(text)
    except ParseError as error:
        raise UneditableError(f"line {error.line}, column {error.col + 1}: this is no TOML") from None
    except tomllib.TOMLDecodeError as error:
        found = _WHERE.search(str(error))
        where = f"line {found[1]}, column {found[2]}" if found else "at its end"
        raise UneditableError(f"{where}: this is no TOML") from None
    except RecursionError:
        raise not_parsed(text, 0, "it is nested too deeply") from None
    except (TOMLKitError, ValueError, TypeError):
        raise not_parsed(text, 0, "this is no TOML: is a key or a table there twice?") from None


def _read(text: str) -> dict[str, Any]:
    return tomllib.loads(text, parse_float=Number)


def _edited(text: str, tree: dict[str, Any], pointer: Pointer, value: Value | None) -> str:
    node: Any = tree
    path: Path = ()
    step: str | int
    for depth, step in enumerate(pointer.keys):
        if isinstance(node, list):
            step = pointer.index(depth, len(node))
        elif not isinstance(node, dict):
            raise pointer.passes_a_value(depth)
        elif step not in node:
            return text if value is None else _add(text, layout(text), path, pointer.missing(depth), value)
        path, node = (*path, step), node[step]
    if isinstance(node, dict | list):
        raise pointer.is_a_collection()
    if value is None and isinstance(path[-1], int):
        value = Value("")  # the other items keep their places
    if value is None:
        return _without(text, layout(text), path)
    if node == (_number(value.text) if value.is_number else value.text) and not isinstance(node, bool):
        return text
    new = value.quoted()
    span = next(span for span in layout(text).values if span.path == path)
    return text[: span.start] + new + text[span.end :]


def _number(text: str) -> object:
    return Number(text) if "." in text else int(text)


def _add(text: str, places: Layout, table: Path, keys: tuple[str, ...], value: Value) -> str:
    """Add the keys to a table that is there."""
    if table in places.inlines:
        entries = [(pair.start, pair.end) for pair in places.pairs if pair.table == table]
        return with_entry(text, places.inlines[table], entries, _pair(keys, value))
    header = next((one for one in places.headers if one.path == table), None)
    if table and header is None and (last := _last_dotted(places, table)) is not None:
        inner = tuple(str(key) for key in table[len(last.table) :])
        return _with_pair_after(text, last, _pair((*inner, *keys), value))
    if (header is None and table) or (len(keys) > 1 and all(isinstance(key, str) for key in table)):
        name = ".".join(_key(str(key)) for key in (*table, *keys[:-1]))
        lines = [f"[{name}]", _pair(keys[-1:], value)]
        return with_lines_at_end(text, *([""] if _has_a_last_line(text) else []), *lines)
    last = next((pair for pair in reversed(places.pairs) if pair.table == table), header)
    if last is not None:
        return _with_pair_after(text, last, _pair(keys, value))
    return _with_first_pair(text, places, _pair(keys, value))


def _last_dotted(places: Layout, table: Path) -> Statement | None:
    """Return the last statement that makes a table by dotted keys, outside of inline tables; None if none does."""
    made = (pair for pair in reversed(places.pairs) if len(pair.table) < len(table) < len(pair.path))
    return next((pair for pair in made if pair.path[: len(table)] == table), None)


def _with_pair_after(text: str, last: Statement, pair: str) -> str:
    return with_lines_after(text, last.end, (indentation(text, last.start) or "") + pair)


def _with_first_pair(text: str, places: Layout, pair: str) -> str:
    """Add the first pair of the root table: before the first header and the comment above it."""
    if not places.headers:
        return with_lines_at_end(text, pair)
    begin = line_start(text, places.headers[0].start)
    while begin and text[line_start(text, begin - 1) : begin].lstrip(" \t").startswith("#"):
        begin = line_start(text, begin - 1)
    return with_lines_before(text, begin, pair, "")


def _has_a_last_line(text: str) -> bool:
    return bool(text) and not text.endswith(newline_of(text) * 2)


def _pair(keys: tuple[str, ...], value: Value) -> str:
    return f"{'.'.join(_key(key) for key in keys)} = {value.quoted()}"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else quoted(key)


def _without(text: str, places: Layout, path: Path) -> str:
    """Take a pair away. A comment behind it stays."""
    pair = next(pair for pair in places.pairs if pair.path == path)
    if pair.table in places.inlines:
        entries = [one for one in places.pairs if one.table == pair.table]
        spans = [(one.start, one.end) for one in entries]
        return without_entry(text, places.inlines[pair.table], spans, entries.index(pair))
    if text[pair.end : line_end(text, pair.end)].strip():
        return text[: pair.start] + text[pair.end :].lstrip(" \t")
    return without_lines(text, line_start(text, pair.start), next_line(text, pair.end))


def _check(before: dict[str, Any], after: str, pointer: Pointer, value: Value | None) -> None:
    """Raise `UneditableError` if the new text differs from the old one in more than the value."""
    leaf = None if value is None else _number(value.text) if value.is_number else value.text
    wanted = put(_plain(before), pointer.keys, leaf, empty="")
    try:
        found = _plain(_read(after))
    except (ValueError, RecursionError):
        raise pointer.needs_another_change() from None
    if value is None:  # a table of dotted keys is there as long as one of them
        wanted, found = (put(tree, pointer.keys[:1], _first(tree, pointer), empty="") for tree in (wanted, found))
    if _sorted(found) != _sorted(wanted):
        raise pointer.needs_another_change()


def _first(tree: object, pointer: Pointer) -> object:
    """Return the value at the pointer's first key, without the empty tables in it."""
    pairs = tree if isinstance(tree, Pairs) else Pairs()
    return _pruned(next((value for key, value in pairs if key == pointer.keys[0]), None))


def _pruned(tree: object) -> object:
    if isinstance(tree, Pairs):
        inner = Pairs((key, _pruned(value)) for key, value in tree)
        return Pairs((key, value) for key, value in inner if value is not None) or None
    return [_pruned(item) for item in tree] if isinstance(tree, list) else tree


def _plain(tree: object) -> object:
    if isinstance(tree, dict):
        return Pairs((key, _plain(value)) for key, value in tree.items())
    return [_plain(item) for item in tree] if isinstance(tree, list) else tree


def _sorted(tree: object) -> object:
    if isinstance(tree, Pairs):
        return Pairs(sorted(((key, _sorted(value)) for key, value in tree), key=lambda pair: str(pair[0])))
    return [_sorted(item) for item in tree] if isinstance(tree, list) else tree
