"""Atomic writes: a file appears whole, with its owner and mode, or not at all.

Steps: a temporary dot-file in the same directory, owner and mode, data, fsync, rename, fsync of the directory. Every
step uses an open descriptor of the directory, which must still be at its path when the new file gets its name.
Functions raise OSError with the path and the call that failed; the caller decides what that means.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

from tokend.files.descriptors import with_reserve
from tokend.files.durable import closing, sync_directory, write_all
from tokend.files.ownership import PRIVATE, Ownership, acl_of, apply_new_ownership, apply_ownership
from tokend.files.reading import ChangedError, Version, directory_of, inspect, read_at
from tokend.files.symlinks import RefusedError, Symlink, named, resolve
from tokend.files.temporaries import sweep, temporary_name

# After a failed fsync the kernel may have dropped the dirty pages: the same file must never be synced again.
FSYNC_TRIES = 2
# The old content of a file that is written in place is kept until the write has succeeded, if it is hardly longer.
SPARE_BYTES = 64 * 1024


@with_reserve
def replace_private(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, mode 0600, owned by this process. Raises OSError; the old file is whole then."""
    path = resolve(path, "replace")
    with directory_of(path) as directory:
        _replace(directory, path, content, PRIVATE)


@with_reserve
def replace_file(
    path: Path, content: bytes, ownership: Ownership, *, symlink: Symlink = "refuse", edited: Version | None = None
) -> bool:
    """Write ``content`` to ``path`` atomically. False if the file has this content and ownership already.

    With ``edited`` each None of ``ownership`` is taken from the version that was read, unless a stranger made that file
    in the place of the wanted owner's. Raises OSError, `RefusedError`,
    `OwnershipError` or `ChangedError`; the target is unchanged then.
    """
    path = resolve(path, symlink)
    with directory_of(path) as directory:
        found = inspect(directory, path, replace_link=symlink == "replace")
        if found is not None:
            ownership = _with_acl(directory, path, found, ownership, only_trusted=True)
        # A hard link shares its content with another name: our file gets its own inode.
        if found is not None and found.st_nlink == 1 and _is_there(directory, path, found, content, ownership):
            return False
        if edited is not None and _may_keep(edited.ownership, ownership):
            ownership = ownership.over(edited.ownership)
        _replace(directory, path, content, ownership, edited=edited)
        return True


@with_reserve
def write_in_place(
    path: Path, content: bytes, ownership: Ownership, *, symlink: Symlink = "refuse", edited: Version | None = None
) -> bool:
    """Write into the existing file, which keeps its inode: for single-file bind mounts.

    Readers may see a half-written file; the operator chose that. A failed write tries to restore the old content. A
    missing file is created atomically. Returns and raises like `replace_file`.
    """
    path = resolve(path, symlink)
    with directory_of(path) as directory:
        found = inspect(directory, path, replace_link=symlink == "replace")
        if found is None:
            _replace(directory, path, content, ownership, edited=edited)
            return True
        _require_overwritable(path, found, ownership)
        ownership = _with_acl(directory, path, found, ownership, only_trusted=False)
        if _is_there(directory, path, found, content, ownership):
            return False
        if edited is not None:
            edited.check()
        before = _content_before(directory, path, found, len(content))
        with named(path, "open"):
            flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            descriptor = os.open(path.name, flags, dir_fd=directory)
        with closing(descriptor, path):
            _require_judged(descriptor, path, found)
            apply_ownership(descriptor, path, ownership)
            _overwrite(descriptor, path, content, before)
        return True


