"""The systemd unit of a peer's process, from the kernel; safe against reused pids and chosen names.

A cgroup's path is read as systemd reads it (cg_path_get_unit): below slices, the outermost name is the unit. Names
further inside are chosen by the owner of the delegated subtree: a user's manager, a container, ``Delegate=``.
"""

import errno
import os
import re
import select
import socket
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from tokend.access.peer_process import open_process

# systemd.unit(5); these kinds have processes. systemd puts "_" before what could be a file of the kernel's.
_UNIT = re.compile(rb"_?([A-Za-z0-9:_.\\@-]{1,255}\.(?:service|scope|socket|mount|swap))", re.ASCII)
_PID = re.compile(rb"^Pid:\s*(-?\d+)$", re.MULTILINE | re.ASCII)


class UnitUnknownError(Exception):
    """This host, as it is set up, does not show the units of peers; the text says what to do."""


def matches(unit: str, patterns: Iterable[str]) -> bool:
    """Return whether a unit is one of ``access.units``: ``*``, ``?`` and ``[…]`` as in a shell, capitals count."""
    return any(fnmatchcase(unit, pattern) for pattern in patterns)


def unit_of(connection: socket.SocketType) -> str | None:
    """Return the unit of the process that connected; None if it has ended or has none. Raises `UnitUnknownError`."""
    try:
        process = open_process(connection)
    except OSError as error:
        if error.errno == errno.ENOPROTOOPT:
            raise UnitUnknownError("access.units on a socket needs Linux 6.5 or later; use users or groups") from None
        return None
    try:
        cgroup = _cgroup_of(process)
    finally:
        os.close(process)
    return None if cgroup is None else unit_in(cgroup)


def unit_in(cgroup: bytes) -> str | None:
    """Read the unit out of /proc/PID/cgroup. Processes of login users (user.slice, user@.service) have none."""
    # Not splitlines(): of what it splits at, the kernel keeps only \n out of names.
    path = next((line[4:] for line in cgroup.split(b"\n") if line.startswith(b"0::/")), None)
    if path is None:
        raise UnitUnknownError("access.units on a socket needs cgroup v2; use users or groups")
    names = path.split(b"/")
    outermost = next((name for name in names if not name.endswith(b".slice")), b"")
    match = _UNIT.fullmatch(outermost)
    if match is None or names[0] == b"user.slice" or match[1].startswith(b"user@"):
        return None
    return match[1].decode()


def _cgroup_of(process: int) -> bytes | None:
    """Return /proc/PID/cgroup of a pidfd's process; None if it has ended."""
    pid = _PID.search(Path(f"/proc/self/fdinfo/{process}").read_bytes())
    number = int(pid[1]) if pid is not None else 0
    if number == 0:
        raise UnitUnknownError("a peer is in a process namespace that is out of tokend's sight: its unit is not known")
    try:
        cgroup = Path(f"/proc/{number}/cgroup").read_bytes() if number > 0 else None
    except OSError:
        if _has_ended(process):
            return None
        raise UnitUnknownError(
            "/proc hides the processes of others, so that access.units matches nobody on a socket: "
            "give tokend.service ProtectProc=default (drop-ins/access-units.conf), or mount /proc without hidepid="
        ) from None
    # The number was this process's all the while if it still is: a pidfd becomes readable before a pid is free.
    return None if _has_ended(process) else cgroup


def _has_ended(process: int) -> bool:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(0))
