"""Reading files that others may replace."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.files.children import names, needs_root, public_directory
from tokend.files import (
    probe,
    read_version,
    remove_file,
    replace_file,
    write_in_place,
)
from tokend.files.ownership import Ownership
from tokend.files.symlinks import RefusedError


@pytest.mark.parametrize("kind", ["directory", "fifo", "socket", "device"])
def test_what_is_no_file_is_never_opened(kind: str) -> None:
    """docs/promises.md 46, 49: refused by name, untouched; a fifo that was opened would hang this test."""
    with public_directory() as directory:
        path = directory / "token"
        if kind == "directory":
            (path / "inside").mkdir(parents=True)
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(path))
        else:
            needs_root()
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        before = path.lstat()
        calls: list[Callable[[], object]] = [
            lambda: replace_file(path, b"new", Ownership(mode=0o600)),
            lambda: write_in_place(path, b"new", Ownership()),
            lambda: remove_file(path),
            lambda: read_version(path),
            lambda: probe(path),
        ]
        for call in calls:
            with pytest.raises(RefusedError, match=f"it is a {kind}, not a regular file"):
                call()
        assert path.lstat() == before
        assert names(directory) == {"token"}


def test_what_is_too_large_for_a_dotenv_file_is_not_read(tmp_path: Path) -> None:
    """P9: a sparse terabyte must not be read into memory."""
    path = tmp_path / ".env"
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(RefusedError, match="larger"):
        read_version(path)
    assert replace_file(path, b"new", Ownership(mode=0o600)), "writing whole files does not read it either"
