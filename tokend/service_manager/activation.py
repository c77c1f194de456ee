"""Descriptors that systemd passes at the start: listening sockets, and those from its descriptor store.

The protocol is sd_listen_fds(3). `daemon` serves the sockets; `state.fdstore` reads the stored descriptors.
"""

import os
import socket
import stat
from collections.abc import MutableMapping
from dataclasses import dataclass, field

from tokend.values.errors import ConfigError

# SD_LISTEN_FDS_START: the descriptors follow standard error.
FIRST = 3
# int() refuses thousands of digits, and a process cannot have a billion descriptors.
LONGEST_COUNT = 10
# FileDescriptorName= of the socket units: systemd passes descriptors in any order.
API, CREDENTIALS, LOOPBACK = "api", "credentials", "loopback"
_NAMES = (API, CREDENTIALS, LOOPBACK)


@dataclass(slots=True)
class Inherited:
    """Passed descriptors by name: listening ``sockets`` (`API`, …); all others, in the order of arrival."""

    sockets: dict[str, socket.socket] = field(default_factory=dict)
    stored: dict[str, list[int]] = field(default_factory=dict)


def inherit(environ: MutableMapping[str, str] | None = None) -> Inherited:
    """Take the descriptors that were passed to this process. Removes the variables; no child inherits a descriptor.

    Reads and writes nothing. Raises `ConfigError` for a socket that cannot be served: its clients would wait for ever.
    """
    environ = os.environ if environ is None else environ
    pid, count, names = (environ.pop(key, "") for key in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()) or not (count.isascii() and count.isdigit() and len(count) < LONGEST_COUNT):
        return Inherited()
    # Activators other than systemd may set no names.
    every = names.split(":") if names else []
    found = Inherited()
    for index in range(int(count)):
        _take(found, FIRST + index, every[index] if index < len(every) else "unknown")
    return found


def _take(found: Inherited, descriptor: int, name: str) -> None:
    try:
        os.set_inheritable(descriptor, False)
        kind = os.fstat(descriptor).st_mode
    except OSError as error:
        raise ConfigError(f"descriptor {descriptor} of LISTEN_FDS cannot be used: {error.strerror}") from None
    if not stat.S_ISSOCK(kind):
        found.stored.setdefault(name, []).append(descriptor)
        return
    if name not in _NAMES:
        raise ConfigError(
            f"systemd passed a socket named {name!r}: its unit needs FileDescriptorName={API}, ={CREDENTIALS} "
            f"or ={LOOPBACK}"
        )
    if name in found.sockets:
        raise ConfigError(f"systemd passed two sockets named {name!r}: one ListenStream= for each name")
    found.sockets[name] = _listening(descriptor, name)


def _listening(descriptor: int, name: str) -> socket.socket:
    """Return the socket in non-blocking mode. systemd has set its path, permissions and backlog."""
    passed = socket.socket(fileno=descriptor)
    fits = passed.type == socket.SOCK_STREAM and passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if name == LOOPBACK:
        if not fits or passed.family not in (socket.AF_INET, socket.AF_INET6) or not _is_loopback(passed):
            raise ConfigError(
                f"the socket named {name!r} is no listening TCP socket of loopback: use ListenStream=127.0.0.1:PORT"
            )
    elif not fits or passed.family != socket.AF_UNIX:
        raise ConfigError(f"the socket named {name!r} is no listening Unix stream socket: use ListenStream=/a/path")
    passed.setblocking(False)
    return passed


def _is_loopback(passed: socket.socket) -> bool:
    host = str(passed.getsockname()[0])
    return host == "::1" or host.startswith("127.")
