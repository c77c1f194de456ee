"""Whose a state directory is, and what is in it: checked before anything is read, truncated or made there.

Somebody else may have made the directory first, in a place that every user may write, and have put links there.
"""

import errno
import os
import stat
from pathlib import Path

from tokend.files import Level, trusted
from tokend.machine.logs import get_logger
from tokend.values.errors import StoreError

log = get_logger()


def check_directory(path: Path) -> None:
    """Raise `StoreError` if the directory, or the link to it, belongs to neither root nor this user. Raises OSError.

    If every user may write to a directory of ours, that permission is taken away. Where that is impossible, because the
    directory is root's, or where others may change the way to it, a warning is logged: each file in it is checked by
    itself.
    """
    link = os.lstat(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        for status, what in ((link, "the link" if stat.S_ISLNK(link.st_mode) else "it"), (found, "it")):
            if not _is_ours(status):
                raise StoreError(
                    f"state directory {path} is not used: {what} belongs to uid {status.st_uid}. Remove it, or give it "
                    "to the user that runs tokend, or set another state_directory"
                )
        if found.st_mode & stat.S_IWOTH and found.st_uid == os.geteuid():
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & ~stat.S_IWOTH)
            log.warning("state.mode_changed", path=str(path), detail="every user could write to it: o-w")
    finally:
        os.close(descriptor)
    if (trust := trusted(path, foreign=Level.UNSAFE)).level is Level.UNSAFE:
        log.warning("state.unsafe_path", path=str(path), detail=trust.reason)


def make_private(path: Path) -> None:
    """Make an existing directory in the state directory our own alone (0700). Raises `StoreError`, OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise StoreError(f"{path} is not used: it is a link, or no directory. Remove it") from None
        raise
    try:
        found = os.fstat(descriptor)
        if not _is_ours(found):
            raise StoreError(f"{path} is not used: it belongs to uid {found.st_uid}. Remove it")
        if stat.S_IMODE(found.st_mode) != 0o700:
            os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)


def check_file(descriptor: int, path: Path) -> None:
    """Raise `StoreError` unless an open file is regular, has one name, and belongs to root or to this user."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or not _is_ours(found):
        what = "no regular file of its own" if _is_ours(found) else f"a file of uid {found.st_uid}"
        raise StoreError(f"{path} is not used: it is {what}. Remove it")


def _is_ours(status: os.stat_result) -> bool:
    return status.st_uid in {0, os.geteuid()}
