"""Who is asking, told by the kernel, and what they may do. A pid authorises nothing: it may be another's by now."""

import ctypes
import grp
import os
import pwd
import socket
import struct
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property

import structlog

from tokend.access.units import UnitUnknownError, matches, unit_of
from tokend.plugin.settings import Access

_UCRED = struct.Struct("iII")
# Plain numbers: at each accept an enum's member would cost as much as the system call.
_SOCKET, _PEERCRED = int(socket.SOL_SOCKET), int(socket.SO_PEERCRED)
# <asm-generic/socket.h>; Python has no name for it. The groups are those at connect(), as with SO_PEERCRED.
_SO_PEERGROUPS = 59
# Python's getsockopt gives at most 1024 bytes, 256 groups; who is in more is asked about through libc.
_PYTHON_BUFFER_BYTES = 1024
# NGROUPS_MAX of Linux.
_MOST_GROUPS = 65536
# A change of the user database is noticed after this long; a lookup per request would hammer LDAP.
NAMES_KEPT_SECONDS = 30.0


@dataclass(frozen=True)
class Peer:
    """One process's identity when it connected, in our user namespace; ``groups`` include the primary one."""

    uid: int
    groups: frozenset[int]
    # To ask for the unit, which most peers are never asked for. The object, not its number: that may be another's once
    # the connection is closed.
    connection: socket.SocketType | None = field(default=None, repr=False, compare=False)

    @cached_property
    def unit(self) -> str | None:
        """The unit of the system manager, as of the first look; None: of none, or gone. Raises `UnitUnknownError`."""
        return None if self.connection is None else unit_of(self.connection)


# Whoever asks where the kernel tells nothing of who asks (`loopback`). No process has this uid: (uid_t) -1 means "none"
# to the kernel, and no name in the configuration resolves to it.
NOBODY = Peer(-1, frozenset())


def uid_of(connection: socket.SocketType) -> int:
    """Ask the kernel whose process is at the other end of a connected Unix socket; raises OSError."""
    _pid, uid, _gid = _UCRED.unpack(connection.getsockopt(_SOCKET, _PEERCRED, _UCRED.size))
    return int(uid)


def identify(connection: socket.SocketType) -> Peer:
    """Ask the kernel who is at the other end of a connected Unix socket; raises OSError."""
    _pid, uid, gid = _UCRED.unpack(connection.getsockopt(_SOCKET, _PEERCRED, _UCRED.size))
    try:
        packed = connection.getsockopt(_SOCKET, _SO_PEERGROUPS, _PYTHON_BUFFER_BYTES)
    except OSError:
        packed = _many_groups(connection.fileno())
    return Peer(uid, frozenset((gid, *struct.unpack(f"{len(packed) // 4}I", packed))), connection)


def _many_groups(descriptor: int) -> bytes:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(_MOST_GROUPS * 4)
    size = ctypes.c_uint(len(buffer))
    if libc.getsockopt(descriptor, socket.SOL_SOCKET, _SO_PEERGROUPS, buffer, ctypes.byref(size)) != 0:
        raise OSError(ctypes.get_errno(), "SO_PEERGROUPS failed")
    return buffer.raw[: size.value]


class PeerRules:
    """Decide what a peer may do. Root and the daemon's own uid may do everything.

    ``admins`` gives user names or numeric uids as configured now. Why no peer's unit can be told is warned of once.
    """

    def __init__(self, admins: Callable[[], Collection[str]], *, own_uid: int | None = None) -> None:
        self._almighty = frozenset((0, os.geteuid() if own_uid is None else own_uid))
        self._admins = admins
        self._users = _Names(lambda name: pwd.getpwnam(name).pw_uid)
        self._groups = _Names(lambda name: grp.getgrnam(name).gr_gid)
        self._warned: set[str] = set()

    def is_admin(self, peer: Peer) -> bool:
        """Tell whether the peer may reload, forget, and refresh unconditionally."""
        return peer.uid in self._almighty or any(self._users.number(name) == peer.uid for name in self._admins())

    def may_read(self, peer: Peer, access: Access | None) -> bool:
        """Tell whether the peer may see a token at all; without a table whoever may connect may read."""
        return (
            access is None
            or peer.uid in self._almighty
            or any(self._users.number(name) == peer.uid for name in access.users)
            or any(self._groups.number(name) in peer.groups for name in access.groups)
            or (bool(access.units) and self._in_units(peer, access.units))
        )

    def _in_units(self, peer: Peer, patterns: Collection[str]) -> bool:
        try:
            return peer.unit is not None and matches(peer.unit, patterns)
        except UnitUnknownError as error:
            if str(error) not in self._warned:
                self._warned.add(str(error))
                structlog.get_logger("tokend.api").warning("units.unknown", detail=str(error))
            return False


class _Names:
    """Names to numbers, remembered for a short while; a numeric name is itself, an unknown one is nobody's (None)."""

    def __init__(self, look_up: Callable[[str], int]) -> None:
        self._look_up = look_up
        self._known: dict[str, tuple[float, int | None]] = {}

    def number(self, name: str) -> int | None:
        now = time.monotonic()
        until, number = self._known.get(name, (0.0, None))
        if now >= until:
            number = self._fresh(name)
            self._known[name] = (now + NAMES_KEPT_SECONDS, number)
        return number

    def _fresh(self, name: str) -> int | None:
        try:
            return self._look_up(name)
        except (KeyError, OSError, ValueError):
            return int(name) if name.isascii() and name.isdigit() else None
