"""Identity of a peer, from the kernel. A pid authorises nothing: it may belong to another process by now."""

import ctypes
import socket
import struct
from dataclasses import dataclass, field
from functools import cached_property

from tokend.access.peer_process import is_contained
from tokend.access.socket_scope import SocketScope
from tokend.access.units import unit_of

_UCRED = struct.Struct("iII")
# Plain numbers: at each accept an enum's member would cost as much as the system call.
_SOCKET, _PEERCRED = int(socket.SOL_SOCKET), int(socket.SO_PEERCRED)
# <asm-generic/socket.h>; Python has no name for it. The groups are those at connect(), as with SO_PEERCRED.
_SO_PEERGROUPS = 59
# Python's getsockopt returns at most 1024 bytes (256 groups); for more groups libc is called.
_PYTHON_BUFFER_BYTES = 1024
# NGROUPS_MAX of Linux.
_MOST_GROUPS = 65536


@dataclass(frozen=True)
class Peer:
    """One process's identity when it connected, in our user namespace; ``groups`` include the primary one.

    ``scope`` is what the peer's socket is for; None for sockets that are for everything.
    """

    uid: int
    groups: frozenset[int]
    # For `unit`, which is rarely needed. The object, not its number: after the connection is closed, the number may be
    # another one's.
    connection: socket.SocketType | None = field(default=None, repr=False, compare=False)
    scope: SocketScope | None = field(default=None, repr=False, compare=False)

    @cached_property
    def unit(self) -> str | None:
        """The peer's systemd unit at the first access; None if it has none or has ended. Raises `UnitUnknownError`."""
        return None if self.connection is None else unit_of(self.connection)

    @cached_property
    def is_contained(self) -> bool:
        """Whether the peer is in a process namespace of its own (a container), or is not visible, at the first access.

        Its uid is then worth no more than that of any user: who may make containers chooses it.
        """
        return self.connection is not None and is_contained(self.connection)


# The peer of a TCP connection, which the kernel does not identify. No process has this uid: (uid_t) -1 means "none" to
# the kernel, and no name in the configuration resolves to it.
NOBODY = Peer(-1, frozenset())


def uid_of(connection: socket.SocketType) -> int:
    """Return the uid of the process at the other end of a connected Unix socket; raises OSError."""
    _pid, uid, _gid = _UCRED.unpack(connection.getsockopt(_SOCKET, _PEERCRED, _UCRED.size))
    return int(uid)


def pid_of(connection: socket.SocketType) -> int:
    """Return the pid of the process at the other end, 0 if it is not visible; raises OSError. Authorises nothing."""
    pid, _uid, _gid = _UCRED.unpack(connection.getsockopt(_SOCKET, _PEERCRED, _UCRED.size))
    return int(pid)


def identify(connection: socket.SocketType, *, scope: SocketScope | None = None) -> Peer:
    """Return the identity of the process at the other end of a connected Unix socket; raises OSError.

    ``scope`` is what the socket is for, if it is not for everything.
    """
    _pid, uid, gid = _UCRED.unpack(connection.getsockopt(_SOCKET, _PEERCRED, _UCRED.size))
    try:
        packed = connection.getsockopt(_SOCKET, _SO_PEERGROUPS, _PYTHON_BUFFER_BYTES)
    except OSError:
        packed = _many_groups(connection.fileno())
    return Peer(uid, frozenset((gid, *struct.unpack(f"{len(packed) // 4}I", packed))), connection, scope)


def _many_groups(descriptor: int) -> bytes:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(_MOST_GROUPS * 4)
    size = ctypes.c_uint(len(buffer))
    if libc.getsockopt(descriptor, socket.SOL_SOCKET, _SO_PEERGROUPS, buffer, ctypes.byref(size)) != 0:
        raise OSError(ctypes.get_errno(), "SO_PEERGROUPS failed")
    return buffer.raw[: size.value]
