"""Whose a file is and who may open it: mode, owner, group, POSIX ACL. Put on a new file before its first byte."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tokend.files.symlinks import named

ACL = "system.posix_acl_access"


class NotKeptError(OSError):
    """The file cannot be given the owner, group, mode or ACL it must have; the old one is untouched."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """What a file shall be: ``mode`` bits, ``uid``, ``gid``, POSIX ``acl``; None leaves what a new file gets."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    acl: bytes | None = None

    @classmethod
    def of(cls, found: os.stat_result, acl: bytes | None = None) -> Self:
        """What a file is."""
        return cls(stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, acl)

    def is_met_by(self, found: "Ownership") -> bool:
        """Tell whether a file is so already."""
        wanted = ((self.mode, found.mode), (self.uid, found.uid), (self.gid, found.gid))
        return all(mine in (None, theirs) for mine, theirs in wanted)

    def over(self, found: "Ownership") -> "Ownership":
        """Fill what is left open from a file that is there. A mode that was asked for is exact: no ACL beside it."""
        return Ownership(
            mode=found.mode if self.mode is None else self.mode,
            uid=found.uid if self.uid is None else self.uid,
            gid=found.gid if self.gid is None else self.gid,
            acl=found.acl if self.mode is None else None,
        )


PRIVATE = Ownership(mode=0o600)


def acl_of(directory: int, name: str) -> bytes | None:
    """A file's ACL; None where it has none, or its filesystem knows none."""
    with suppress(OSError):
        return os.getxattr(f"/proc/self/fd/{directory}/{name}", ACL, follow_symlinks=False)
    return None


def dress_new(descriptor: int, path: Path, wanted: Ownership) -> None:
    """Make a file that was just created ``wanted``. Raises `NotKeptError`.

    The directory's default ACL would let others in behind the mode: the file gets exactly what was asked for.
    """
    if wanted.acl is None:
        with suppress(OSError):
            os.removexattr(descriptor, ACL)
    dress(descriptor, path, Ownership(0o600 if wanted.mode is None else wanted.mode, wanted.uid, wanted.gid))
    if wanted.acl is not None:
        # After the mode: an ACL holds its own idea of the group's bits.
        with _must_be_kept(path, "setxattr of its ACL"):
            os.setxattr(descriptor, ACL, wanted.acl)


def dress(descriptor: int, path: Path, wanted: Ownership) -> None:
    """Change what differs, and ask for no permission where nothing does. Raises `NotKeptError`."""
    with named(path, "fstat"):
        found = Ownership.of(os.fstat(descriptor))
    uid = -1 if wanted.uid is None or wanted.uid == found.uid else wanted.uid
    gid = -1 if wanted.gid is None or wanted.gid == found.gid else wanted.gid
    if (uid, gid) != (-1, -1):
        # Before the mode: whoever is in the old group must never be able to open what the mode gives to the new one.
        with _must_be_kept(path, "fchown"):
            os.fchown(descriptor, uid, gid)
    # A changed owner may have cost some of its bits.
    with named(path, "fstat"):
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if wanted.mode is not None and wanted.mode != mode:
        with _must_be_kept(path, "fchmod"):
            os.fchmod(descriptor, wanted.mode)


@contextmanager
def _must_be_kept(path: Path, call: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotKeptError(error.errno, f"{error.strerror} ({call})", str(path)) from None
    except OverflowError:
        raise NotKeptError(errno.EINVAL, f"there are no such numbers ({call})", str(path)) from None
