"""The `.env` format: encoding of values so that all readers agree, and edits that change nothing else. Pure.

The format has no standard; the rules come from tests of 22 parsers. docker, podman, systemd, shells and all dotenv
libraries read only an unquoted value of safe characters alike. Every JWT is such a value.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Style = Literal["portable", "quoted", "posix", "raw"]

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_BARE = re.compile(r"(?!=)(?:[A-Za-z0-9_./+@%,^-]|:(?![~=])|=(?!~)|(?<!^)~)+\Z", re.ASCII)

_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# A key may be quoted, as python-dotenv allows. ``\s`` is ASCII here; _BLANK contains no end of a line.
_BLANK = rb"[ \t\f\v]*"
_ASSIGNMENT = re.compile(
    _BLANK + rb"(?:export[ \t\f\v]+)?(?:'(?P<quoted>[^'\r\n]+)'|(?P<key>[^\s=#'][^\s=#]*))" + _BLANK + rb"="
)
_BLANKS = re.compile(_BLANK)
_REST = re.compile(rb"[^\r\n]*")
_COMMENT = re.compile(rb"[ \t\f\v]+#")
# Text that may follow the closing quote. With other text readers disagree on the end of the value.
_AFTER_QUOTE = re.compile(rb"(?=[ \t\f\v]*(?:[\r\n]|\Z)|[ \t\f\v]+#)")
# Patterns of quoted values: without escapes (shells), then with escapes (python-dotenv, node). The first pattern counts
# whose closing quote is followed by `_AFTER_QUOTE`.
_QUOTED = {
    b"'": (re.compile(rb"'[^']*'"), re.compile(rb"'(?:\\.|[^'\\])*'", re.DOTALL)),
    b'"': (re.compile(rb'"(?:\\.|[^"\\])*"', re.DOTALL),),
    b"`": (re.compile(rb"`[^`]*`"),),
}


# Each edit goes through all of them, twice. No real .env file has as many.
MOST_ASSIGNMENTS = 10_000


class UnencodableError(ValueError):
    """A value that readers would read differently. The message does not quote the value."""


class UneditableError(ValueError):
    """A file in which a new value would not be read back. The message does not quote the file."""


def encode(value: str, style: Style) -> str:
    """Encode ``value`` for the right side of ``KEY=``. Raises `UnencodableError` if no encoding suits all readers."""
    if any(_is_bad(character) for character in value):
        raise UnencodableError("it holds control characters or others that no .env file can carry")
    if style == "raw":
        return _raw(value)
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


def edit(content: bytes, values: Mapping[str, str], *, append: bool = True) -> bytes:
    """Set each key of ``values`` (encoded) at each of its assignments. Every other byte stays.

    A missing key is appended; without ``append`` it stays missing. Raises `UneditableError`.
    """
    if content.startswith(_UTF_16):
        raise UneditableError("it is UTF-16: save it as UTF-8")
    encoded = {key: value.encode() for key, value in values.items()}
    parts: list[bytes] = []
    wanted: list[tuple[str, bytes]] = []
    kept = 0
    for found in _assignments(content):
        if len(wanted) == MOST_ASSIGNMENTS:
            raise UneditableError(f"it has more than {MOST_ASSIGNMENTS} assignments: no .env file is as long")
        value = found.value(content)
        wanted.append((found.key, encoded.get(found.key, value)))
        if wanted[-1][1] != value:
            parts += [content[kept : found.start], encoded[found.key]]
            kept = found.end
    result = b"".join([*parts, content[kept:]])
    missing = encoded.keys() - {key for key, _ in wanted} if append else set()
    if missing:
        appended = {key: value for key, value in encoded.items() if key in missing}
        result = _append(result, appended)
        wanted += appended.items()
    _check(result, wanted)
    return result


@dataclass(frozen=True, slots=True)
class _Assignment:
    """One ``key=value``. The value's bytes, with its quotes, are ``start`` to before ``end``."""

    key: str
    start: int
    end: int

    def value(self, content: bytes) -> bytes:
        """Return the assigned bytes. A value of blanks is empty."""
        return content[self.start : self.end].strip()


def _assignments(content: bytes) -> Iterator[_Assignment]:
    """Yield the assignments in the order of the file. A quoted value may span lines; its text is no assignment."""
    position = len(_BOM) if content.startswith(_BOM) else 0
    while position < len(content):
        match = _ASSIGNMENT.match(content, position)
        end = position
        if match is not None:
            start, end = _value(content, match.end())
            yield _Assignment((match["key"] or match["quoted"]).decode("utf-8", "replace"), start, end)
        position = _end_of(_REST, content, end) + 1


def _value(content: bytes, equals: int) -> tuple[int, int]:
    """Return the start and the end of the value after an equals sign."""
    start, line_end = _end_of(_BLANKS, content, equals), _end_of(_REST, content, equals)
    if start == line_end:
        return equals, line_end  # a shell would run a value behind these blanks as a command
    if start > equals and content[start : start + 1] == b"#":
        return equals, equals  # ``KEY= # comment``
    quotes = [pattern.match(content, start) for pattern in _QUOTED.get(content[start : start + 1], ())]
    ends = [quote.end() for quote in quotes if quote is not None]
    for end in ends:
        if _AFTER_QUOTE.match(content, end):
            return start, end
    # Unquoted, or quotes that readers disagree on: everything but a comment, up to the first end of the line.
    begin = min(ends, default=start)
    line = content[begin : _end_of(_REST, content, begin)]
    comment = _COMMENT.search(line)
    return start, begin + len((line if comment is None else line[: comment.start()]).rstrip())


def _append(content: bytes, encoded: Mapping[str, bytes]) -> bytes:
    newline = b"\r\n" if b"\r\n" in content else b"\n"
    if content and content != _BOM and not content.endswith((b"\n", b"\r")):
        content += newline
    if content.rstrip(b"\r\n").endswith(b"\\") and not content.endswith(newline * 2):
        content += newline  # shells and systemd join a line that ends in a backslash with the next one
    return content + b"".join(key.encode() + b"=" + value + newline for key, value in encoded.items())


def _check(content: bytes, wanted: Sequence[tuple[str, bytes]]) -> None:
    """Raise `UneditableError` if the assignments of ``content`` are not ``wanted``.

    An unclosed quote of an old value would end at a quote of a new value, or swallow the new value.
    """
    if [(found.key, found.value(content)) for found in _assignments(content)] != list(wanted):
        raise UneditableError("a value in it has no end (a quote that is not closed?): fix that line first")


def _raw(value: str) -> str:
    """Return the value unchanged. Raises `UnencodableError` if the next edit would not find the whole value."""
    line = b"K=" + value.encode()
    # The second line closes a quote that the first line leaves open.
    if line.strip() != line or _value(line + b"\n" + value[:1].encode(), 2) != (2, len(line)):
        raise UnencodableError("its blanks, quotes or # would hide where it ends (another style quotes it)")
    return value


def _end_of(pattern: "re.Pattern[bytes]", content: bytes, start: int) -> int:
    match = pattern.match(content, start)
    return start if match is None else match.end()


def _is_bad(character: str) -> bool:
    if " " <= character <= "~" or character == "\t":
        return False
    import unicodedata  # a quarter of a megabyte: hardly any token has such a character

    code = ord(character)
    return (
        unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
        or character == "\ufeff"
        or 0xFDD0 <= code <= 0xFDEF
        or code & 0xFFFE == 0xFFFE
    )
