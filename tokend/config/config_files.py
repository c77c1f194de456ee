"""Configuration files: the main file and the files that it includes, each read whole and parsed.

A `Document` knows the line and column of each of its keys and values.
"""

import errno
import re
import stat
import time
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from tokend.config import toml_positions
from tokend.config.excerpt import excerpt
from tokend.config.fields import Visibility, is_no_secret, is_visible
from tokend.config.findings import ConfigProblem, Findings
from tokend.config.model import Config, digest_of
from tokend.config.toml_messages import Vocabulary, syntax_problem

READ_TRIES = 5
# Pause between two reads of a changed file: a writer that truncates and writes needs microseconds.
AGAIN_SECONDS = 0.02
OTHERS_CAN_READ = 0o007
# Deepest nesting. A configuration has five levels; a thousand would overflow the stack of a recursive function.
DEEPEST = 32
# File names that a pattern may include. Like cron and run-parts, tokend skips editors' backups and the leftovers of
# package managers.
INCLUDED_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\.toml", re.ASCII)
_BACKUP = re.compile(r"\..*|.*~|#.*#", re.DOTALL)
_WILDCARD = re.compile(r"[*?\[]")


@dataclass
class Document:
    """One parsed file: its text and its values. The positions of the values are computed at the first use."""

    path: Path
    text: str
    values: dict[str, Any] = field(repr=False)
    readable_by_others: bool = False
    digest: bytes = b""

    def problem(
        self, path: toml_positions.Path, message: str, *, visibility: Visibility = Visibility.HIDDEN
    ) -> ConfigProblem:
        """Return a problem at the position of ``path``, or of its nearest parent that has a known position."""
        offset = self._offset(path)
        number = bisect_right(self._lines, offset)
        start = self._lines[number - 1]
        end = self._lines[number] if number < len(self._lines) else len(self.text)

        def is_shown_here(value: toml_positions.Path) -> bool:
            return is_visible(value, path, visibility) and is_no_secret(value, self.values)

        shown, caret = excerpt(self.text, (start, end), offset, self._layout, is_shown_here)
        return ConfigProblem(str(self.path), number, offset - start + 1, one_line(message), shown, caret)

    def line(self, path: toml_positions.Path) -> int:
        """Return the number of the line that contains ``path``, from 1."""
        return bisect_right(self._lines, self._offset(path))

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


def one_line(message: str) -> str:
    """Replace every unprintable character: a key can contain line ends and terminal escape sequences."""
    return "".join(c if c.isprintable() else "?" for c in message)


def read_document(
    path: Path, findings: Findings, vocabulary: Callable[[], Vocabulary], *, reloading: bool
) -> Document | None:
    """Read and parse one file. If that fails, add an error to ``findings`` and return None.

    With ``reloading``, read the file until two reads agree: another program may be writing the file. ``vocabulary`` is
    called only for a syntax error.
    """

    def refused(message: str, line: int = 1, column: int = 1) -> None:
        findings.errors.append(ConfigProblem(str(path), line, column, message))

    try:
        raw = _read_until_stable(path) if reloading else path.read_bytes()
        others = bool(path.stat().st_mode & OTHERS_CAN_READ)
    except OSError as error:
        refused(f"this file cannot be read: {error.strerror or error}")
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


def read_included(
    main: Document, findings: Findings, vocabulary: Callable[[], Vocabulary], *, reloading: bool
) -> tuple[list[Document], tuple[Path, ...]]:
    """Read the files that ``include`` names. Return the documents and the directories that can contain such files.

    The files of one pattern are in sorted order, and no file is read twice. Errors are added to ``findings``.
    """
    patterns = main.values.get("include", [])
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        message = 'include is an array of patterns: ["conf.d/*.toml"]'
        findings.errors.append(main.problem(("include",), message, visibility=Visibility.PUBLIC))
        return [], ()
    documents, directories, seen = [], [], {main.path.resolve()}
    for index, pattern in enumerate(patterns):
        try:
            fixed, paths = _matches(main.path.parent, pattern)
        except (OSError, ValueError, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or "this is no pattern of file names"
            problem = main.problem(("include", index), f'include: "{pattern}": {reason}', visibility=Visibility.PUBLIC)
            findings.errors.append(problem)
            continue
        directories.append(fixed)
        directories += [path.parent for path in paths]
        for path in paths:
            if _WILDCARD.search(pattern) and not INCLUDED_NAME.fullmatch(path.name):
                if not _BACKUP.fullmatch(path.name):
                    message = f'{path} is left out: included files are named like "name.toml"'
                    findings.warnings.append(main.problem(("include", index), message, visibility=Visibility.PUBLIC))
            elif path.resolve() not in seen:
                seen.add(path.resolve())
                documents.append(_read_one_included(path, main, findings, vocabulary, reloading=reloading))
    return [document for document in documents if document is not None], tuple(dict.fromkeys(directories))


def check_not_emptied(documents: Iterable[Document], before: Config, findings: Findings) -> None:
    """Report an error for each file that contained providers and is empty now: a half-done write, or an accident."""
    held = {*before.origins.values(), *(before.files[:1] if before.providers else ())}
    for document in documents:
        if not document.values and document.path in held:
            message = (
                "this file had providers and is empty now: not accepted. To remove them all, write [providers] into it"
            )
            findings.errors.append(ConfigProblem(str(document.path), 1, 1, message))


def _read_one_included(
    path: Path, main: Document, findings: Findings, vocabulary: Callable[[], Vocabulary], *, reloading: bool
) -> Document | None:
    document = read_document(path, findings, vocabulary, reloading=reloading)
    for key in ("include", "daemon", "sockets") if document is not None else ():
        if document is not None and key in document.values:
            message = f"{key} belongs into the main file {main.path}: included files hold providers only"
            findings.errors.append(document.problem((key,), message))
    return document


def _matches(base: Path, pattern: str) -> tuple[Path, list[Path]]:
    """Return the directory in which matches can appear, and the matching files, sorted.

    A pattern without a wildcard names one file. Raises OSError if that file does not exist or is a directory, or if a
    directory cannot be listed; ValueError if the pattern is invalid.
    """
    parts = (base / pattern).parts
    # Versions of Python disagree on the meaning of "**x": refuse it in all of them.
    if any("\0" in part or ("**" in part and part != "**") for part in parts):
        raise ValueError("this is no pattern")
    wild = next((number for number, part in enumerate(parts) if _WILDCARD.search(part)), None)
    if wild is None:
        if stat.S_ISDIR((base / pattern).stat().st_mode):
            raise IsADirectoryError(errno.EISDIR, "this is a directory: name its files, as in DIRECTORY/*.toml")
        return (base / pattern).parent, [base / pattern]
    fixed = Path(*parts[:wild])
    if fixed.exists():
        # glob silently skips a directory that it may not list, and its providers would be lost: fail here instead.
        next(fixed.iterdir(), None)
    found = sorted(fixed.glob(str(Path(*parts[wild:]))))
    return fixed, [path for path in found if stat.S_ISREG(path.stat().st_mode)]


def _read_until_stable(path: Path) -> bytes:
    content = path.read_bytes()
    for _ in range(READ_TRIES):
        time.sleep(AGAIN_SECONDS)
        previous, content = content, path.read_bytes()
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
