"""Space that is reserved for the next write of a private file: a write after a request must not find a full disk.

The space is a preallocated temporary beside the file. The write fills it and gives it the file's name: neither needs a
new block on ext4, XFS or tmpfs, and the quota is charged beforehand. A file system that copies on write (btrfs, ZFS)
may need new blocks all the same; one that cannot preallocate reserves nothing. What a crash leaves is swept like any
temporary.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from tokend.files.descriptors import with_reserve
from tokend.files.durable import closing, sync_directory, write_all
from tokend.files.reading import directory_of
from tokend.files.symlinks import named, resolve
from tokend.files.temporaries import MARK

# Eight digits, as in every temporary's name, but always the same ones.
SUFFIX = MARK + "00000000"
CANNOT_PREALLOCATE = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


@with_reserve
def reserve_space(path: Path, size: int) -> None:
    """Reserve ``size`` bytes for the next write of ``path``, durably. Raises OSError, for a full disk as well."""
    path = resolve(path, "replace")
    name = "." + path.name + SUFFIX
    with directory_of(path) as directory:
        with named(path, "open of a reserve beside it"):
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            descriptor = os.open(name, flags, 0o600, dir_fd=directory)
        try:
            with closing(descriptor, path):
                if os.fstat(descriptor).st_size >= size:
                    return
                with named(path, "fallocate"):
                    _preallocate(descriptor, size)
                with named(path, "fsync"):
                    os.fsync(descriptor)
            sync_directory(directory, path)
        except OSError:
            with suppress(OSError):
                os.unlink(name, dir_fd=directory)
            raise


@with_reserve
def replace_from_reserve(path: Path, content: bytes) -> bool:
    """Write ``content`` to ``path`` in the reserved space. False if there is none, or if it cannot be used: nothing is
    changed then, and an ordinary write must follow."""
    path = resolve(path, "replace")
    name = "." + path.name + SUFFIX
    with directory_of(path) as directory:
        try:
            flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            descriptor = os.open(name, flags, dir_fd=directory)
        except OSError:
            return False
        try:
            with closing(descriptor, path):
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_uid != os.geteuid():
                    return False
                write_all(descriptor, path, content)
            if not os.path.samestat(path.parent.stat(), os.fstat(directory)):
                return False  # the directory was moved away
            os.rename(name, path.name, src_dir_fd=directory, dst_dir_fd=directory)
            sync_directory(directory, path)
        except OSError:
            return False
        else:
            return True
        finally:
            with suppress(OSError):
                os.unlink(name, dir_fd=directory)


def _preallocate(descriptor: int, size: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in CANNOT_PREALLOCATE:
            raise
