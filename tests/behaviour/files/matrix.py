"""Errors that a system call can meet in a filesystem, and the content of directories, for the matrix of both."""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.files.victims import Point
from tests.faults.needs import when_asked_for

# docs/promises.md 39-61. What a disk, a network filesystem or the kernel's own limits can answer to each call.
_REACHED = "EACCES EIO ELOOP ENOENT ENOTDIR ESTALE ENOMEM EINTR"
_REACHED_OPEN = "EIO ESTALE"
_CHANGED = "EACCES EPERM EROFS EIO ENOSPC EDQUOT ESTALE ENOMEM EINTR"
_DATA = "EIO ENOSPC EDQUOT EINTR ESTALE"
ERRORS = {
    "newfstatat": _REACHED,
    "openat": f"{_REACHED} EPERM EROFS ENOSPC EDQUOT EMFILE ENFILE EBUSY ETXTBSY",
    "mkdir": _CHANGED,
    "mkdirat": f"{_CHANGED} EEXIST EMLINK",
    "symlinkat": f"{_CHANGED} EEXIST",
    "readlinkat": _REACHED,
    "read": "EIO EINTR ESTALE",
    "pread64": "EIO EINTR ESTALE",
    "getdents64": "EIO ESTALE ENOMEM",
    "readlink": _REACHED,
    "lgetxattr": "EIO EACCES EOPNOTSUPP",
    "fgetxattr": "EIO EACCES EOPNOTSUPP",
    "fremovexattr": "EIO EPERM EROFS EOPNOTSUPP ENODATA",
    "fsetxattr": "EIO EPERM EROFS EOPNOTSUPP ENOSPC EDQUOT",
    "fchmod": "EIO EPERM EROFS EINTR",
    "chmod": "EIO EPERM EROFS EACCES EINTR",
    "fchown": "EIO EPERM EROFS EDQUOT EINTR",
    "write": f"{_DATA} EFBIG EPERM EAGAIN",
    "pwrite64": f"{_DATA} EFBIG EPERM EAGAIN",
    "ftruncate": "EIO EINTR EPERM EROFS ETXTBSY",
    "fsync": f"{_DATA} EROFS",
    "fallocate": f"{_DATA} EFBIG EPERM EOPNOTSUPP",
    "fcntl": "EMFILE",
    "flock": "EINTR ENOLCK EAGAIN",
    "rename": f"{_CHANGED} EXDEV EBUSY ENOENT EISDIR ENOTDIR EMLINK",
    "renameat": f"{_CHANGED} EXDEV EBUSY ENOENT EISDIR ENOTDIR EMLINK",
    "unlink": f"{_CHANGED} EBUSY ENOENT",
    "unlinkat": f"{_CHANGED} EBUSY ENOENT",
    "faccessat2": f"{_REACHED} EROFS",
    "fstatfs": "EIO EINTR ESTALE",
    "close": "EIO EDQUOT ENOSPC EINTR",
    # These two ask the descriptor, not the filesystem.
    "lseek": "",
    "ioctl": "",
}
TEMPORARY = re.compile(r"\..*\.tokend-[0-9a-f]{8}", re.DOTALL)

Tree = dict[str, tuple[object, ...]]


def by_default(every: Iterable[str], *chosen: str) -> list[Any]:
    """Parameters of a test that takes a minute or two for all: these always, the others when they are asked for."""
    return [name if name in chosen else pytest.param(name, marks=when_asked_for) for name in every]


def touching(points: list[Point], directory: Path) -> list[Point]:
    """The calls that name the directory, or hold something in it open; each must be one that `ERRORS` knows."""
    found = [point for point in points if str(directory) in point.line]
    unknown = {point.name for point in found} - set(ERRORS)
    assert not unknown, f"what errors can these calls meet? {unknown}"
    return found


def errors(point: Point, *, thin: bool = False) -> Iterator[str]:
    """The errors that a call can meet; ``thin``: one of them, another at each call."""
    # Of a descriptor that is open there is less to go wrong.
    every = (_REACHED_OPEN if "AT_EMPTY_PATH" in point.line else ERRORS[point.name]).split()
    if point.name == "fcntl" and "F_DUPFD" not in point.line:
        return
    if thin and every:
        every = [every[point.number % len(every)]]
    yield from every


def tree(directory: Path) -> Tree:
    """All that stands in a directory: what it is, its mode, owner, ACL, content."""
    return {str(path.relative_to(directory)): _entry(path) for path in sorted(directory.rglob("*"))}


def without_temporaries(held: Tree) -> Tree:
    """A tree as the next start's sweep must leave it."""
    return {name: entry for name, entry in held.items() if not TEMPORARY.fullmatch(Path(name).name)}


def _entry(path: Path) -> tuple[object, ...]:
    found = path.lstat()
    content: object = None
    if stat.S_ISLNK(found.st_mode):
        content = str(path.readlink())
    elif stat.S_ISREG(found.st_mode):
        content = path.read_bytes()
    acl = "system.posix_acl_access" in os.listxattr(path, follow_symlinks=False)
    return (oct(found.st_mode), found.st_uid, found.st_gid, acl, content)
