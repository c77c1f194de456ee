"""Types of settings fields, and the frozen base model of all settings."""

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)

_DURATION = re.compile(r"([1-9][0-9]*)(ms|s|m|h|d)", re.ASCII)
_NO_TIME = re.compile(r"0+(ms|s|m|h|d)", re.ASCII)
_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PERCENTAGE = re.compile(r"([1-9][0-9]?)%", re.ASCII)
# RFC 9110, 5.1 (a header's name) and 5.5 without bytes above ASCII (a value that every server and reader accepts).
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?", re.ASCII)
# unix(7): the size of sun_path without the final NUL.
LONGEST_SOCKET_BYTES = 107
_MODE = re.compile(r"0[0-7]{3}", re.ASCII)
# chown(2): the next number, the largest of 32 bits, means "unchanged".
LARGEST_ID = 2**32 - 2
# Ten years: a longer duration is a typing error. The limit also keeps timedelta from an overflow.
LONGEST_DURATION = timedelta(days=3660)


def absolute_path(value: Any, info: ValidationInfo) -> Any:
    """Resolve a relative path against the directory of its configuration file (validation context ``directory``).

    Values that are no strings are returned unchanged. Raises ValueError for an empty path, a NUL or a ``~``.
    """
    if not isinstance(value, str):
        return value
    if not value or "\0" in value:
        raise ValueError("a path is not empty and holds no NUL")
    if value.startswith("~"):
        raise ValueError("~ is not expanded here: write the whole path, or one relative to this file")
    return Path(os.path.join((info.context or {}).get("directory", "."), value))  # noqa: PTH118  (one Path, not two)


_SHARED_FIELDS_SET: set[str] = set()


class CompactModel(BaseModel):
    """A model with low memory use, for thousands of instances: all share one empty ``__pydantic_fields_set__``.

    Pydantic keeps a set of the given fields for each instance, 216 to 728 bytes. tokend does not use the set.
    """

    def model_post_init(self, _context: Any, /) -> None:
        """Drop the instance's own set of given fields."""
        object.__setattr__(self, "__pydantic_fields_set__", _SHARED_FIELDS_SET)


class Percentage(float):
    """A share of a token's lifetime, 0.01 to 0.99; in a file ``"20%"``."""


def parse_duration(text: str) -> timedelta:
    """Parse ``[1-9][0-9]*(ms|s|m|h|d)``, 1 ms to ten years. Raises ValueError, whose message shows the form."""
    match = _DURATION.fullmatch(text)
    if match is None:
        if _NO_TIME.fullmatch(text):
            raise ValueError("a duration is at least 1ms")
        raise ValueError('a duration is a whole number with a unit: "500ms", "30s", "15m", "12h", "1d"')
    number, unit = match.groups()
    # Compare whole numbers: a timedelta of so many days would overflow.
    if len(number) > 12 or int(number) * _MILLISECONDS[unit] > LONGEST_DURATION // timedelta(milliseconds=1):
        raise ValueError("a duration is at most ten years")
    return timedelta(milliseconds=int(number) * _MILLISECONDS[unit])


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError('a duration is a string with a unit: "500ms", "30s", "15m", "12h", "1d"')  # noqa: TRY004
    return parse_duration(value)


def _lead(value: Any) -> timedelta | Percentage:
    if isinstance(value, str) and (match := _PERCENTAGE.fullmatch(value)):
        return Percentage(int(match[1]) / 100)
    if isinstance(value, Percentage):
        return value
    try:
        return _duration(value)
    except ValueError as error:
        raise ValueError(f'{error}; or a share of the token\'s life, "1%" to "99%"') from None


def is_header_name(value: str) -> bool:
    """Return whether a text is the name of a header."""
    return _HEADER_NAME.fullmatch(value) is not None


def header_name(value: str) -> str:
    """Return the name of a header. Raises ValueError."""
    if not is_header_name(value):
        raise ValueError("a header's name is letters, digits and -: X-Account")
    return value


def _header_value(value: str) -> str:
    if not _HEADER_VALUE.fullmatch(value):
        raise ValueError("a header's value is one line of ASCII without outer spaces")
    return value


def _fits_a_socket(path: Path) -> Path:
    if len(os.fsencode(path)) > LONGEST_SOCKET_BYTES:
        raise ValueError(f"the kernel allows {LONGEST_SOCKET_BYTES} bytes for a socket's path: choose a shorter one")
    return path


def _mode(value: object) -> object:
    if not isinstance(value, str) or not _MODE.fullmatch(value):
        raise ValueError('a mode is an octal string: "0600", "0640"')
    return value


def _name(value: str) -> str:
    if not value or "\0" in value or (is_number(value) and int(value) > LARGEST_ID):
        raise ValueError("write a name or a number")
    return value


def is_number(name: str) -> bool:
    """Return whether a user or a group is written as a number."""
    return name.isascii() and name.isdigit()


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$"}),
]
Lead = Annotated[
    timedelta | Percentage,
    PlainValidator(_lead),
    WithJsonSchema({"type": "string", "pattern": f"^({_DURATION.pattern}|{_PERCENTAGE.pattern})$"}),
]
Mode = Annotated[str, BeforeValidator(_mode)]
# The name or number of a user or a group.
Name = Annotated[str, AfterValidator(_name)]
AnchoredPath = Annotated[Path, BeforeValidator(absolute_path)]
SocketPath = Annotated[AnchoredPath, AfterValidator(_fits_a_socket)]
Strings = Annotated[tuple[str, ...], Field(strict=False)]
Headers = dict[Annotated[str, AfterValidator(header_name)], Annotated[str, AfterValidator(_header_value)]]


class KeyValueError(ValueError):
    """An error of one key that a validator of the whole table has found. The message is shown at the key."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class Settings(CompactModel):
    """The base model of all settings: strict, frozen, without unknown keys. Errors do not quote the input."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        defer_build=True,  # a model takes a millisecond to build: build only those that a configuration names
    )
