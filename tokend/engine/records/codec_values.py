"""Values in a state file: moments, texts and numbers, checked when they are read. Pure.

A value of another type would be accepted now and break what uses it later, at every start again.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from tokend.engine.records.adrift import Adrift
from tokend.values.instant import Instant

T = TypeVar("T")


def dump_instant(instant: Instant | None) -> list[Any] | None:
    """Encode a moment on both time lines."""
    if instant is None:
        return None
    plain = [instant.wall.isoformat(), instant.boot]
    return [*plain, True] if isinstance(instant, Adrift) else plain  # 0.1.0 does not look at a third element


def load_instant(value: Any) -> Instant | None:
    """Decode a moment, None if there is none."""
    if value is None:
        return None
    boot = value[1]
    if len(value) > 2 and flag(value[2]):
        return Adrift(aware(value[0]), number(boot))
    return Instant(aware(value[0]), boot if type(boot) is float else number(boot))  # three of them in each lease


def moment(value: Any) -> Instant:
    """Decode a moment that must be there."""
    if (instant := load_instant(value)) is None:
        raise TypeError("no moment")
    return instant


def maybe(read: Callable[[Any], T], value: Any) -> T | None:
    """Decode a value by ``read``, None if there is none."""
    return None if value is None else read(value)


def text(value: Any) -> str:
    """Decode text."""
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def number(value: Any) -> float:
    """Decode a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("no number")
    return float(value)


def count(value: Any) -> int:
    """Decode a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("no whole number")
    return value


def flag(value: Any) -> bool:
    """Decode a yes or no."""
    if not isinstance(value, bool):
        raise TypeError("no flag")
    return value


def mapping(value: Any) -> dict[str, Any]:
    """Decode an object."""
    if not isinstance(value, dict):
        raise TypeError("no object")
    return value


def items(value: Any) -> list[Any]:
    """Decode a list."""
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def aware(value: Any) -> datetime:
    """Decode a wall time with its zone."""
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("naive time")
    return moment
