"""Trust in a path: whether somebody else could change the file there, or put another one in its place.

`trusted` looks at each directory on the way, at both ends of each link, and at the file. It reads no content. Its
answer holds as long as the modes and owners that it saw: users who could not change the path then cannot change it now.
"""

import errno
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from pathlib import Path

from tokend.files import acl
from tokend.files.account_names import group_with_gid, user_with_uid

# As many as the kernel follows (path_resolution(7)).
MOST_LINKS = 40
_WRITE = 2


class Level(IntEnum):
    """How far a path is trusted. A higher level is worse."""

    OK = 0
    DOUBTFUL = 1
    UNSAFE = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Trust:
    """The level of a path, and for the operator the reason of the worst finding: what, whose, what to do."""

    level: Level
    reason: str = ""


class UntrustedError(OSError):
    """A path is unsafe: somebody else decides what tokend would read there. Nothing was read."""


def trusted(path: str | Path, *, foreign: Level = Level.DOUBTFUL) -> Trust:
    """Judge ``path``, which need not exist: then the way to it is judged.

    ``foreign`` is the level of a file or directory whose owner is neither root nor the user of this process. Unsafe is
    a file or directory that every user may write; a sticky directory is not, if what the path has in it belongs to root
    or to us. Doubtful is one that a group may write, other than root's group and the owner's primary one. Within
    `strict_paths` doubtful is unsafe. Raises OSError where the path cannot be looked at.
    """
    judging = _judging.get()
    if judging is None:
        return _judge(path, foreign, _always_strict)
    # A secret is judged before it is read, and by the reading.
    if (known := judging.files.get((str(path), foreign))) is None:
        strict = _always_strict if judging.strict is None else judging.strict
        known = judging.files[str(path), foreign] = _judge(path, foreign, strict)
    return known


def _judge(path: str | Path, foreign: Level, strict: bool) -> Trust:
    walked = _walk(str(Path(path).absolute()), MOST_LINKS)
    findings = [*walked.findings, *_of_end(walked)]
    worst = max(findings, key=lambda one: one.level_if(foreign), default=None)
    level = Level.OK if worst is None else worst.level_if(foreign)
    if worst is None or level is Level.OK:
        return _OK
    return Trust(Level.UNSAFE if strict else level, worst.reason)


def require_safe(path: str | Path, *, foreign: Level = Level.DOUBTFUL) -> None:
    """Raise `UntrustedError`, with the reason, if ``path`` is unsafe. Raises OSError as `trusted` does."""
    try:
        found = trusted(path, foreign=foreign)
    except OSError as error:
        raise type(error)(error.errno, f"{error.strerror} (lstat)", error.filename or str(path)) from None
    if found.level is Level.UNSAFE:
        raise UntrustedError(errno.EPERM, found.reason, str(path))


def be_strict(strict: bool) -> None:
    """Take doubtful paths for unsafe ones from now on, in this whole process: ``[daemon] strict_paths``."""
    global _always_strict
    _always_strict = strict


@contextmanager
def judged_once(*, strict: bool | None = None) -> Iterator[None]:
    """Have `trusted` look at each path once in this block; for this thread or task only.

    ``strict`` overrides `be_strict` within the block.
    """
    token = _judging.set(_Judging(strict))
    try:
        yield
    finally:
        _judging.reset(token)


_always_strict = False


@dataclass(frozen=True, slots=True)
class _Finding:
    """Something wrong with one component. ``level`` is None where it is that the owner is a stranger."""

    level: Level | None
    reason: str

    def level_if(self, foreign: Level) -> Level:
        return foreign if self.level is None else self.level


@dataclass(frozen=True, slots=True)
class _Walked:
    """The end of a walk: the real path, its status (None: nothing is there), and the findings on the way."""

    place: str
    status: os.stat_result | None
    findings: tuple[_Finding, ...]


@dataclass(slots=True)
class _Judging:
    strict: bool | None
    directories: dict[str, _Walked] = field(default_factory=dict)
    files: dict[tuple[str, Level], Trust] = field(default_factory=dict)


_OK = Trust(Level.OK)
_judging: ContextVar[_Judging | None] = ContextVar("_judging", default=None)


