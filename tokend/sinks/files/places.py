"""Places of files without a configured owner: who made the file, and whether the directory's owner can read it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from tokend.files.account_names import group_name, user_name
from tokend.plugin.settings import PlaceFinding


def place_findings(
    path: Path, *, mode: str | None, group: str | None, in_place: bool, keeps_owner: bool
) -> Iterator[PlaceFinding]:
    """Return what is odd about the place of a file. Blocks.

    ``mode`` and ``group`` are the configured ones. ``in_place``: an existing file is overwritten. ``keeps_owner``: a
    new file gets the owner of the one that it replaces.
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
        owner = user_name(found.st_uid)
        yield PlaceFinding(
            "path",
            "foreign_target",
            f'{path} belongs to {owner}, who can read what is written into it: add owner = "{owner}" if that is meant, '
            'or use write = "replace"',
            is_error=True,
        )
    elif keeps_owner and found is not None and _may_be_put_there(found, directory):
        owner = user_name(found.st_uid)
        yield PlaceFinding(
            "path",
            "foreign_target",
            f"{path} belongs to {owner}, others may write to its directory, and the token goes into a file of "
            f'{owner}: add owner = "{owner}" if that is meant, else name the right owner',
        )
    # A file that is there is judged after each write (`remarks`).
    if found is None and not _is_ours(directory.st_uid) and not _may_read(mode, group):
        owner, me = user_name(directory.st_uid), f"{user_name(os.geteuid())}:{group_name(os.getegid())}"
        yield PlaceFinding(
            "path",
            "directory_of_another",
            f"{path} will belong to {me} with mode {mode or '0600'}, and its directory belongs to {owner}, who cannot "
            f'read it: set owner = "{owner}", or group = "{group_name(directory.st_gid)}" with mode = "0640"',
        )


def _may_be_put_there(found: os.stat_result, directory: os.stat_result) -> bool:
    """Return whether the file's owner, a stranger in this directory, can have made the file there."""
    others_write = directory.st_mode & (stat.S_IWOTH | stat.S_IWGRP)
    return bool(others_write) and not _is_ours(found.st_uid) and found.st_uid != directory.st_uid


def _may_read(mode: str | None, group: str | None) -> bool:
    """Return whether a new file gives its readers the right to read, by everybody's bits or by a group's."""
    bits = int(mode or "0600", 8)
    return bool(bits & stat.S_IROTH or (group is not None and bits & stat.S_IRGRP))


def _is_ours(uid: int) -> bool:
    return uid in {0, os.geteuid()}
