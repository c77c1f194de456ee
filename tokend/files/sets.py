"""Sets of files that change together: a directory whose names are links through one link, as the kubelet makes them.

    DIRECTORY/..data            a link to the present set, replaced by one rename
    DIRECTORY/..2026_11_30…/    the present set: the files themselves
    DIRECTORY/NAME              a link to ..data/NAME, one for each file

A reader that keeps the real path of ``..data`` for a moment reads files of one set. Functions raise OSError with the
path and the call that failed; the present set is unchanged then.
"""

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tokend.files.descriptors import with_reserve
from tokend.files.durable import closing, sync_directory, write_all
from tokend.files.observing import Stamp, stamp
from tokend.files.ownership import Ownership, acl_of, apply_new_ownership, apply_ownership
from tokend.files.reading import directory_of, read_at
from tokend.files.symlinks import RefusedError, named, resolve

DATA = "..data"
# Names of sets: only these are ever removed.
_SET = re.compile(r"\.\.\d{4}(_\d\d){5}\.[0-9a-f]{8}")
_LINK = re.compile(r"\.\.link-[0-9a-f]{8}")
# Search permission for all: the files' own owner, mode and ACL decide who may read them.
DIRECTORY_MODE = 0o755


@with_reserve
def replace_set(path: Path, contents: Mapping[str, bytes], ownership: Ownership) -> bool:
    """Make the directory ``path`` hold these files, by name, with this ownership. False if it does already.

    The directory is made if it is missing; its parent is not. Other names in it stay. Raises OSError, `RefusedError` or
    `OwnershipError`.
    """
    with _opened(path, ownership, make=True) as directory:
        if _holds(directory, path, contents, ownership):
            # A crash or an error right after the switch has left the old set, with the old tokens.
            _remove_others(directory, path, _target(directory, DATA), contents)
            return False
        name = time.strftime("..%Y_%m_%d_%H_%M_%S.", time.gmtime()) + secrets.token_hex(4)
        try:
            _write_set(directory, name, path, contents, ownership)
            _link(directory, DATA, name, path)
        except BaseException:
            _remove_tree(directory, name)
            raise
        for one in contents:
            if _target(directory, one) != f"{DATA}/{one}":
                _link(directory, one, f"{DATA}/{one}", path)
        _remove_others(directory, path, name, contents)
        sync_directory(directory, path, "fsync")
        return True


@with_reserve
def remove_set(path: Path) -> bool:
    """Remove the files of the set, their links and old sets; the directory and other names stay. False if none is."""
    try:
        with _opened(path, Ownership(), make=False) as directory:
            held = _target(directory, DATA) is not None
            with suppress(FileNotFoundError), named(path, "unlink"):
                os.unlink(DATA, dir_fd=directory)
            _remove_others(directory, path, None, {})
            sync_directory(directory, path, "fsync")
            return held
    except FileNotFoundError:
        return False


def set_difference(path: Path, contents: Mapping[str, bytes], ownership: Ownership) -> tuple[str, int | None] | None:
    """Compare a directory with the set that it must hold: None, or what is wrong and the owner that was found."""
    try:
        with _opened(path, ownership, make=False) as directory:
            uid = os.fstat(directory).st_uid
            for name, content in contents.items():
                if (what := _fault_of(directory, path, name, content, ownership)) is not None:
                    return f"{name} {what}", uid
    except FileNotFoundError:
        return "it was deleted", None
    return None


def set_stamp(path: Path, names: Mapping[str, object]) -> tuple[Stamp, ...]:
    """Return a value that changes with the directory, its links and the files of its set. Raises nothing."""
    return (stamp(path), *(stamp(path / name) for name in names))


@contextmanager
def _opened(path: Path, ownership: Ownership, *, make: bool) -> Iterator[int]:
    """Open the directory of the set; a link or a directory of another user is refused."""
    place = resolve(path, "refuse")
    with directory_of(place) as parent:
        if make:
            _make(parent, place, ownership)
        with named(place, "open"):
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            directory = os.open(place.name, flags, dir_fd=parent)
        try:
            with named(path, "fstat"):
                uid = os.fstat(directory).st_uid
            if uid not in {0, os.geteuid(), ownership.uid}:
                raise RefusedError(errno.EPERM, f"the directory belongs to uid {uid}: not written into", str(path))
            yield directory
        finally:
            with suppress(OSError):  # its names are durable, or an error is on its way
                os.close(directory)


