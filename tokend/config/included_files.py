"""Included files: which files the patterns of ``include`` match, and what a reload must not lose.

Wildcards are matched here and not by `pathlib`: that matches names with a leading dot, silently skips directories that
cannot be listed, and does not do the same in all versions of Python.
"""

import errno
import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tokend.config.config_files import Document, read_document
from tokend.config.fields import Visibility
from tokend.config.findings import ConfigProblem, Findings
from tokend.config.model import Config
from tokend.config.toml_messages import Vocabulary

# File names that a pattern may include; a leading dot only if the pattern spells it. Like cron and run-parts, tokend
# skips editors' backups and the leftovers of package managers.
INCLUDED_NAME = re.compile(r"\.?[A-Za-z0-9_][A-Za-z0-9._-]*\.toml", re.ASCII)
_BACKUP = re.compile(r".*~|#.*#|\.#.*", re.DOTALL)
_WILDCARD = re.compile(r"[*?\[]")
NOT_REGULAR = "it is no regular file"
WAYS_OUT = "Delete the pattern, leave an empty file that it matches, or restart tokend"


@dataclass(frozen=True, slots=True)
class Included:
    """The files of all patterns.

    ``directories`` can contain matches and are watched. ``present`` has the patterns whose directory exists and
    ``matched`` those that match a file.
    """

    documents: list[Document] = field(default_factory=list)
    directories: tuple[Path, ...] = ()
    present: frozenset[str] = frozenset()
    matched: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One pattern: its place in the main file, the directory before its first wildcard, its parts with wildcards."""

    text: str
    index: int
    directory: Path
    parts: tuple[str, ...]


def read_included(
    main: Document,
    findings: Findings,
    vocabulary: Callable[[], Vocabulary],
    *,
    before: Config | None,
) -> Included:
    """Read the files that ``include`` names. Errors are added to ``findings``.

    The files of one pattern are in sorted order, and no file is read twice. ``before`` is the configuration in force
    at a reload: a pattern that matched a file in it and matches none now is an error, and one whose directory is gone.
    """
    patterns = main.values.get("include", [])
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        message = 'include is an array of patterns: ["conf.d/*.toml"]'
        findings.errors.append(main.problem(("include",), message, visibility=Visibility.PUBLIC))
        return Included()
    reading = _Reading(main, findings, vocabulary, before)
    for index, text in enumerate(patterns):
        reading.read_pattern(text, index)
    return Included(
        reading.documents,
        tuple(dict.fromkeys(reading.directories)),
        frozenset(reading.present),
        frozenset(reading.matched),
    )


class _Reading:
    """One reading of all included files."""

    def __init__(
        self, main: Document, findings: Findings, vocabulary: Callable[[], Vocabulary], before: Config | None
    ) -> None:
        self._main = main
        self._findings = findings
        self._vocabulary = vocabulary
        self._before = before
        self._seen = {main.path.resolve()}
        self.documents: list[Document] = []
        self.directories: list[Path] = []
        self.present: set[str] = set()
        self.matched: set[str] = set()

    def read_pattern(self, text: str, index: int) -> None:
        """Read the files of one pattern."""
        try:
            pattern = _parsed(self._main.path.parent, text, index)
        except ValueError:
            self._findings.errors.append(self._problem(index, f'include: "{text}": this is no pattern of file names'))
            return
        self.directories.append(pattern.directory)
        if not pattern.parts:
            self._read_named(pattern)
            return
        try:
            exists, paths = _matches(pattern)
        except OSError as error:
            where = "" if error.filename is None else f"{error.filename}: "
            message = f'include: "{text}": {where}{error.strerror or error}'
            self._findings.of_this_machine(self._problem(index, message))
            return
        self.directories += [path.parent for path in paths]
        if exists:
            self.present.add(text)
        for path in paths:
            if self._is_config(path, pattern):
                self.matched.add(text)
        self._report_lost(pattern)

    def _read_named(self, pattern: _Pattern) -> None:
        """Read the file that a pattern without wildcards names. It must exist."""
        path = self._main.path.parent / pattern.text
        if path.is_dir():
            message = f'include: "{pattern.text}": this is a directory: name its files, as in DIRECTORY/*.toml'
            self._findings.errors.append(self._problem(pattern.index, message))
        elif (fault := _fault(path)) is not None:
            had = self._before is not None and pattern.text in self._before.include_matched
            message = f'include: "{pattern.text}": {fault}' + (f". {WAYS_OUT}" if had else "")
            self._findings.of_this_machine(self._problem(pattern.index, message))
        else:
            self.matched.add(pattern.text)
            self._read(path)

    def _is_config(self, path: Path, pattern: _Pattern) -> bool:
        """Read a file that a wildcard matches, and return True; return False if it is left out."""
        if not INCLUDED_NAME.fullmatch(path.name):
            if not _BACKUP.fullmatch(path.name) and not path.is_dir():
                self._left_out(path, pattern, 'included files are named like "name.toml"')
            return False
        fault = _fault(path)
        if fault == NOT_REGULAR:
            if not path.is_dir():
                self._left_out(path, pattern, fault)
            return False
        if fault is not None:
            self._findings.of_this_machine(ConfigProblem(str(path), 1, 1, f"this file cannot be read: {fault}"))
        else:
            self._read(path)
        return True

    def _read(self, path: Path) -> None:
        if path.resolve() in self._seen:
            return
        self._seen.add(path.resolve())
        document = read_document(
            path, self._findings, self._vocabulary, reloading=self._before is not None, included=True
        )
        if document is None:
            return
        for key in ("include", "daemon", "sockets"):
            if key in document.values:
                message = f"{key} belongs into the main file {self._main.path}: included files hold providers only"
                self._findings.errors.append(document.problem((key,), message))
        self.documents.append(document)

    def _report_lost(self, pattern: _Pattern) -> None:
        """Report a pattern without a match: an error if files would be lost by a reload, else a warning."""
        text, before = pattern.text, self._before
        if text not in self.present:
            lost = before is not None and text in before.include_present
            place = f"directory {pattern.directory}"
            what = f"the {place} is gone" if lost else f"there is no {place} on this machine"
        elif text not in self.matched:
            lost = before is not None and text in before.include_matched
            what = "it matched files before and matches none now" if lost else "it matches no file"
        else:
            return
        problem = self._problem(pattern.index, f'include: "{text}": {what}' + (f". {WAYS_OUT}" if lost else ""))
        (self._findings.errors if lost else self._findings.warnings).append(problem)

    def _left_out(self, path: Path, pattern: _Pattern, why: str) -> None:
        self._findings.warnings.append(self._problem(pattern.index, f"{path} is left out: {why}"))

    def _problem(self, index: int, message: str) -> ConfigProblem:
        return self._main.problem(("include", index), message, visibility=Visibility.PUBLIC)


def _parsed(base: Path, text: str, index: int) -> _Pattern:
    """Split a pattern at its first part with a wildcard. Raises ValueError if it is invalid."""
    parts = (base / text).parts
    # "**x" means different things in different programs.
    if any("\0" in part or ("**" in part and part != "**") for part in parts):
        raise ValueError("this is no pattern")
    wild = next((number for number, part in enumerate(parts) if _WILDCARD.search(part)), None)
    if wild is None:
        return _Pattern(text, index, (base / text).parent, ())
    return _Pattern(text, index, Path(*parts[:wild]), parts[wild:])


def _matches(pattern: _Pattern) -> tuple[bool, list[Path]]:
    """Return whether the pattern's directory exists, and the paths that match, sorted; links may lead nowhere.

    Raises OSError if a directory cannot be listed: its providers would be lost.
    """
    try:
        next(pattern.directory.iterdir(), None)
    except FileNotFoundError:
        return False, []
    return True, sorted(set(_walk(pattern.directory, pattern.parts)))


def _walk(directory: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    """Yield the paths below ``directory`` that match ``parts``. A path can occur twice."""
    part, rest = parts[0], parts[1:]
    if part == "**":
        if rest:
            yield from _walk(directory, rest)
        for name in _names(directory):
            below = directory / name
            # A link to a directory above would have no end.
            if name[0] != "." and below.is_dir() and not below.is_symlink():
                yield from _walk(below, parts)
        return
    wild = _WILDCARD.search(part) is not None
    for name in _matching_names(directory, part) if wild else (part,):
        if rest:
            yield from _walk(directory / name, rest)
        elif _is_there(directory / name):
            yield directory / name


def _matching_names(directory: Path, part: str) -> list[str]:
    """Return the names that match. As in a shell, only a dot in the pattern matches a dot at the beginning."""
    return [name for name in fnmatch.filter(_names(directory), part) if name[0] != "." or part[0] == "."]


def _names(directory: Path) -> list[str]:
    try:
        return [path.name for path in directory.iterdir()]
    except NotADirectoryError:
        return []
    except FileNotFoundError:
        _check_link(directory)
        return []


def _is_there(path: Path) -> bool:
    """Return whether there is a file or a link at ``path``."""
    try:
        path.lstat()
    except NotADirectoryError:
        return False
    except FileNotFoundError:
        _check_link(path.parent)
        return False
    return True


def _check_link(directory: Path) -> None:
    """Raise OSError if ``directory`` is a link that leads nowhere: a disk may be away for a moment."""
    if directory.is_symlink() and (fault := _fault(directory)) is not None:
        raise FileNotFoundError(errno.ENOENT, fault, str(directory))


def _fault(path: Path) -> str | None:
    """Return why ``path`` cannot be read as a file, or None."""
    try:
        status = path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "its links lead in a circle"
        if error.errno == errno.ENOENT and path.is_symlink():
            return f"it is a link to {path.readlink()}, which does not exist"
        return error.strerror or str(error)
    # `ln -s /dev/null conf.d/partner.toml` masks a file, as in systemd's directories.
    if stat.S_ISREG(status.st_mode) or os.path.realpath(path) == os.devnull:
        return None
    return NOT_REGULAR
