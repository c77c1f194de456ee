"""Advice on files that cannot be written: which user needs which rights, where, and how the operator gives them."""

import errno
import os
import stat
from pathlib import Path

from tokend.files.account_names import group_name, user_name
from tokend.files.ownership import OwnershipError

RUN_AS_OWNER = 'let the daemon run as root or as the owner, or set write = "in-place", which keeps the file as it is'
IN_PLACE = 'set write = "in-place" (readers may then see a half-written file), or mount the directory instead'
# Directories that ProtectHome=yes of a unit makes inaccessible.
HOMES = (Path("/home"), Path("/root"), Path("/run/user"))


def advice_on(error: OSError, path: Path, *, gid: int | None = None) -> str:
    """Return what the operator can do about a failed write of ``path``; "" if there is nothing to say. Blocks.

    ``gid`` is the group that the file must get.
    """
    if isinstance(error, OwnershipError) and error.errno == errno.EOPNOTSUPP:
        return "this filesystem has no ACLs: use group and mode"
    if isinstance(error, OwnershipError):
        return _join_group(gid) or RUN_AS_OWNER
    if error.errno in {errno.EBUSY, errno.EXDEV}:
        return IN_PLACE
    if error.errno == errno.EROFS and _in_a_unit():
        return f"the unit may not write there: add ReadWritePaths={path.parent} to it (drop-ins/sinks.conf)"
    if error.errno in {errno.EACCES, errno.EPERM, errno.ENOENT}:
        return _hidden_home(path) or ("" if error.errno == errno.ENOENT else _missing_right(path))
    return ""


def _join_group(gid: int | None) -> str:
    """Advise on a group that this process is no member of."""
    if gid is None or os.geteuid() == 0 or gid in {os.getegid(), *os.getgroups()}:
        return ""
    user, group = user_name(os.geteuid()), group_name(gid)
    try:
        has_joined = gid in os.getgrouplist(user, os.getegid())
    except KeyError:
        has_joined = False
    if has_joined:
        return f"user {user} has joined group {group} since tokend was started: restart tokend"
    return f"user {user} is not in group {group}: `adduser {user} {group}`, then restart tokend"


def _hidden_home(path: Path) -> str:
    """Advise on a home directory that the unit hides."""
    home = next((one for one in HOMES if one in path.parents), None)
    if home is None or not _in_a_unit() or not _is_hidden(home):
        return ""
    return (
        f"ProtectHome= of the unit hides {home}: "
        f"set ProtectHome=no and ReadWritePaths={path.parent} (drop-ins/sinks.conf)"
    )


def _is_hidden(home: Path) -> bool:
    """Return whether a directory is one that systemd puts in the place of a home: mode 0, or empty and on a tmpfs."""
    try:
        found = home.stat()
        return stat.S_IMODE(found.st_mode) == 0 or not any(home.iterdir())
    except OSError:
        return False


def _missing_right(path: Path) -> str:
    """Name the first directory on the way that this user cannot use as a write must."""
    for one in reversed(path.parents):
        need, right = (os.W_OK | os.X_OK, "write and search") if one == path.parent else (os.X_OK, "search")
        try:
            found = one.stat()
        except OSError:
            return ""
        if not os.access(one, need, effective_ids=True):
            me, owner, group = user_name(os.geteuid()), user_name(found.st_uid), group_name(found.st_gid)
            return f"user {me} may not {right} {one} ({owner}:{group} {stat.S_IMODE(found.st_mode):04o})"
    return ""


def _in_a_unit() -> bool:
    # systemd.exec(5): set for every process of a unit.
    return "INVOCATION_ID" in os.environ
