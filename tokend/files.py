"""The one place where files are written: whole or not at all, with the right owner and mode before the first byte.

Temporary dot-file in the same directory, owner and mode, data, fsync, rename, fsync of the directory. Every step goes
through an open descriptor of the directory, so that a directory that was moved away meanwhile is never written into.
Raises OSError (with the path and the call that failed); what that means is for the caller.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MARK = ".tokend-"
# After a failed fsync the kernel may have dropped the dirty pages: the same file must never be synced again.
FSYNC_TRIES = 2
LONGEST_NAME_BYTES = 255
Symlink = Literal["refuse", "follow", "replace"]


ACL = "system.posix_acl_access"


class RefusedError(OSError):
    """Something about the target that tokend will not write over; it is untouched."""


class ChangedError(OSError):
    """Somebody else changed the file between reading and replacing it; their version is untouched."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """What a file shall be: ``mode`` bits, ``uid``, ``gid``, POSIX ``acl``; None leaves what a new file gets."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    acl: bytes | None = None


PRIVATE = Ownership(mode=0o600)


@dataclass(frozen=True, slots=True)
class Edited:
    """What was read before an edit: the file must still hold it, and its mode, owner and ACL are kept."""

    content: bytes
    found: os.stat_result


def replace_private(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path``, 0600 and ours. Raises OSError; the old file is whole then."""
    with _directory(path) as directory:
        _replace(directory, path.name, content, PRIVATE)


def replace_file(
    path: Path, content: bytes, ownership: Ownership, *, symlink: Symlink = "refuse", edited: Edited | None = None
) -> bool:
    """Put ``content`` at ``path`` atomically. False if it is there already, as it shall be.

    With ``edited`` the mode, owner and ACL that ``ownership`` leaves open are those of the file that was read.
    Raises OSError, `RefusedError` or `ChangedError`; the target is as it was then.
    """
    path = resolve(path, symlink)
    with _directory(path) as directory:
        found = _inspect(directory, path, replace_link=symlink == "replace")
        if found is not None and _matches(found, ownership) and _read(directory, path.name) == content:
            return False
        if edited is not None:
            ownership = _keeping(ownership, edited.found, path)
        _replace(directory, path.name, content, ownership, edited=edited)
        return True


def write_in_place(path: Path, content: bytes, *, symlink: Symlink = "refuse") -> bool:
    """Write into the existing file: for single-file bind mounts. Readers may see a torn file; that was chosen."""
    path = resolve(path, symlink)
    with _directory(path) as directory:
        found = _inspect(directory, path, replace_link=False)
        if found is not None and _read(directory, path.name) == content:
            return False
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if found is None else 0)
        with _named(path, "open"):
            descriptor = os.open(path.name, flags, 0o600, dir_fd=directory)
        try:
            with _named(path, "write"):
                _write_all(descriptor, content)
                os.ftruncate(descriptor, len(content))
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return True


def remove_file(path: Path, *, symlink: Symlink = "refuse") -> bool:
    """Unlink a regular file durably. False if there is none."""
    path = resolve(path, symlink)
    with _directory(path) as directory:
        if _inspect(directory, path, replace_link=symlink == "replace") is None:
            return False
        with _named(path, "unlink"):
            os.unlink(path.name, dir_fd=directory)
            os.fsync(directory)
        return True


def read_file(path: Path, *, symlink: Symlink = "refuse") -> tuple[bytes, os.stat_result] | None:
    """The content and the state of a regular file; None if there is none."""
    path = resolve(path, symlink)
    with _directory(path) as directory:
        found = _inspect(directory, path, replace_link=False)
        return None if found is None else (_read(directory, path.name), found)


def probe(path: Path, *, symlink: Symlink = "refuse") -> None:
    """Raise what a write would raise for a reason that can be seen now. Writes nothing."""
    path = resolve(path, symlink)
    with _directory(path) as directory:
        _inspect(directory, path, replace_link=symlink == "replace")
        with _named(path.parent, "access"):
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=directory, effective_ids=True):
                raise PermissionError(errno.EACCES, "the directory is not writable for this daemon")


def sweep(path: Path) -> None:
    """Remove temporaries that a crash left beside ``path``. Only ours, only this target's."""
    with suppress(OSError), _directory(path) as directory:
        for name in os.listdir(directory):  # noqa: PTH208  (the open directory, whatever its path is now)
            if name.startswith(_prefix(path.name)):
                with suppress(OSError):
                    os.unlink(name, dir_fd=directory)


def resolve(path: Path, symlink: Symlink) -> Path:
    """The file that is meant, by the policy for links; the parents are checked as well."""
    _check_parents(path)
    try:
        found = path.lstat()
    except FileNotFoundError:
        return path
    if not stat.S_ISLNK(found.st_mode) or symlink == "replace":
        return path
    if symlink == "refuse":
        raise RefusedError(
            errno.ELOOP, 'it is a symbolic link: name the file itself, or set symlink = "follow"', str(path)
        )
    target = Path(os.path.realpath(path))
    trusted = {0, os.geteuid()}
    with suppress(FileNotFoundError):
        trusted.add(target.stat().st_uid)
    if found.st_uid not in trusted:
        raise RefusedError(errno.EPERM, f"the link belongs to uid {found.st_uid}: not followed", str(path))
    _check_parents(target)
    return target


def _check_parents(path: Path) -> None:
    """A symbolic link on the way that belongs to somebody else could send the token anywhere."""
    trusted = {0, os.geteuid()}
    for parent in path.absolute().parents:
        with suppress(FileNotFoundError):
            found = parent.lstat()
            if stat.S_ISLNK(found.st_mode) and found.st_uid not in trusted:
                raise RefusedError(
                    errno.EPERM, f"its parent {parent} is a link of uid {found.st_uid}: not followed", str(path)
                )


@contextmanager
def _directory(path: Path) -> Iterator[int]:
    with _named(path.parent, "open"):
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _named(path: Path, call: str) -> Iterator[None]:
    """Give an OSError the path and the call that the operator needs."""
    try:
        yield
    except (RefusedError, ChangedError):
        raise
    except OSError as error:
        raise type(error)(error.errno, f"{error.strerror} ({call})", str(path)) from None


def _inspect(directory: int, path: Path, *, replace_link: bool) -> os.stat_result | None:
    """What stands at the name; None if nothing, or a link that is to be replaced. Never opens it."""
    try:
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


def _matches(found: os.stat_result, ownership: Ownership) -> bool:
    return (
        ownership.mode in (None, stat.S_IMODE(found.st_mode))
        and ownership.uid in (None, found.st_uid)
        and ownership.gid in (None, found.st_gid)
        # A hard link is another name's content too.
        and found.st_nlink == 1
    )


def _read(directory: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _keeping(ownership: Ownership, found: os.stat_result, path: Path) -> Ownership:
    """Fill what ``ownership`` leaves open from the file that is there."""
    acl = None
    if ownership.mode is None:
        with suppress(OSError):  # no ACL, or a filesystem without them
            acl = os.getxattr(path, ACL)
    ours = (os.geteuid(), os.getegid())
    uid = found.st_uid if ownership.uid is None else ownership.uid
    gid = found.st_gid if ownership.gid is None else ownership.gid
    return Ownership(
        mode=stat.S_IMODE(found.st_mode) if ownership.mode is None else ownership.mode,
        # Changing nothing needs no permission; it must not ask for one.
        uid=None if ownership.uid is None and uid == ours[0] else uid,
        gid=None if ownership.gid is None and gid == ours[1] else gid,
        acl=acl,
    )


def _replace(directory: int, name: str, content: bytes, ownership: Ownership, *, edited: Edited | None = None) -> None:
    for attempt in range(1, FSYNC_TRIES + 1):
        temporary = _temporary_name(name)
        try:
            _write_temporary(directory, temporary, content, ownership)
            if edited is not None and _read(directory, name) != edited.content:
                raise ChangedError(errno.EAGAIN, "it changed meanwhile", name)
            with _named(Path(name), "rename"):
                os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            with _named(Path(name), "fsync of the directory"):
                os.fsync(directory)
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=directory)
            if error.errno != errno.EIO or attempt == FSYNC_TRIES:
                raise
        else:
            return


def _write_temporary(directory: int, name: str, content: bytes, ownership: Ownership) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with _named(Path(name), "open"):
        descriptor = os.open(name, flags, 0o600, dir_fd=directory)
    try:
        if ownership.uid is not None or ownership.gid is not None:
            with _named(Path(name), "chown"):
                os.fchown(descriptor, -1 if ownership.uid is None else ownership.uid,
                          -1 if ownership.gid is None else ownership.gid)  # fmt: skip
        with _named(Path(name), "chmod"):
            os.fchmod(descriptor, 0o600 if ownership.mode is None else ownership.mode)
        if ownership.acl is not None:
            with _named(Path(name), "set the ACL"):
                os.setxattr(descriptor, ACL, ownership.acl)
        with _named(Path(name), "write"):
            _write_all(descriptor, content)
        with _named(Path(name), "fsync"):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    """write(2) may take less than it was given."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _prefix(name: str) -> str:
    # The mark and eight hex digits must fit into a file name beside it.
    return "." + name.encode()[: LONGEST_NAME_BYTES - 32].decode("utf-8", "ignore") + MARK


def _temporary_name(name: str) -> str:
    return _prefix(name) + secrets.token_hex(4)
