"""Observation of files that others may change: a stamp that changes with the file, and its content and owner.

Nothing here changes a file, or raises because one is not there.
"""

import errno
import os
import stat
from pathlib import Path
from typing import NamedTuple

from tokend.files.descriptors import with_reserve
from tokend.files.ownership import Ownership
from tokend.files.reading import Version, directory_of, inspect, read_at, version_by
from tokend.files.symlinks import RefusedError, Symlink, resolve

# Permission bits that let somebody else write.
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Stamp(NamedTuple):
    """What stat(2) says about a file. Another file, content, owner or mode changes at least one of these.

    A writer can set ``modified`` back, but not ``changed``. ``inode`` is 0 for a file that is not there; then
    ``device`` is the inode of its directory, so that a directory that comes back is noticed.
    """

    device: int
    inode: int
    size: int
    modified: int
    changed: int
    mode: int
    uid: int
    gid: int

    @property
    def ownership(self) -> Ownership | None:
        """Owner, group and mode; None if the file was not there."""
        return Ownership(stat.S_IMODE(self.mode), self.uid, self.gid) if self.inode else None


def stamp(path: Path) -> Stamp:
    """Return the stamp of the file that ``path`` leads to. Raises nothing."""
    try:
        found = os.stat(path)  # noqa: PTH116  (thousands are looked at: a Path makes it slower)
    except OSError:
        try:
            return Stamp(path.parent.stat().st_ino, 0, 0, 0, 0, 0, 0, 0)
        except OSError:
            return Stamp(0, 0, 0, 0, 0, 0, 0, 0)
    return Stamp(
        found.st_dev,
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_mode,
        found.st_uid,
        found.st_gid,
    )


@with_reserve
def observe(path: Path, *, at_most: int, symlink: Symlink = "refuse") -> Version:
    """Read at most ``at_most`` bytes of a regular file, with its ownership.

    An unreadable file has the content b"". Raises OSError; `RefusedError` for anything but a regular file.
    """

    def read(directory: int, place: Path, _: os.stat_result) -> bytes:
        try:
            return read_at(directory, place, at_most=at_most)
        except PermissionError:
            return b""

    return version_by(read, path, symlink)


@with_reserve
def read_own_file(path: Path, *, at_most: int, symlink: Symlink = "refuse") -> bytes:
    """Read a file that nobody but this user can have written. Raises OSError; `RefusedError` for any other file.

    That is a regular file of this uid with one name, that nobody else may write. The way to it is not judged.
    """
    place = resolve(path, symlink)
    with directory_of(place) as directory:
        found = inspect(directory, place, replace_link=False)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(place))
        if found.st_uid != os.geteuid() or found.st_nlink != 1 or found.st_mode & _OTHERS_WRITE:
            raise RefusedError(errno.EPERM, "somebody else may have written it", str(place))
        if found.st_size > at_most:
            raise RefusedError(errno.EFBIG, f"larger than {at_most} bytes: not read", str(place))
        return read_at(directory, place, at_most=at_most)
