"""The number of times that a file is opened: by this a process is seen that tries a lock again and again."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

IN_OPEN = 0x20
EVENT_BYTES = 16  # without a name: the file itself is watched


class Opened:
    """What inotify(7) says of one file, from now on."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._count = descriptor, 0

    def count(self) -> int:
        """How often it was opened at least; the kernel makes one of several that nobody has asked for."""
        with suppress(BlockingIOError):
            self._count += len(os.read(self._descriptor, 4096)) // EVENT_BYTES
        return self._count


@contextmanager
def watched(path: Path) -> Iterator[Opened]:
    """Count in this block."""
    libc = ctypes.CDLL(None)
    descriptor: int = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        assert libc.inotify_add_watch(descriptor, os.fsencode(path), IN_OPEN) > 0
        yield Opened(descriptor)
    finally:
        os.close(descriptor)
