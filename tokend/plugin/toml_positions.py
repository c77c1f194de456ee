"""Positions of keys and values in a TOML document, which `tomllib` does not give.

The scanner trusts the syntax: tomllib must have accepted the document. It runs only when there is a problem to report.
A path is a tuple of keys and list indices, as in the parsed value. A position is an offset into the text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Path = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SKIP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_COMMENT = re.compile(r"#[^\r\n]*")
_STRINGS = (
    ('"""', re.compile(r'"""(?:\\.|[^\\])*?"{3,5}', re.DOTALL)),
    ("'''", re.compile(r"'''.*?'{3,5}", re.DOTALL)),
    ('"', re.compile(r'"(?:\\.|[^"\\\n])*"')),
    ("'", re.compile(r"'[^'\n]*'")),
)
_SCALAR = re.compile(r"[^,\]}\r\n#]*[^,\]}\r\n#\s]")
_ESCAPE = re.compile(r'\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[btnfre"\\])')
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b", '"': '"', "\\": "\\"}


@dataclass(frozen=True, slots=True)
class Span:
    """The position of a string, number, boolean or time: from ``start`` to before ``end``."""

    path: Path
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Statement:
    """The position of a header, or of ``key = value`` with everything in the value.

    ``table`` is the path of the table that it stands in; for a header, of the table that begins there. ``path`` is the
    path of the value; for a header, of the table.
    """

    table: Path
    path: Path
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The positions in a document.

    ``keys`` maps each path to the offset of its key, an array item's path to the offset of its value, and a table's
    path to the offset of its header. ``inlines`` maps the path of an inline table to its position. The others are in
    the order of the text; a pair of an inline table stands behind the pairs in it.
    """

    keys: Mapping[Path, int]
    values: Sequence[Span]
    comments: Sequence[tuple[int, int]]
    headers: Sequence[Statement]
    pairs: Sequence[Statement]
    inlines: Mapping[Path, tuple[int, int]]


def layout(text: str) -> Layout:
    """Return the positions in a whole document."""
    scanner = _Scanner(text)
    scanner.scan()
    return Layout(scanner.keys, scanner.values, scanner.comments, scanner.headers, scanner.pairs, scanner.inlines)


def unclosed_statement(text: str) -> int | None:
    """Return the offset of the statement whose string or bracket is still open at the end; None if there is none."""
    scanner = _Scanner(text)
    try:
        scanner.scan()
    except (IndexError, _OpenStringError, RecursionError):
        return scanner.statement
    return None


class _OpenStringError(Exception):
    pass


class _Scanner:
    def __init__(self, text: str) -> None:
        self.keys: dict[Path, int] = {}
        self.values: list[Span] = []
        self.comments: list[tuple[int, int]] = []
        self.headers: list[Statement] = []
        self.pairs: list[Statement] = []
        self.inlines: dict[Path, tuple[int, int]] = {}
        self.statement = 0
        self._text = text
        self._at = 0
        self._counts: dict[Path, int] = {}

    def scan(self) -> None:
        table: Path = ()
        while True:
            self._skip()
            if self._at >= len(self._text):
                return
            self.statement = self._at
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        array = self._text.startswith("[[", self._at)
        start = self._at
        self._at += 2 if array else 1
        keys = self._dotted()
        self._at += 2 if array else 1
        path: Path = (*self._inside(keys[:-1]), keys[-1])
        if array:
            index = self._counts[path] = self._counts.get(path, -1) + 1
            self.keys.setdefault(path, start)
            path += (index,)
        self.keys.setdefault(path, start)
        for end in range(1, len(path)):
            self.keys.setdefault(path[:end], start)
        self.headers.append(Statement(path, path, start, self._at))
        return path

    def _inside(self, keys: list[str]) -> Path:
        """Return the path of a header's keys: each array of tables on the way means its last element."""
        path: Path = ()
        for key in keys:
            path += (key,)
            if path in self._counts:
                path += (self._counts[path],)
        return path

    def _pair(self, table: Path) -> None:
        start = self._at
        path = table + tuple(self._dotted())
        for end in range(len(table) + 1, len(path) + 1):
            self.keys.setdefault(path[:end], start)
        self._at += 1  # the equals sign
        self._blank()
        self._value(path)
        self.pairs.append(Statement(table, path, start, self._at))

    def _dotted(self) -> list[str]:
        keys = []
        while True:
            self._blank()
            keys.append(self._key())
            self._blank()
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _key(self) -> str:
        match = _BARE.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
            return match[0]
        raw = self._string()
        return raw[1:-1] if raw.startswith("'") else _ESCAPE.sub(_unescape, raw[1:-1])

    def _value(self, path: Path) -> None:
        character = self._text[self._at]
        start = self._at
        if character == "[":
            self._array(path)
        elif character == "{":
            self._inline(path)
        else:
            if character in "\"'":
                self._string()
            else:
                match = _SCALAR.match(self._text, self._at)
                self._at = self._at + 1 if match is None else match.end()
            self.values.append(Span(path, start, self._at))

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip()
            if self._text[self._at] == "]":
                self._at += 1
                return
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self.keys[(*path, index)] = self._at
            self._value((*path, index))
            index += 1

    def _inline(self, path: Path) -> None:
        start = self._at
        self._at += 1
        while True:
            self._skip()
            if self._text[self._at] == "}":
                self._at += 1
                self.inlines[path] = (start, self._at)
                return
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._pair(path)

    def _string(self) -> str:
        form = next((form for quote, form in _STRINGS if self._text.startswith(quote, self._at)), None)
        match = None if form is None else form.match(self._text, self._at)
        if match is None:
            raise _OpenStringError
        self._at = match.end()
        return match[0]

    def _skip(self) -> None:
        match = _SKIP.match(self._text, self._at)
        if match is not None and match.end() > self._at:
            self.comments += [found.span() for found in _COMMENT.finditer(self._text, self._at, match.end())]
            self._at = match.end()

    def _blank(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = self._at if match is None else match.end()


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    return _ESCAPED[code] if code in _ESCAPED else chr(int(code[1:], 16))
