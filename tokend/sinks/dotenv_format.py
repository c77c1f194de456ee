"""The `.env` format: a value encoded so that all readers agree on it, and an edit that touches nothing else. Pure.

There is no standard; the rules were found by giving values to 22 parsers. Only an unquoted value of safe characters is
read alike by docker, podman, systemd, shells and every dotenv library: every JWT is one.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Style = Literal["portable", "quoted", "posix", "raw"]

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_BARE = re.compile(r"(?!=)(?:[A-Za-z0-9_./+@%,^-]|:(?![~=])|=(?!~)|(?<!^)~)+\Z", re.ASCII)
_BOM = b"\xef\xbb\xbf"
_ASSIGNMENT = re.compile(rb"[ \t]*(?:export[ \t]+)?(?P<key>[^\s=#'\"`]+)[ \t]*=[ \t]*")
_QUOTED = {
    b"'": re.compile(rb"'[^']*'"),
    b'"': re.compile(rb'"(?:\\.|[^"\\])*"', re.DOTALL),
    b"`": re.compile(rb"`[^`]*`"),
}
_COMMENT = re.compile(rb"[ \t]+#")


class UnencodableError(ValueError):
    """A value that not all readers would read alike; the message holds nothing of it."""


def encode(value: str, style: Style) -> str:
    """Write ``value`` for the right side of ``KEY=``. Raises `UnencodableError`."""
    if any(_is_bad(character) for character in value):
        raise UnencodableError("it holds control characters or others that no .env file can carry")
    if style == "raw":
        return value
    if style == "posix":
        return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'
    if not value or _BARE.match(value):
        return value
    if "$" in value and (style == "portable" or "${" in value):
        raise UnencodableError('it holds a $, which readers expand differently (style = "posix" is for shells)')
    if "'" not in value and "\\\\" not in value and not value.endswith("\\"):
        return f"'{value}'"
    if not any(character in value for character in '"\\$`'):
        return f'"{value}"'
    raise UnencodableError('its quotes and backslashes are read differently by different readers (style = "posix"?)')


def edit(content: bytes, values: dict[str, str]) -> bytes:
    """Set each key of ``values`` (encoded) wherever it is assigned, or append it; every other byte stays."""
    missing = dict(values)
    parts: list[bytes] = []
    kept = 0
    for found in _assignments(content):
        encoded = values.get(found.key)
        if encoded is not None:
            missing.pop(found.key, None)
            parts += [content[kept : found.start], encoded.encode("utf-8")]
            kept = found.end
    result = b"".join([*parts, content[kept:]])
    newline = b"\r\n" if b"\r\n" in content else b"\n"
    for key, encoded in missing.items():
        if result and result != _BOM and not result.endswith(b"\n"):
            result += newline
        result += f"{key}={encoded}".encode() + newline
    return result


@dataclass(frozen=True, slots=True)
class _Assignment:
    """One ``key=value``: the value's bytes are ``start`` to ``end``, quotes included."""

    key: str
    start: int
    end: int


def _assignments(content: bytes) -> Iterator[_Assignment]:
    """Walk line by line; a quoted value may span several, and what stands in it is no assignment."""
    position = len(_BOM) if content.startswith(_BOM) else 0
    while position < len(content):
        match = _ASSIGNMENT.match(content, position)
        line_end = _line_end(content, position)
        if match is None or match.end() > line_end:
            position = _next_line(content, position)
            continue
        start, end = _value(content, match.end(), line_end)
        yield _Assignment(match["key"].decode("utf-8", "replace"), start, end)
        position = _next_line(content, end)


def _value(content: bytes, start: int, line_end: int) -> tuple[int, int]:
    """Where the value that begins at ``start`` lies."""
    quote = _QUOTED.get(content[start : start + 1])
    if quote is not None and (match := quote.match(content, start)) is not None:
        return start, match.end()
    line = content[start:line_end]
    if line.startswith(b"#"):
        # ``KEY= # comment``: an empty value, right behind the equals sign.
        start -= len(content[:start]) - len(content[:start].rstrip(b" \t"))
        return start, start
    comment = _COMMENT.search(line)
    return start, start + len((line if comment is None else line[: comment.start()]).rstrip())


def _line_end(content: bytes, position: int) -> int:
    end = content.find(b"\n", position)
    end = len(content) if end < 0 else end
    return end - 1 if content[position:end].endswith(b"\r") else end


def _next_line(content: bytes, position: int) -> int:
    end = content.find(b"\n", position)
    return len(content) if end < 0 else end + 1


def _is_bad(character: str) -> bool:
    code = ord(character)
    if character == "\t":
        return False
    return (
        unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
        or character == "\ufeff"
        or 0xFDD0 <= code <= 0xFDEF
        or code & 0xFFFE == 0xFFFE
    )
