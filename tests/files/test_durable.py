"""Steps of a durable write: whole, cut to length, and with errors that name path and call."""

import errno
import os
from pathlib import Path

import pytest

from tokend.files.durable import closing, sync_directory, write_all


def test_a_longer_content_leaves_nothing_behind(tmp_path: Path) -> None:
    """What is written is all that the file has."""
    path = tmp_path / "file"
    path.write_bytes(b"a longer content")
    descriptor = os.open(path, os.O_WRONLY)
    with closing(descriptor, path):
        write_all(descriptor, path, b"short")
    assert path.read_bytes() == b"short"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_errors_name_the_path_and_the_call(tmp_path: Path) -> None:
    """Of a full device, and of a descriptor that is closed already."""
    descriptor = os.open("/dev/full", os.O_WRONLY)
    with closing(descriptor, tmp_path / "x"), pytest.raises(OSError, match=r"No space left on device \(write\)"):
        write_all(descriptor, tmp_path / "x", b"x")
    with pytest.raises(OSError, match=r"Bad file descriptor \(close\): .*/x"), closing(descriptor, tmp_path / "x"):
        pass


def test_a_filesystem_that_cannot_sync_directories_is_no_error(tmp_path: Path) -> None:
    """Some network and FUSE filesystems; here procfs. Other errors are."""
    descriptor = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    with closing(descriptor, Path("/proc")):
        with pytest.raises(OSError, match="Invalid argument") as refused:
            os.fsync(descriptor)
        assert refused.value.errno == errno.EINVAL
        sync_directory(descriptor, Path("/proc"))
    with pytest.raises(OSError, match=r"Bad file descriptor \(fsync of its directory\)"):
        sync_directory(descriptor, tmp_path / "x")
