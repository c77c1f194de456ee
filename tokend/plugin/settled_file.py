"""Reading of a file that another program writes: its content, and how long ago it was changed. Blocks.

A program that writes a file in place may stop for a moment in the middle. So a file that was changed less than
`SETTLED_SECONDS` ago is read again later, and counts if it is the same then. The caller waits.
"""

import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path

from tokend.values.errors import TransientError

SETTLED_SECONDS = 0.5
# A file on a disk that hangs is abandoned after this.
READ_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class FileContent:
    """The content of a file, and the seconds since it was written (mtime) and since it was changed at all (ctime).

    They are 0 where the time lies in the future: a clock was set back. A program may choose the former, and a copy
    keeps it; nobody can choose the latter. ``stamp`` changes with each write; None if the file was written meanwhile.
    The content may be a secret: it is not in the repr.
    """

    raw: bytes = field(repr=False)
    written_seconds: float
    changed_seconds: float
    stamp: tuple[int, ...] | None

    def is_same(self, other: "FileContent") -> bool:
        """Return whether nobody has written between the two readings, or during one of them."""
        return self.stamp is not None and (self.raw, self.stamp) == (other.raw, other.stamp)


def read_now(path: Path, name: str, *, limit: int) -> FileContent:
    """Read a regular file of at most ``limit`` bytes.

    Raises `TransientError`, which calls the file ``name``, if there is no such file, or while it is being written.
    """
    try:
        return _read(path, name, limit)
    except OSError as error:
        raise TransientError(f"{name} cannot be read: {error.strerror or error}") from None


def _read(path: Path, name: str, limit: int) -> FileContent:
    # Without O_NONBLOCK the open of a fifo would block for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise OSError("it is a directory" if stat.S_ISDIR(before.st_mode) else "it is no regular file")
        raw = b""
        while chunk := os.read(descriptor, limit + 1 - len(raw)):
            raw += chunk
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if len(raw) > limit:
        raise TransientError(f"{name} is larger than {limit // 1024} KiB: no token")
    now = time.time()
    written, changed = (max(0.0, now - moment) for moment in (after.st_mtime, after.st_ctime))
    if (stamp := _stamp(after)) != _stamp(before):
        return FileContent(raw, written, 0.0, None)
    return FileContent(raw, written, changed, stamp)


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
