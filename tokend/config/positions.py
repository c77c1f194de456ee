"""Where in a TOML document each key and value stands. `tomllib` gives values without places.

Only for documents that tomllib has accepted, and only when there is something to report: the scanner trusts the
syntax. Paths are tuples of keys and list indices, as in the parsed value.
"""

import re
from dataclasses import dataclass

Path = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SKIP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_STRINGS = (
    re.compile(r'"""(?:\\.|[^\\])*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:\\.|[^"\\\n])*"'),
    re.compile(r"'[^'\n]*'"),
)
_SCALAR = re.compile(r"[^,\]}\r\n#]+")
_ESCAPE = re.compile(r'\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[btnfre"\\])')
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b", '"': '"', "\\": "\\"}


@dataclass(frozen=True, slots=True)
class Place:
    """A key's place: line and column, counted from 1."""

    line: int
    column: int


def positions(text: str) -> dict[Path, Place]:
    """Map each path to the place of its key (of its value, for items of arrays; of its header, for tables)."""
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[Path, Place] = {}
        self._counts: dict[Path, int] = {}

    def scan(self) -> dict[Path, Place]:
        table: Path = ()
        while True:
            self._skip()
            if self._at >= len(self._text):
                return self._found
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        array = self._text.startswith("[[", self._at)
        place = self._place()
        self._at += 2 if array else 1
        keys = self._keys()
        self._at += 2 if array else 1
        path: Path = (*self._inside(keys[:-1]), keys[-1])
        if array:
            index = self._counts[path] = self._counts.get(path, -1) + 1
            self._found.setdefault(path, place)
            path += (index,)
        elif path in self._counts:
            path += (self._counts[path],)
        self._found.setdefault(path, place)
        for end in range(1, len(path)):
            self._found.setdefault(path[:end], place)
        return path

    def _inside(self, keys: list[str]) -> Path:
        """A header's path through arrays of tables goes into their last element."""
        path: Path = ()
        for key in keys:
            path += (key,)
            if path in self._counts:
                path += (self._counts[path],)
        return path

    def _pair(self, table: Path) -> None:
        place = self._place()
        path = table + tuple(self._keys())
        for end in range(len(table) + 1, len(path) + 1):
            self._found.setdefault(path[:end], place)
        self._at += 1  # the equals sign
        self._blank()
        self._value(path)

    def _keys(self) -> list[str]:
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
        if character in "\"'":
            self._string()
        elif character == "[":
            self._array(path)
        elif character == "{":
            self._inline(path)
        else:
            match = _SCALAR.match(self._text, self._at)
            self._at = self._at + 1 if match is None else match.end()

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
            self._found[(*path, index)] = self._place()
            self._value((*path, index))
            index += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        while True:
            self._skip()
            if self._text[self._at] == "}":
                self._at += 1
                return
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._pair(path)

    def _string(self) -> str:
        for form in _STRINGS:
            if (match := form.match(self._text, self._at)) is not None:
                self._at = match.end()
                return match[0]
        raise AssertionError("tomllib accepted a document with an open string")

    def _skip(self) -> None:
        match = _SKIP.match(self._text, self._at)
        self._at = self._at if match is None else match.end()

    def _blank(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = self._at if match is None else match.end()

    def _place(self) -> Place:
        start = self._text.rfind("\n", 0, self._at) + 1
        return Place(self._text.count("\n", 0, self._at) + 1, self._at - start + 1)


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    return _ESCAPED[code] if code in _ESCAPED else chr(int(code[1:], 16))
