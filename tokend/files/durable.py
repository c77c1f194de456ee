"""Steps of a durable write on open descriptors. Functions raise OSError with the path and the call that failed."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokend.files.symlinks import named


@contextmanager
def closing(descriptor: int, path: Path) -> Iterator[None]:
    """Close a descriptor that was written through. Raises the error of the close."""
    try:
        yield
    finally:
        with named(path, "close"):  # some filesystems report here that the data did not arrive
            os.close(descriptor)


def write_all(descriptor: int, path: Path, content: bytes) -> None:
    """Write from the current position, truncate the rest, and fsync."""
    with named(path, "write"):
        view = memoryview(content)
        while view:  # write(2) may write less than it was given
            view = view[os.write(descriptor, view) :]
    with named(path, "ftruncate"):
        os.ftruncate(descriptor, len(content))
    with named(path, "fsync"):
        os.fsync(descriptor)


def sync_directory(directory: int, path: Path, call: str = "fsync of its directory") -> None:
    """Make the names in an open directory durable; ``path`` and ``call`` are for the message."""
    try:
        with named(path, call):
            os.fsync(directory)
    except OSError as error:
        # Some network and FUSE filesystems cannot sync a directory at all.
        if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP}:
            raise
