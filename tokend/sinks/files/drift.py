"""Drift of a file: what another program has changed in it, in words, and whether the file may be overwritten."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tokend import files
from tokend.files import Level, Ownership
from tokend.files.account_names import group_with_gid, user_with_uid


@dataclass(frozen=True, slots=True)
class Expected:
    """What a file must hold: ``holds`` judges its first ``at_most`` bytes."""

    at_most: int
    holds: Callable[[bytes], bool]


def content_phrase(found: bytes) -> str:
    """Say what happened to the content."""
    return "it was overwritten" if found else "it was emptied"


def ownership_phrases(found: Ownership, wanted: Ownership) -> Iterator[str]:
    """Say which of owner, group, mode and ACL are not as wanted."""
    if found.uid is not None and wanted.uid is not None and found.uid != wanted.uid:
        yield f"it belongs to {user_with_uid(found.uid)} instead of {user_with_uid(wanted.uid)}"
    if found.gid is not None and wanted.gid is not None and found.gid != wanted.gid:
        yield f"its group is {group_with_gid(found.gid)} instead of {group_with_gid(wanted.gid)}"
    if wanted.acl is not None:
        if found.acl != wanted.acl:
            yield "its ACL or its mode has changed"
    elif wanted.mode is not None and found.mode != wanted.mode:
        yield f"its mode is {found.mode:04o} instead of {wanted.mode:04o}"


def is_trusted_place(path: Path) -> bool:
    """Return whether only root or this process can have put a file there."""
    try:
        # The owner of the file itself does not count; the owners of its directories do.
        return files.trusted(path.parent).level is Level.OK and files.trusted(path, foreign=Level.OK).level is Level.OK
    except OSError:
        return False
