"""Reading of files that other programs may replace at any time, through a descriptor of their directory.

Only regular files are opened. Functions raise OSError with the path and the call that failed, as in `writing`.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tokend.files.descriptors import with_reserve
from tokend.files.ownership import Ownership, acl_of
from tokend.files.symlinks import RefusedError, Symlink, named, open_directory, resolve

# An edited file is held in memory, and other users may own it. No real .env file is larger.
LARGEST_EDITED_BYTES = 1024 * 1024


class ChangedError(OSError):
    """Another program changed the file or moved its directory during the operation; its version is unchanged."""


@dataclass(frozen=True, slots=True)
class Version:
    """A file as it was read for an edit: its ``content`` (None: no file) and its ownership."""

    path: Path = field(compare=False)
    symlink: Symlink = field(compare=False)
    content: bytes | None = field(repr=False)
    ownership: Ownership

    def check(self) -> None:
        """Raise `ChangedError` if the file has changed since."""
        if read_version(self.path, symlink=self.symlink) != self:
            raise ChangedError(errno.EAGAIN, "somebody else changed it meanwhile", str(self.path))


@with_reserve
def read_version(path: Path, *, symlink: Symlink = "refuse") -> Version:
    """Read a regular file for an edit. Raises OSError; `RefusedError` for anything but a regular file of that size."""

    def read(directory: int, place: Path, found: os.stat_result) -> bytes:
        if found.st_size > LARGEST_EDITED_BYTES:
            raise RefusedError(errno.EFBIG, f"larger than {LARGEST_EDITED_BYTES} bytes: not edited", str(place))
        content = read_at(directory, place, at_most=LARGEST_EDITED_BYTES + 1)
        if len(content) > LARGEST_EDITED_BYTES:  # it has grown since
            raise ChangedError(errno.EAGAIN, "somebody else changed it meanwhile", str(place))
        return content

    return version_by(read, path, symlink)


def version_by(read: Callable[[int, Path, os.stat_result], bytes], path: Path, symlink: Symlink) -> Version:
    """Return the version of a regular file whose content ``read`` returns, by its directory, place and status.

    Raises OSError; `RefusedError` for anything but a regular file.
    """
    try:
        place = resolve(path, symlink)
    except FileNotFoundError:  # not even its directory
        return Version(path, symlink, None, Ownership())
    with directory_of(place) as directory:
        found = inspect(directory, place, replace_link=symlink == "replace")
        if found is None:
            return Version(path, symlink, None, Ownership())
        # Before the content: what is compared later must not be newer than the content.
        ownership = Ownership.of(found, acl_of(directory, place.name))
        return Version(path, symlink, read(directory, place, found), ownership)


@with_reserve
def read_whole(path: Path, *, at_most: int) -> bytes:
    """Read a regular file; links are followed. Raises OSError; `RefusedError` for anything else or a larger file.

    The open does not wait: a fifo or a device could block for ever.
    """
    return _read(path, at_most=at_most, private=False)


@with_reserve
def read_private(path: Path, *, at_most: int) -> bytes:
    """Read a file that this program wrote. Raises as `read_whole` does; `RefusedError` also for somebody else's file.

    A link is not followed. The file must belong to root or to this user, and other users must not be able to write it.
    """
    return _read(path, at_most=at_most, private=True)


def _read(path: Path, *, at_most: int, private: bool) -> bytes:
    no_follow = os.O_NOFOLLOW if private else 0
    try:
        with named(path, "open"):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | no_follow)
    except OSError as error:
        if private and error.errno == errno.ELOOP and path.is_symlink():
            raise RefusedError(errno.ELOOP, "it is a link: not read", str(path)) from None
        raise
    try:
        with named(path, "read"):
            found = os.fstat(descriptor)
            if private and found.st_uid not in {0, os.geteuid()}:
                raise RefusedError(errno.EPERM, f"it belongs to uid {found.st_uid}: not read", str(path))
            if private and found.st_mode & stat.S_IWOTH:
                raise RefusedError(errno.EPERM, "every user may write to it: not read", str(path))
            if not stat.S_ISREG(found.st_mode):
                raise RefusedError(errno.EINVAL, f"it is {_kind(found.st_mode)}, not a regular file", str(path))
            # Nothing is read of a file that is too large; one that grows meanwhile is read up to the limit.
            content = b""
            if found.st_size <= at_most:
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    content = file.read(at_most + 1)
    finally:
        with suppress(OSError):
            os.close(descriptor)
    if max(len(content), found.st_size) > at_most:
        raise RefusedError(errno.EFBIG, f"larger than {at_most} bytes: not read", str(path))
    return content


@contextmanager
def directory_of(path: Path) -> Iterator[int]:
    """Open the directory of ``path``; yields its descriptor. Raises OSError."""
    descriptor = open_directory(path.parent)
    try:
        yield descriptor
    finally:
        with suppress(OSError):  # nothing was written through it: an error here changes nothing
            os.close(descriptor)


def inspect(directory: int, path: Path, *, replace_link: bool) -> os.stat_result | None:
    """Return the status of the file; None if there is none, or a link that is to be replaced. Does not open it."""
    try:
        with named(path, "lstat"):
            found = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISREG(found.st_mode):
        return found
    if stat.S_ISLNK(found.st_mode) and replace_link:
        return None
    raise RefusedError(errno.EINVAL, f"it is {_kind(found.st_mode)}, not a regular file: left untouched", str(path))


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a socket" if stat.S_ISSOCK(mode) else "a fifo" if stat.S_ISFIFO(mode) else "a device"


def read_at(directory: int, path: Path, *, at_most: int) -> bytes:
    """Read a file by its name in an open directory, at most ``at_most`` bytes. Raises OSError."""
    with named(path, "open"):
        descriptor = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory)
    with named(path, "read"), os.fdopen(descriptor, "rb") as file:
        return file.read(at_most)
