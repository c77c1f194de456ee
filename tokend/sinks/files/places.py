"""Places of files without a configured owner: who made the file, and whether the directory's owner can read it."""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from tokend.plugin.settings import PlaceFinding


def place_findings(
    path: Path, *, mode: str | None, group: str | None, keeps: bool, in_place: bool
) -> Iterator[PlaceFinding]:
    """Return what is odd about the place of a file. Blocks.

    ``mode`` and ``group`` are the configured ones. ``keeps``: an existing file keeps its owner; ``in_place``: it is
    overwritten.
    """
    try:
        directory = path.parent.stat()
    except OSError:
        return  # reported by the sink's probe
    try:
        found = path.stat()
    except OSError:
        found = None
    if in_place and found is not None and not _is_ours(found.st_uid):
        owner = _user(found.st_uid)
        yield PlaceFinding(
            "path",
            "foreign_target",
            f'{path} belongs to {owner}, who can read what is written into it: add owner = "{owner}" if that is meant, '
            'or use write = "replace"',
            is_error=True,
        )
    if not _is_ours(directory.st_uid) and _excludes(directory.st_uid, found if keeps else None, mode, group):
        owner, me = _user(directory.st_uid), f"{_user(os.geteuid())}:{_group(os.getegid())}"
        bits = mode or "0600"
        yield PlaceFinding(
            "path",
            "directory_of_another",
            f"{path} will belong to {me} with mode {bits}, and its directory belongs to {owner}, who cannot read it: "
            f'set owner = "{owner}", or group = "{_group(directory.st_gid)}" with mode = "0640"',
        )


def _excludes(uid: int, kept: os.stat_result | None, mode: str | None, group: str | None) -> bool:
    """Return whether a user gets no right to read the file from its mode. ``kept`` is an existing file that stays."""
    if kept is not None:
        bits = stat.S_IMODE(kept.st_mode) if mode is None else int(mode, 8)
        return kept.st_uid != uid and not bits & (stat.S_IRGRP | stat.S_IROTH)
    bits = int(mode or "0600", 8)
    return not bits & stat.S_IROTH and not (group is not None and bits & stat.S_IRGRP)


def _is_ours(uid: int) -> bool:
    return uid in {0, os.geteuid()}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
