"""The process at the other end of a Unix socket, through the kernel's pidfd: safe against reused pids.

Root of a container is uid 0 to SO_PEERCRED, whatever capabilities it lacks. The kernel shows such a process with a
number in each process namespace down to its own, so that it differs from root of this machine.
"""

import errno
import os
import re
import socket
from pathlib import Path

_SOCKET = int(socket.SOL_SOCKET)
# <asm-generic/socket.h>, since Linux 6.5; Python has no name for it. The process is the one that called connect().
_SO_PEERPIDFD = 77
# The process's numbers, from the namespace of our /proc inwards. 0: outside of it. -1: the process has ended.
_NUMBERS = re.compile(rb"^NSpid:[ \t]*(-?[0-9]+(?:[ \t]+-?[0-9]+)*)[ \t]*$", re.MULTILINE)


def open_process(connection: socket.SocketType) -> int:
    """Return a pidfd of the process that connected. Raises OSError; ENOPROTOOPT before Linux 6.5."""
    return int(connection.getsockopt(_SOCKET, _SO_PEERPIDFD))


def is_contained(connection: socket.SocketType) -> bool:
    """Return whether the process that connected is in a process namespace of its own, or is not visible from ours.

    A process that has ended counts as not visible: its child would hold the connection. False before Linux 6.5, whose
    kernel does not show it.
    """
    try:
        process = open_process(connection)
    except OSError as error:
        return error.errno != errno.ENOPROTOOPT
    try:
        numbers = _NUMBERS.search(Path(f"/proc/self/fdinfo/{process}").read_bytes())
    except OSError:
        return True
    finally:
        os.close(process)
    return numbers is None or len(numbers[1].split()) != 1 or int(numbers[1]) <= 0