def _make(parent: int, path: Path, ownership: Ownership) -> None:
    try:
        with named(path, "mkdir"):
            os.mkdir(path.name, 0o700, dir_fd=parent)
    except FileExistsError:
        return
    with named(path, "open"):
        descriptor = os.open(path.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    with closing(descriptor, path):
        apply_ownership(descriptor, path, Ownership(DIRECTORY_MODE, ownership.uid, ownership.gid))
    sync_directory(parent, path)


def _write_set(directory: int, name: str, path: Path, contents: Mapping[str, bytes], ownership: Ownership) -> None:
    with named(path, "mkdir of a set in it"):
        os.mkdir(name, 0o700, dir_fd=directory)
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    with closing(inner, path):
        with named(path, "fstat"):
            uid = os.fstat(inner).st_uid
        if uid != os.geteuid():
            raise RefusedError(errno.EPERM, "somebody else exchanged the set that was being written", str(path))
        for one, content in contents.items():
            _write_file(inner, one, path / one, content, ownership)
        apply_ownership(inner, path, Ownership(DIRECTORY_MODE, ownership.uid, ownership.gid))
        sync_directory(inner, path, "fsync")


def _write_file(directory: int, name: str, path: Path, content: bytes, ownership: Ownership) -> None:
    with named(path, "open"):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=directory)
    with closing(descriptor, path):
        apply_new_ownership(descriptor, path, ownership)
        write_all(descriptor, path, content)


def _link(directory: int, name: str, target: str, path: Path) -> None:
    """Put a link in the place of ``name`` by one rename."""
    temporary = f"..link-{secrets.token_hex(4)}"
    with named(path / name, "symlink"):
        os.symlink(target, temporary, dir_fd=directory)
    try:
        with named(path / name, "rename"):
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        with suppress(OSError):  # the next set removes it
            os.unlink(temporary, dir_fd=directory)
        raise


def _holds(directory: int, path: Path, contents: Mapping[str, bytes], ownership: Ownership) -> bool:
    if any(_fault_of(directory, path, *one, ownership) is not None for one in contents.items()):
        return False
    return set(_linked(directory, path)) == contents.keys()


def _fault_of(directory: int, path: Path, name: str, content: bytes, ownership: Ownership) -> str | None:
    """Return what is wrong with one file of the set, None if nothing is."""
    link = _target(directory, name)
    if link != f"{DATA}/{name}":
        return "was deleted" if link is None else "leads elsewhere"
    present = _target(directory, DATA)
    if present is None or not _SET.fullmatch(present):
        return "was deleted"
    try:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        inner = os.open(present, flags, dir_fd=directory)
    except OSError:
        return "was deleted"
    try:
        with named(path / name, "stat"):
            found = os.stat(name, dir_fd=inner, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            return "is no file of ours"
        acl = acl_of(inner, name)
        if not ownership.completed(Ownership.of(found, acl)).is_met_by(Ownership.of(found, acl)):
            return "has another owner, group or mode"
        return None if read_at(inner, path / name, at_most=len(content) + 1) == content else "was overwritten"
    except FileNotFoundError:
        return "was deleted"
    finally:
        with suppress(OSError):  # nothing was written through it
            os.close(inner)


def _target(directory: int, name: str) -> str | None:
    """Return where a link leads; "" for something that is no link, None for nothing."""
    try:
        return os.readlink(name, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError:
        return ""


def _names(directory: int, path: Path) -> list[str]:
    with named(path, "readdir"):
        return os.listdir(directory)


def _linked(directory: int, path: Path) -> Iterator[str]:
    """List the names that lead into the present set."""
    for name in _names(directory, path):
        if _target(directory, name) == f"{DATA}/{name}":
            yield name


def _remove_others(directory: int, path: Path, present: str | None, contents: Mapping[str, bytes]) -> None:
    """Remove links of files that are not in the set any more, old sets, and what a crash left."""
    for name in list(_linked(directory, path)):
        if name not in contents:
            with named(path / name, "unlink"):
                os.unlink(name, dir_fd=directory)
    for name in _names(directory, path):
        if _SET.fullmatch(name) and name != present:
            _remove_tree(directory, name)
        elif _LINK.fullmatch(name):
            with suppress(OSError):
                os.unlink(name, dir_fd=directory)


def _remove_tree(directory: int, name: str) -> None:
    """Remove a set, which has only files in it. What cannot be removed is removed with the next set."""
    with suppress(OSError):
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            for one in os.listdir(inner):  # noqa: PTH208  (of a descriptor)
                os.unlink(one, dir_fd=inner)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=directory)
