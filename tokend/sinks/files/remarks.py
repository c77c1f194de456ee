"""Remarks on a written file: what looks wrong with it, although the token is in it. Blocks; raises nothing."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tokend.files.account_names import user_name
from tokend.files.acl import ACL
from tokend.values.status import StatusWarning


def remarks_on(path: Path, *, has_mode: bool, readers: bool, shared: bool) -> Iterator[StatusWarning]:
    """Return warnings about a file.

    ``has_mode`` and ``readers`` say whether the sink sets these; ``shared``, whether it names an owner, a group or
    readers.
    """
    with suppress(OSError):
        found, directory = path.stat(), path.parent.stat()
        if has_mode and not readers and _has_acl(path):
            message = f"{path} has an ACL, which stays: mode sets the rights of its owner and of others only"
            yield StatusWarning("acl_kept", message)
        is_ours = found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IRGRP | stat.S_IROTH)
        if not shared and is_ours and directory.st_uid not in {0, os.geteuid()}:
            user = user_name(directory.st_uid)
            message = (
                f"{path} can be read by {user_name(found.st_uid)} alone, and its directory belongs to {user}: "
                f'set owner = "{user}", or group and mode = "0640"'
            )
            yield StatusWarning("only_for_tokend", message)


def _has_acl(path: Path) -> bool:
    with suppress(OSError):
        return bool(os.getxattr(path, ACL))
    return False