def _walk(path: str, links_left: int) -> _Walked:
    """Walk along an absolute path, through its links, to the end."""
    parent, name = os.path.split(path)
    if not name:
        return _Walked("/", os.stat("/"), ()) if parent == path else _walk(parent, links_left)
    above = _directory(parent, links_left)
    if above.status is None:
        return _Walked(f"{above.place}/{name}", None, above.findings)
    if name in {".", ".."}:
        return above if name == "." else _directory(os.path.dirname(above.place), links_left)
    here = f"{above.place.rstrip('/')}/{name}"
    try:
        found = os.lstat(here)
    except (FileNotFoundError, NotADirectoryError):
        return _Walked(here, None, (*above.findings, *_of_directory(above.place, above.status, None)))
    findings = (*above.findings, *_of_directory(above.place, above.status, found))
    if not stat.S_ISLNK(found.st_mode):
        return _Walked(here, found, findings)
    if not links_left:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    end = _walk(os.path.join(above.place, os.readlink(here)), links_left - 1)
    return _Walked(end.place, end.status, (*findings, *end.findings))


def _directory(path: str, links_left: int) -> _Walked:
    judging = _judging.get()
    if judging is None:
        return _walk(path, links_left)
    if (known := judging.directories.get(path)) is None:
        known = judging.directories[path] = _walk(path, links_left)
    return known


def _of_directory(path: str, status: os.stat_result, entry: os.stat_result | None) -> Iterator[_Finding]:
    """Judge a directory as the place of ``entry``; None: nothing is there yet."""
    yield from _of_owner(path, status)
    if not status.st_mode & stat.S_ISVTX or (entry is not None and not _is_ours(entry.st_uid)):
        yield from _of_mode(path, status)


def _of_end(walked: _Walked) -> Iterator[_Finding]:
    """Judge what is at the end of the path. Devices are not judged: everybody may write to /dev/null."""
    status = walked.status
    if status is None or stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        yield from _of_directory(walked.place, status, None)
        return
    yield from _of_owner(walked.place, status)
    yield from _of_mode(walked.place, status)


def _of_owner(path: str, status: os.stat_result) -> Iterator[_Finding]:
    if not _is_ours(status.st_uid):
        me = "root" if os.geteuid() == 0 else f"root or {_user(os.geteuid())}"
        yield _Finding(None, f"{path} belongs to {_user(status.st_uid)}: it should belong to {me}")


def _of_mode(path: str, status: os.stat_result) -> Iterator[_Finding]:
    mode = stat.S_IMODE(status.st_mode)
    if mode & stat.S_IWOTH:
        yield _Finding(Level.UNSAFE, f"every user may write to {path} (mode {mode:04o}): chmod o-w {path}")
    if mode & stat.S_IWGRP:
        for who in _writers(path, status):
            yield _Finding(Level.DOUBTFUL, f"{who} may write to {path} (mode {mode:04o}): chmod g-w {path}")


def _writers(path: str, status: os.stat_result) -> Iterator[str]:
    """Name the groups and, where the file has an ACL, the users that the group's write permission stands for."""
    entries = _acl(path)
    mask = next((allowed for tag, allowed, _ in entries if tag == acl.MASK), 7)
    others = [(tag, number) for tag, allowed, number in entries if allowed & mask & _WRITE]
    if not entries or any(tag == acl.GROUP_OBJ for tag, _ in others):
        others.append((acl.GROUP, status.st_gid))
    for tag, number in others:
        if tag == acl.USER and not _is_ours(number) and number != status.st_uid:
            yield _user(number)
        elif tag == acl.GROUP and number not in {0, _primary_group(status.st_uid)}:
            yield f"group {_group(number)}"


def _acl(path: str) -> list[acl.Entry]:
    """Return the entries of a POSIX ACL. Empty without an ACL."""
    with suppress(OSError, ValueError):
        return acl.entries_of(os.getxattr(path, acl.ACL, follow_symlinks=False))
    return []


def _is_ours(uid: int) -> bool:
    return uid in {0, os.geteuid()} or (uid == _unmapped_uid())


def _unmapped_uid() -> int | None:
    """Return the uid that stands for root where root has no number here; None outside of such a user namespace.

    Below `unshare -r`, `bwrap` or a user unit with a sandbox, /, /etc and /home belong to the overflow uid
    (user_namespaces(7)). Strangers have the same number there, and cannot be told apart.
    """
    try:
        lines = Path("/proc/self/uid_map").read_text().split("\n")
        if sum(int(line.split()[2]) for line in lines if line) >= 2**32 - 1:
            return None
        return int(Path("/proc/sys/kernel/overflowuid").read_text())
    except (OSError, ValueError, IndexError):
        return None


def _primary_group(uid: int) -> int | None:
    known = _group_in_database(uid)
    return os.getegid() if known is None and uid == os.geteuid() else known


# A directory service may need seconds for an answer, and a secret is read at each use: the answers are kept.
@lru_cache(maxsize=256)
def _group_in_database(uid: int) -> int | None:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return None


_user = lru_cache(maxsize=256)(user_with_uid)
_group = lru_cache(maxsize=256)(group_with_gid)
