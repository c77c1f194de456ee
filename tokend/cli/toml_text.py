"""TOML as text: tables with their inner tables below them, one key a line, each with a remark beside it."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from typing import Any

Where = tuple[str | int, ...]
_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
# TOML demands escapes for these; JSON leaves the last one as it is.
_DELETE = "\x7f"


class Inline(dict[str, Any]):
    """A table that stands in one line, as the place of a secret does."""


def no_remark(_: Where) -> str | None:
    """Remark on nothing."""
    return None


def written(table: Mapping[str, Any], name: tuple[str, ...], remark: Callable[[Where], str | None] = no_remark) -> str:
    """Return a table named ``name`` as TOML. ``remark`` gets a key's path below it, and returns a comment or None."""
    return "\n".join(_lines(table, name, remark, (), f"[{key_text(*name)}]")) + "\n"


def key_text(*parts: str) -> str:
    """Return a dotted key; parts that are not bare stand in quotes."""
    return ".".join(part if _BARE.fullmatch(part) else _text(part) for part in parts)


def _lines(
    table: Mapping[str, Any], name: tuple[str, ...], remark: Callable[[Where], str | None], above: Where, header: str
) -> Iterator[str]:
    inner = {key: value for key, value in table.items() if _is_table(value) or _is_tables(value)}
    if len(inner) < len(table) or header.startswith("[[") or not above:
        yield header
    for key, value in table.items():
        if key in inner:
            continue
        note = remark((*above, key))
        yield f"{key_text(key)} = {_value(value)}{'' if note is None else f'  # {note}'}"
    for key, value in inner.items():
        where, whole = (*above, key), (*name, key)
        if _is_table(value):
            if any(not (_is_table(one) or _is_tables(one)) for one in value.values()):
                yield ""
            yield from _lines(value, whole, remark, where, f"[{key_text(*whole)}]")
            continue
        note = remark(where)
        for number, one in enumerate(value):
            yield ""
            header = f"[[{key_text(*whole)}]]{'' if note is None or number else f'  # {note}'}"
            yield from _lines(one, whole, _silent if note is not None else remark, (*where, number), header)


def _silent(_: Where) -> str | None:
    return None


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) and not isinstance(value, Inline) and bool(value)


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_table(one) for one in value)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{key_text(key)} = {_value(one)}" for key, one in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return repr(value)  # numbers: Python writes inf, nan and exponents as TOML does


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace(_DELETE, "\\u007F")
