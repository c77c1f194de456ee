"""Owner, group, mode and POSIX ACL of files. A new file gets them before its first byte."""

import errno
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Self

from tokend.files.acl import ACL, Reader, acl_of_readers, mode_without_mask, with_mode
from tokend.files.symlinks import named


class OwnershipError(OSError):
    """The file cannot get the owner, group, mode or ACL that it must have; the old file is unchanged."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """Wanted ``mode`` bits, ``uid``, ``gid``, POSIX ``acl`` and ``readers``; None accepts what a new file gets.

    ``readers`` are further users and groups who may read the file; `completed` makes an ``acl`` of them. With an ACL
    the group bits of ``mode`` are its mask.
    """

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    acl: bytes | None = None
    readers: tuple[Reader, ...] = ()

    @classmethod
    def of(cls, found: os.stat_result, acl: bytes | None = None) -> Self:
        """Return the ownership of an existing file."""
        return cls(stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, acl)

    def is_met_by(self, found: "Ownership") -> bool:
        """Return whether a file has the wanted ownership. A wanted ACL contains the mode."""
        rights = (self.mode, found.mode) if self.acl is None else (self.acl, found.acl)
        wanted = (rights, (self.uid, found.uid), (self.gid, found.gid))
        return all(mine in (None, theirs) for mine, theirs in wanted)

    def unlike(self, found: "Ownership") -> "Ownership":
        """Keep what an existing file does not have already."""
        return Ownership(
            mode=None if self.mode == found.mode else self.mode,
            uid=None if self.uid == found.uid else self.uid,
            gid=None if self.gid == found.gid else self.gid,
            acl=self.acl,
            readers=self.readers,
        )

    def over(self, found: "Ownership") -> "Ownership":
        """Replace each None by the value of an existing file."""
        acl = self.completed(found).acl
        return Ownership(
            mode=found.mode if self.mode is None else self.mode,
            uid=found.uid if self.uid is None else self.uid,
            gid=found.gid if self.gid is None else self.gid,
            acl=found.acl if acl is None and self.mode is None else acl,
        )

    def completed(self, found: "Ownership | None") -> "Ownership":
        """Return the ownership with the ACL that a file gets in the place of ``found`` (None: there is no file).

        With ``readers`` it is theirs. Else an ACL that the file has stays, and ``mode`` sets the bits of its owner and
        of others only.
        """
        acl, mode = self.acl, self.mode
        if self.readers:
            if mode is None:
                mode = 0o600 if found is None or found.mode is None else mode_without_mask(found.mode, found.acl)
            acl = acl_of_readers(mode, self.readers)
        elif acl is None and mode is not None and found is not None and found.acl is not None:
            acl = with_mode(found.acl, mode)
        return replace(self, acl=acl, readers=())


PRIVATE = Ownership(mode=0o600)


def own_group() -> int | None:
    """Return the group that the user database names for this process's user; None if no file can be given to it.

    The process may run with another group: the unit's is the group of all clients, who must not read every file.
    Blocks at the first call.
    """
    return _group_of(os.geteuid())


@cache
def _group_of(uid: int) -> int | None:
    try:
        gid = pwd.getpwuid(uid).pw_gid
    except KeyError:
        return None
    return gid if uid == 0 or gid in {os.getegid(), *os.getgroups()} else None


def acl_of(directory: int, name: str) -> bytes | None:
    """Return a file's ACL; None if the file has none or the filesystem does not support ACLs."""
    with suppress(OSError):
        return os.getxattr(f"/proc/self/fd/{directory}/{name}", ACL, follow_symlinks=False)
    return None


def apply_new_ownership(descriptor: int, path: Path, wanted: Ownership) -> None:
    """Give a file that was just created the wanted ownership. Raises `OwnershipError`.

    Without a wanted group it gets `own_group`. The directory's default ACL could give access beyond the mode; it is
    removed.
    """
    wanted = wanted.completed(None)
    if wanted.acl is None:
        with suppress(OSError):
            os.removexattr(descriptor, ACL)
    mode, gid = 0o600 if wanted.mode is None else wanted.mode, own_group() if wanted.gid is None else wanted.gid
    apply_ownership(descriptor, path, Ownership(mode, wanted.uid, gid, wanted.acl))


def apply_ownership(descriptor: int, path: Path, wanted: Ownership) -> None:
    """Change what differs; a file without differences needs no permission. Raises `OwnershipError`."""
    with named(path, "fstat"):
        found = Ownership.of(os.fstat(descriptor))
    uid = -1 if wanted.uid is None or wanted.uid == found.uid else wanted.uid
    gid = -1 if wanted.gid is None or wanted.gid == found.gid else wanted.gid
    if (uid, gid) != (-1, -1):
        # Before the mode: members of the old group must never have the access that the mode gives to the new group.
        with _ownership_errors(path, "fchown"):
            os.fchown(descriptor, uid, gid)
    if wanted.acl is not None:
        if wanted.acl != _acl_of_open_file(descriptor):
            with _ownership_errors(path, "setxattr of its ACL"):
                os.setxattr(descriptor, ACL, wanted.acl)
        return
    # A change of the owner may have cleared some mode bits.
    with named(path, "fstat"):
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if wanted.mode is not None and wanted.mode != mode:
        with _ownership_errors(path, "fchmod"):
            os.fchmod(descriptor, wanted.mode)


def _acl_of_open_file(descriptor: int) -> bytes | None:
    with suppress(OSError):
        return os.getxattr(descriptor, ACL)
    return None


@contextmanager
def _ownership_errors(path: Path, call: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OwnershipError(error.errno, f"{error.strerror} ({call})", str(path)) from None
    except OverflowError:
        raise OwnershipError(errno.EINVAL, f"there are no such numbers ({call})", str(path)) from None
