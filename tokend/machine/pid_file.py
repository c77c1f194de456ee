"""Signals to the process that a pid file names. Its reader may control the file, so the file proves nothing by itself.

A process gets the signal only if it runs as the owner of the file (root's files may name any process): who may write
the file could have sent the signal himself. tokend and init never get one.
"""

import errno
import os
import signal
import stat
from pathlib import Path

from tokend.values.errors import SinkError

# proc(5): the largest possible pid_max.
LARGEST_PID = 2**22
LONGEST_PID_FILE = 64
INIT = 1


def send_signal(path: Path, number: signal.Signals) -> None:
    """Send a signal to the process of a pid file. Raises `SinkError`; no process got the signal then. Blocks."""
    try:
        pid, owner = _read(path)
    except OSError as error:
        why = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise SinkError(f"signal: {path}: {why}") from None
    try:
        # The descriptor first: if the process ends now, another process may get its id, but not this descriptor. The id
        # of a thread is refused.
        process = os.pidfd_open(pid)
        try:
            if owner != 0:
                _check_runs_as(pid, owner, path)
            signal.pidfd_send_signal(process, number)
        finally:
            os.close(process)
    except OSError as error:
        raise SinkError(f"signal: {path}: process {pid}: {error.strerror}") from None


def _read(path: Path) -> tuple[int, int]:
    """Return the process id in a pid file, and the uid of the file's owner. Raises `SinkError` and OSError."""
    # Without O_NONBLOCK the open of a fifo would block for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise SinkError(f"signal: {path} is no regular file")
        if found.st_nlink > 1:
            raise SinkError(f"signal: {path} is a hard link: the owner of the file need not have put it there")
        text = os.read(descriptor, LONGEST_PID_FILE + 1)
    finally:
        os.close(descriptor)
    text = text.strip() if len(text) <= LONGEST_PID_FILE else b""
    if not text.isdigit() or not INIT < int(text) <= LARGEST_PID:
        raise SinkError(f"signal: {path} holds no process id")
    if int(text) == os.getpid():
        raise SinkError(f"signal: {path} names tokend itself")
    return int(text), found.st_uid


def _check_runs_as(pid: int, owner: int, path: Path) -> None:
    """Raise `SinkError` unless all user ids of a process are ``owner``."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        # ProtectProc=invisible hides the processes of others: an unprivileged daemon could not signal them either.
        raise SinkError(f"signal: {path}: process {pid} has ended, or runs as another user") from None
    uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
    if set(uids) != {str(owner)}:
        raise SinkError(
            f"signal: {path} belongs to uid {owner}, process {pid} runs as uid {uids[1]}: "
            "the pid file must belong to root or to the user of the process"
        )
