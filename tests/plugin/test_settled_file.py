"""Files that another program writes: their content, their age, and what is no such file."""

import os
import threading
import time
from pathlib import Path

import pytest

from tokend.plugin.settled_file import read_now
from tokend.values.errors import TransientError

LONG_AGO = 3600


def test_a_file_is_as_old_as_its_last_change_whatever_its_writer_says(tmp_path: Path) -> None:
    """A copy keeps the time of the writing. That of the change is the kernel's."""
    path = tmp_path / "token"
    path.write_bytes(b"fake-token\n")
    written = path.stat().st_mtime - LONG_AGO
    os.utime(path, (written, written))
    found = read_now(path, "file token", limit=100)
    assert found.raw == b"fake-token\n"
    assert LONG_AGO <= found.written_seconds < LONG_AGO + 60
    assert found.changed_seconds < 60
    assert b"fake" not in repr(found).encode()
    os.utime(path, (written + 10 * LONG_AGO, written + 10 * LONG_AGO))
    assert read_now(path, "file token", limit=100).written_seconds == 0


def test_two_readings_are_the_same_if_nobody_wrote_between_them(tmp_path: Path) -> None:
    """The same text, written again, may be the first half of a new one."""
    path = tmp_path / "token"
    path.write_bytes(b"fake")
    first = read_now(path, "file token", limit=100)
    assert first.is_same(read_now(path, "file token", limit=100))
    path.rename(tmp_path / "old")
    path.write_bytes(b"fake")
    assert not first.is_same(read_now(path, "file token", limit=100))


class Growing:
    """A program that writes to the file all the time."""

    def __init__(self, path: Path) -> None:
        self._path, self._end = path, threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _write(self) -> None:
        with self._path.open("ab", buffering=0) as file:
            while not self._end.is_set():
                file.write(b"x")


def test_a_file_that_is_written_while_it_is_read_is_the_same_as_no_other_reading(tmp_path: Path) -> None:
    """Its status before the reading is another than after it."""
    path = tmp_path / "token"
    with Growing(path):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                found = read_now(path, "file token", limit=1 << 24)
            except TransientError:
                continue  # it is not there yet
            if found.stamp is None:
                break
    assert found.changed_seconds == 0
    assert not found.is_same(found)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: None, "file token cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "file token cannot be read: it is a directory"),
        (os.mkfifo, "file token cannot be read: it is no regular file"),
        (lambda path: path.symlink_to(path), "file token cannot be read: Too many levels of symbolic links"),
        (lambda path: path.write_bytes(bytes(101 * 1024)), "file token is larger than 100 KiB"),
    ],
    ids=["none", "directory", "fifo", "loop", "large"],
)
def test_what_is_no_file_with_a_token_is_named(tmp_path: Path, make: object, why: str) -> None:
    """A fifo is not waited for, and a large file is not read to its end."""
    assert callable(make)
    make(tmp_path / "token")
    with pytest.raises(TransientError) as refused:
        read_now(tmp_path / "token", "file token", limit=100 * 1024)
    assert why in refused.value.detail
