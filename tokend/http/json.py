"""Strict JSON from strangers: one object, UTF-8, no NaN, no duplicate keys, no depth. Nothing of it is ever quoted."""

import json
from typing import Any, NoReturn

from tokend.errors import TransientError

DEEPEST = 32


def parse_object(body: bytes, host: str) -> dict[str, Any]:
    """Parse a reply's body. Raises `TransientError` naming only the host and the fault."""
    try:
        text = body.decode("utf-8", "strict")
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
        _check_depth(value, DEEPEST)
    except (ValueError, RecursionError):
        raise TransientError(f"{host} answered with something that is not acceptable JSON") from None
    if not isinstance(value, dict):
        raise TransientError(f"{host} answered with JSON that is not an object")
    return value


def try_object(body: bytes) -> dict[str, Any] | None:
    """The same, None instead of an error: for bodies that only may say something."""
    try:
        return parse_object(body, "")
    except TransientError:
        return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _refuse(_: str) -> NoReturn:
    raise ValueError("NaN or Infinity")


def _check_depth(value: Any, left: int) -> None:
    if not left:
        raise ValueError("too deep")
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _check_depth(child, left - 1)
