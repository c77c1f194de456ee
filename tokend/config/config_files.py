"""Configuration files, each read whole and parsed.

A `Document` knows the line and column of each of its keys and values.
"""

import os
import time
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokend.config.excerpt import excerpt
from tokend.config.fields import Visibility, is_no_secret, is_visible
from tokend.config.findings import ConfigProblem, Findings
from tokend.config.model import Config, digest_of
from tokend.config.toml_messages import Vocabulary, syntax_problem
from tokend.files import read_whole
from tokend.plugin import toml_positions

if TYPE_CHECKING:
    from tokend.config.vendor_defaults import Defaults

# Ten thousand providers need about 2 MiB. A file is held in memory several times while it is parsed.
LARGEST_BYTES = 16 * 1024 * 1024
READ_TRIES = 5
# Pause between two reads of a changed file: a writer that truncates and writes needs microseconds.
AGAIN_SECONDS = 0.02
OTHERS_CAN_READ = 0o007
# Deepest nesting. A configuration has five levels; a thousand would overflow the stack of a recursive function.
DEEPEST = 32


@dataclass
class Document:
    """One parsed file: its text and its values. The positions of the values are computed at the first use."""

    path: Path
    text: str
    values: dict[str, Any] = field(repr=False)
    readable_by_others: bool = False
    digest: bytes = b""
    # Of the providers with a vendor, by name: what their tables have from its file.
    defaults: dict[str, "Defaults"] = field(default_factory=dict, repr=False)

    def problem(
        self,
        path: toml_positions.Path,
        message: str,
        *,
        visibility: Visibility = Visibility.HIDDEN,
        code: str = "config",
    ) -> ConfigProblem:
        """Return a problem at the position of ``path``, or of its nearest parent that has a known position.

        A key that a vendor's file gave is at the user's ``vendor``; the message names the file and the key there.
        """
        place = path
        if (defaults := self._defaults_of(path)) is not None and not defaults.is_written(path[2:]):
            place, visibility = (*path[:2], "vendor"), Visibility.PUBLIC
            if (key := defaults.origin(path[2:])) is not None:
                message = f"{message} (from {defaults.file}: {key})"
        offset = self._offset(place)
        number = bisect_right(self._lines, offset)
        start = self._lines[number - 1]
        end = self._lines[number] if number < len(self._lines) else len(self.text)

        def is_shown_here(value: toml_positions.Path) -> bool:
            return is_visible(value, place, visibility) and is_no_secret(value, self.values)

        shown, caret = excerpt(self.text, (start, end), offset, self._layout, is_shown_here)
        column = offset - start + 1
        return ConfigProblem(str(self.path), number, column, one_line(message), shown, caret, tuple(path), code)

    def line(self, path: toml_positions.Path) -> int:
        """Return the number of the line that contains ``path``, from 1."""
        return bisect_right(self._lines, self._offset(path))

    def is_unjudged(self, path: toml_positions.Path) -> bool:
        """Return whether an error at ``path`` only follows from what a vendor needs and is missing."""
        defaults = self._defaults_of(path)
        return defaults is not None and defaults.is_unjudged(path[2:])

    def is_default(self, path: toml_positions.Path) -> bool:
        """Return whether the value at ``path`` is from a vendor's file."""
        defaults = self._defaults_of(path)
        return defaults is not None and defaults.origin(path[2:]) is not None

    def _defaults_of(self, path: toml_positions.Path) -> "Defaults | None":
        return self.defaults.get(str(path[1])) if len(path) > 2 and path[0] == "providers" else None

    def _offset(self, path: toml_positions.Path) -> int:
        keys = self._layout.keys
        return next((keys[path[:end]] for end in range(len(path), 0, -1) if path[:end] in keys), 0)

    @cached_property
    def _layout(self) -> toml_positions.Layout:
        return toml_positions.layout(self.text)

    @cached_property
    def _lines(self) -> list[int]:
        """The offset of the start of each line."""
        return list(accumulate((len(line) + 1 for line in self.text.split("\n")), initial=0))[:-1]


@dataclass(frozen=True, slots=True)
class PlacedSettings:
    """A table's settings, its document, and its path in the document."""

    settings: Any
    document: Document
    path: toml_positions.Path

    def problem(self, key: str, message: str, code: str = "config") -> ConfigProblem:
        """Return a problem at one of the table's keys. The key's value may be shown."""
        return self.document.problem((*self.path, key), message, visibility=Visibility.PUBLIC, code=code)


def one_line(message: str) -> str:
    """Replace every unprintable character: a key can contain line ends and terminal escape sequences."""
    return "".join(c if c.isprintable() else "?" for c in message)


def read_document(
    path: Path, findings: Findings, vocabulary: Callable[[], Vocabulary], *, reloading: bool, included: bool = False
) -> Document | None:
    """Read and parse one file. If that fails, add an error to ``findings`` and return None.

    With ``reloading``, read the file until two reads agree: another program may be writing the file. ``vocabulary`` is
    called only for a syntax error. A start goes on without an ``included`` file that cannot be read.
    """

    def refused(message: str, line: int = 1, column: int = 1) -> None:
        findings.errors.append(ConfigProblem(str(path), line, column, message))

    try:
        raw = _read_until_stable(path) if reloading else _read(path)
        others = bool(path.stat().st_mode & OTHERS_CAN_READ)
    except OSError as error:
        problem = ConfigProblem(str(path), 1, 1, f"this file cannot be read: {error.strerror or error}")
        if included:
            findings.of_this_machine(problem)
        else:
            findings.errors.append(problem)
        return None
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        start = raw.rfind(b"\n", 0, error.start) + 1
        column = len(raw[start : error.start].decode("utf-8")) + 1
        refused("a byte here is not UTF-8", raw.count(b"\n", 0, start) + 1, column)
        return None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        findings.errors.append(syntax_problem(path, text, error, vocabulary()))
        return None
    except (RecursionError, ValueError):
        refused("not acceptable TOML: brackets are nested hundreds deep, or a number has thousands of digits")
        return None
    if not _is_shallow(values):
        refused(f"tables and arrays are nested deeper than {DEEPEST} levels")
        return None
    return Document(path, text, values, others, digest_of(raw))


def check_not_emptied(documents: Iterable[Document], before: Config, findings: Findings) -> None:
    """Report an error for each file that contained providers and is empty now: a half-done write, or an accident."""
    held = {*before.origins.values(), *(before.files[:1] if before.providers else ())}
    for document in documents:
        if not document.values and document.path in held:
            message = (
                "this file had providers and is empty now: not accepted. To remove them all, write [providers] into it"
            )
            findings.errors.append(ConfigProblem(str(document.path), 1, 1, message))


def _read(path: Path) -> bytes:
    """Read a regular file, or /dev/null, which masks one. Raises OSError for anything else, and for a larger file."""
    if os.path.realpath(path) == os.devnull:
        return b""
    return read_whole(path, at_most=LARGEST_BYTES)


def _read_until_stable(path: Path) -> bytes:
    content = _read(path)
    for _ in range(READ_TRIES):
        time.sleep(AGAIN_SECONDS)
        previous, content = content, _read(path)
        if content == previous:
            return content
    raise OSError("it keeps changing while it is read")


def _is_shallow(values: dict[str, Any]) -> bool:
    level: list[Any] = [values]
    for _ in range(DEEPEST):
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return True
    return False
