"""Drift of a file: what another program has changed in it, in words, and whether the file may be overwritten."""

import grp
import pwd
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tokend import files
from tokend.files import Level, Ownership


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
    if wanted.uid is not None and found.uid != wanted.uid:
        yield f"it belongs to {_user(found.uid)} instead of {_user(wanted.uid)}"
    if wanted.gid is not None and found.gid != wanted.gid:
        yield f"its group is {_group(found.gid)} instead of {_group(wanted.gid)}"
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


def _user(uid: int | None) -> str:
    with suppress(KeyError, TypeError):
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"  # type: ignore[arg-type]  # None raises TypeError
    return f"uid {uid}"


def _group(gid: int | None) -> str:
    with suppress(KeyError, TypeError):
        return f"{grp.getgrgid(gid).gr_name} (gid {gid})"  # type: ignore[arg-type]  # None raises TypeError
    return f"gid {gid}"
