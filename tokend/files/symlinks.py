"""Policy for symbolic links: links are accepted by their owner, and directories are opened without following links.

A stranger's link on the path to a file could send a token anywhere. Functions raise OSError with the path and the call.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Symlink = Literal["refuse", "follow", "replace"]
# As many as the kernel follows (path_resolution(7)).
MOST_LINKS = 40


class RefusedError(OSError):
    """tokend does not write to this target; the target is unchanged."""


@contextmanager
def named(path: Path, call: str) -> Iterator[None]:
    """Add the path and the call to an OSError for the operator. An error with its own message keeps it."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.strerror != os.strerror(error.errno):
            raise
        absolute = isinstance(error.filename, str) and error.filename.startswith("/")
        where = error.filename if absolute else str(path)
        raise type(error)(error.errno, f"{error.strerror} ({call})", where) from None


def resolve(path: Path, symlink: Symlink) -> Path:
    """Return the path of the file to write, by the policy for links; no part of its directory is a link.

    ``refuse``: the file itself must not be a link. ``replace``: a link is replaced by the file. ``follow``: the link's
    target is the file, if every link that leads there, and every directory of those links, belongs to root, to this
    uid or to the target's owner. In all cases links among the parent directories must belong to root or this uid.
    """
    path = path.absolute()
    way = _PathWalk(path, symlink)
    with named(path, "lstat"):
        found = way.walk()
    for culprit, what, uid in way.of_other_owners(None if found is None else found.st_uid):
        raise RefusedError(errno.EPERM, f"{what} {culprit} belongs to uid {uid}: not followed", str(path))
    return way.place


def open_directory(path: Path) -> int:
    """Open a directory that `resolve` gave; a link that took the place of a part of it meanwhile is not followed.

    An error names the part of the path that could not be opened.
    """
    descriptor = _open_part("/", Path("/"), os.O_PATH)
    parts = path.parts[1:]
    for index, part in enumerate(parts or (".",)):
        # Only the last one must be readable (for fsync); the others need search permission only.
        access = os.O_RDONLY if index >= len(parts) - 1 else os.O_PATH
        try:
            inner = _open_part(part, Path("/", *parts[: index + 1]), access, within=descriptor)
        finally:
            with suppress(OSError):  # nothing was written through it: an error here changes nothing
                os.close(descriptor)
        descriptor = inner
    return descriptor


def _open_part(name: str, path: Path, access: int, *, within: int | None = None) -> int:
    with named(path, "open"):
        return os.open(name, access | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)


@dataclass
class _PathWalk:
    """One walk along a path, part by part: the links and directories on it, with their owners."""

    path: Path
    symlink: Symlink
    place: Path = Path("/")
    links: list[tuple[Path, int, bool]] = field(default_factory=list)  # the link, its owner, whether it is the file's
    directories: dict[Path, int] = field(default_factory=dict)
    judged: int = 0  # the number of directories that lead to a link in the file's own place

    def walk(self) -> os.stat_result | None:
        """Walk to the end; returns the status of the file there, None if there is none."""
        pending = list(reversed(self.path.parts[1:]))
        while pending:
            part = pending.pop()
            if part == "..":
                self.place = self.place.parent
                continue
            here = self.place / part
            try:
                found = os.lstat(here)
            except FileNotFoundError:
                if pending:
                    raise FileNotFoundError(errno.ENOENT, f"{here} does not exist", str(self.path)) from None
                self.place = here
                return None
            if not stat.S_ISLNK(found.st_mode) or (not pending and self.symlink == "replace"):
                self._enter(here, found, last=not pending)
                if not pending:
                    return found
            else:
                pending += self._follow(here, found, last=not pending)
        return os.lstat(self.place)

    def of_other_owners(self, target_uid: int | None) -> Iterator[tuple[Path, str, int]]:
        """List the links and directories of owners who must not decide where the token goes."""
        ours = {0, os.geteuid()}
        following = ours | ({target_uid} if target_uid is not None and self.symlink == "follow" else set())
        for link, uid, last in self.links:
            if uid not in following:
                yield link, "the link" if last else "its parent, the link", uid
        for directory, uid in list(self.directories.items())[: self.judged]:
            if uid not in following:
                yield directory, "the link's directory", uid

    def _enter(self, here: Path, found: os.stat_result, *, last: bool) -> None:
        self.place = here
        if not last:
            self.directories.setdefault(here, found.st_uid)

    def _follow(self, here: Path, found: os.stat_result, *, last: bool) -> list[str]:
        if last and self.symlink == "refuse":
            raise RefusedError(
                errno.ELOOP, 'it is a symbolic link: name the file itself, or set symlink = "follow"', str(self.path)
            )
        if len(self.links) == MOST_LINKS:
            raise RefusedError(errno.ELOOP, "its links go round in a circle", str(self.path))
        self.links.append((here, found.st_uid, last))
        if last:
            self.judged = len(self.directories)
        with named(here, "readlink"):
            target = Path(os.readlink(here))  # noqa: PTH115  (a path of bytes that are not UTF-8 must survive)
        if target.is_absolute():
            self.place = Path("/")
        return list(reversed(target.parts[target.is_absolute() :]))