@with_reserve
def make_directory(path: Path) -> None:
    """Create a directory with mode 0700 and its missing parents, durably.

    The name of an existing directory is made durable, too: the process that created it may have died before its fsync.
    """
    missing = [one for one in path.parents if not one.exists()]
    with named(path, "mkdir"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for one in (path, *missing):
        try:
            with named(one.parent, "open"):
                parent = os.open(one.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                sync_directory(parent, one)
            finally:
                os.close(parent)
        except OSError as error:
            # No permission, or a read-only filesystem: this process did not create the directory just now.
            if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
                raise


@with_reserve
def remove_file(path: Path, *, symlink: Symlink = "refuse") -> bool:
    """Unlink a regular file durably. False if there is none."""
    try:
        path = resolve(path, symlink)
    except FileNotFoundError:  # not even its directory
        return False
    with directory_of(path) as directory:
        if inspect(directory, path, replace_link=symlink == "replace") is None:
            return False
        with named(path, "unlink"):
            os.unlink(path.name, dir_fd=directory)
        sync_directory(directory, path)
        return True


@with_reserve
def probe(path: Path, *, symlink: Symlink = "refuse", in_place: bool = False) -> None:
    """Raise the error that a write would raise now, where it can be seen; remove what a crash left. Writes nothing."""
    path = resolve(path, symlink)
    with directory_of(path) as directory:
        with named(path.parent, "readdir"):
            sweep(directory, path.name)
        found = inspect(directory, path, replace_link=symlink == "replace")
        name, where, need = (".", path.parent, os.W_OK | os.X_OK)
        if in_place and found is not None:
            name, where, need = (path.name, path, os.W_OK)
        if os.access(name, need, dir_fd=directory, effective_ids=True):
            return
        with named(where, "fstatvfs"):
            read_only = os.fstatvfs(directory).f_flag & os.ST_RDONLY
        if read_only:
            raise OSError(errno.EROFS, "the filesystem is read-only (access)", str(where))
        raise PermissionError(errno.EACCES, "not writable for this daemon (access)", str(where))


def sweep_directory(path: Path) -> None:
    """Remove every temporary that a crash left in a directory that only tokend uses."""
    with suppress(OSError), directory_of(path / "any") as directory:
        sweep(directory, None)


# ------------------------------------------------------------------ steps


def _with_acl(
    directory: int, path: Path, found: os.stat_result, ownership: Ownership, *, only_trusted: bool
) -> Ownership:
    """Complete ``ownership`` with the ACL that the file has.

    With ``only_trusted`` an ACL counts only in a file of root, of this process or of the wanted owner: a new file would
    give its token to a stranger who had made the old one.
    """
    trusted = not only_trusted or found.st_uid in {0, os.geteuid(), ownership.uid}
    return ownership.completed(Ownership.of(found, acl_of(directory, path.name) if trusted else None))


def _may_keep(found: Ownership, wanted: Ownership) -> bool:
    """Return whether a new file may take over what ``found`` says of the old one: mode, group, ACL, and owner if free.

    Where an owner is wanted, those of a stranger's file would let the stranger read the token.
    """
    return wanted.uid is None or found.uid in {None, 0, os.geteuid(), wanted.uid}


def _is_there(directory: int, path: Path, found: os.stat_result, content: bytes, ownership: Ownership) -> bool:
    """Return whether the file has the wanted content and ownership. An unreadable file has not."""
    if not ownership.is_met_by(Ownership.of(found, None if ownership.acl is None else acl_of(directory, path.name))):
        return False
    try:
        return read_at(directory, path, at_most=len(content) + 1) == content
    except PermissionError:
        return False


def _replace(
    directory: int, path: Path, content: bytes, ownership: Ownership, *, edited: Version | None = None
) -> None:
    for attempt in range(1, FSYNC_TRIES + 1):
        try:
            _put(directory, path, content, ownership, edited)
            edited = None  # the file is the new one from here on
            sync_directory(directory, path)
            _check_place(directory, path)
        except OSError as error:
            if error.errno != errno.EIO or attempt == FSYNC_TRIES:
                raise
        else:
            return


def _put(directory: int, path: Path, content: bytes, ownership: Ownership, edited: Version | None) -> None:
    """Write a temporary and rename it, or leave nothing behind."""
    with temporary_name(directory, path.name) as temporary:
        _write_temporary(directory, temporary, path, content, ownership)
        if edited is not None:
            edited.check()
        _check_place(directory, path)
        with named(path, "rename"):
            os.rename(temporary, path.name, src_dir_fd=directory, dst_dir_fd=directory)


def _write_temporary(directory: int, name: str, path: Path, content: bytes, ownership: Ownership) -> None:
    with named(path, "open of a temporary file beside it"):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=directory)
    with closing(descriptor, path):
        apply_new_ownership(descriptor, path, ownership)
        write_all(descriptor, path, content)


def _require_overwritable(path: Path, found: os.stat_result, ownership: Ownership) -> None:
    """Raise `RefusedError` for a file that somebody else has in hand: by another name, or because it is theirs.

    Its maker may hold it open, and reads what is written whatever its mode becomes.
    """
    if found.st_nlink > 1:
        raise RefusedError(errno.EMLINK, "it has another name too (hard link), whose content it is", str(path))
    if ownership.uid not in (None, found.st_uid):
        what = f"it belongs to uid {found.st_uid}, and its owner must be uid {ownership.uid}: not overwritten"
        raise RefusedError(errno.EPERM, what, str(path))


def _require_judged(descriptor: int, path: Path, judged: os.stat_result) -> None:
    """Raise `ChangedError` if the opened file is not the one that was judged, or is not as it was then."""
    with named(path, "fstat"):
        opened = os.fstat(descriptor)
    if not os.path.samestat(opened, judged) or (opened.st_nlink, opened.st_uid) != (judged.st_nlink, judged.st_uid):
        raise ChangedError(errno.EAGAIN, "somebody else changed it meanwhile", str(path))


def _content_before(directory: int, path: Path, found: os.stat_result, length: int) -> bytes | None:
    """Read the old content, to restore it after a failed write of ``length`` bytes; None if it cannot be restored."""
    limit = length + SPARE_BYTES
    if found.st_size > limit:  # another program has filled it
        return None
    with suppress(PermissionError):  # the process may have write permission without read permission
        content = read_at(directory, path, at_most=limit + 1)
        return content if len(content) <= limit else None
    return None


def _overwrite(descriptor: int, path: Path, content: bytes, before: bytes | None) -> None:
    try:
        write_all(descriptor, path, content)
    except OSError:
        if before is not None:
            with suppress(OSError):
                os.lseek(descriptor, 0, os.SEEK_SET)
                write_all(descriptor, path, before)
        raise


def _check_place(directory: int, path: Path) -> None:
    """Raise `ChangedError` if the directory that is held open is no longer the one at the path."""
    with suppress(FileNotFoundError), named(path, "stat of its directory"):
        if os.path.samestat(path.parent.stat(), os.fstat(directory)):
            return
    raise ChangedError(errno.ESTALE, "its directory was moved away meanwhile", str(path))
