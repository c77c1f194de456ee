"""Strict parser for untrusted JSON: UTF-8 without NaN, duplicate keys or deep nesting.

Errors do not quote the input.
"""

import json
import math
from typing import Any, NoReturn

from tokend.values.errors import TransientError

# Deepest nesting of objects and lists. The vendors' replies have three levels.
DEEPEST = 32
# Longest integer in characters. The Unix time of the year 9999 in nanoseconds has 21.
LONGEST_INTEGER = 40


def parse_object(body: bytes, host: str) -> dict[str, Any]:
    """Parse a reply's body, which is an object. Raises `TransientError`, which names only ``host`` and the fault."""
    value = parse_value(body, host)
    if not isinstance(value, dict):
        raise TransientError(f"{host} answered with JSON that is not an object")
    return value


def parse_value(body: bytes, host: str) -> Any:
    """Parse a reply's body, which is any JSON. Raises `TransientError`, which names only ``host`` and the fault."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_short,
        )
        _check(value, depth=0)
    except (ValueError, RecursionError):
        if body.lstrip().startswith(b"<"):
            raise TransientError(f"{host} answered with HTML, not JSON: does a proxy or a login page answer?") from None
        raise TransientError(f"{host} answered with something that is not acceptable JSON") from None
    return value


def try_object(body: bytes) -> dict[str, Any] | None:
    """Parse a body that may be anything, such as that of an error reply. Return None if it is no acceptable object."""
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


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError("a number out of range")
    return number


def _short(text: str) -> int:
    if len(text) > LONGEST_INTEGER:
        raise ValueError("a number out of range")
    return int(text)


def _check(value: Any, *, depth: int) -> None:
    if isinstance(value, str):
        value.encode()  # refuses a lone surrogate, which no later step could write
    elif isinstance(value, dict | list):
        if depth == DEEPEST:
            raise ValueError("too deep")
        for child in (*value.keys(), *value.values()) if isinstance(value, dict) else value:
            _check(child, depth=depth + 1)
