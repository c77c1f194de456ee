"""POSIX ACLs of files, as the kernel keeps them in the attribute `ACL`. Pure.

The format is in linux/posix_acl_xattr.h: a version, then entries of tag, permissions and id, sorted. acl(5) has the
meaning: with an ACL, the group bits of the mode are the mask, the most that named users and groups can have.
"""

import struct
from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

ACL = "system.posix_acl_access"
VERSION = 2
NO_ID = 0xFFFFFFFF
READ = 4
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
TAGS = {"user": USER, "group": GROUP}
_HEAD, _ENTRY = struct.Struct("<I"), struct.Struct("<HHI")

Reader: TypeAlias = tuple[Literal["user", "group"], int]
"""A user or a group by its number, who may read a file."""


class Entry(NamedTuple):
    """One entry of an ACL; ``id`` is `NO_ID` for the entries without a name."""

    tag: int
    permissions: int
    id: int = NO_ID


def acl_of_readers(mode: int, readers: Iterable[Reader]) -> bytes:
    """Return an ACL that gives the rights of ``mode`` and lets these users and groups read."""
    named = {Entry(TAGS[kind], READ, number) for kind, number in readers}
    entries = {
        Entry(USER_OBJ, mode >> 6 & 7),
        Entry(GROUP_OBJ, mode >> 3 & 7),
        Entry(MASK, READ | mode >> 3 & 7),
        Entry(OTHER, mode & 7),
    }
    return _packed(named | entries)


def with_mode(acl: bytes, mode: int) -> bytes:
    """Return an ACL with the rights of owner and others of ``mode``; everything else stays. Raises ValueError."""
    rights = {USER_OBJ: mode >> 6 & 7, OTHER: mode & 7}
    return _packed(Entry(one.tag, rights.get(one.tag, one.permissions), one.id) for one in entries_of(acl))


def mode_without_mask(mode: int, acl: bytes | None) -> int:
    """Return the mode of a file with the rights of its group in the place of the mask. Raises ValueError."""
    if acl is None:
        return mode
    group = next((one.permissions for one in entries_of(acl) if one.tag == GROUP_OBJ), 0)
    return mode & ~0o070 | group << 3


def entries_of(acl: bytes) -> list[Entry]:
    """Return the entries of an ACL. Raises ValueError for bytes that are none."""
    if len(acl) < _HEAD.size or _HEAD.unpack_from(acl)[0] != VERSION or (len(acl) - _HEAD.size) % _ENTRY.size:
        raise ValueError("not a POSIX ACL of version 2")
    return [Entry(*fields) for fields in _ENTRY.iter_unpack(acl[_HEAD.size :])]


def _packed(entries: Iterable[Entry]) -> bytes:
    in_order = sorted(entries, key=lambda one: (one.tag, one.id))
    return _HEAD.pack(VERSION) + b"".join(_ENTRY.pack(*one) for one in in_order)
