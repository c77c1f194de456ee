"""Observation of a file that others may change."""

import os
import socket
from pathlib import Path

import pytest

from tests.files.children import STRANGER, acting_as, needs_root, public_directory
from tokend.files import Ownership, RefusedError, observe, read_own_file, stamp


def test_each_change_of_a_file_changes_its_stamp(tmp_path: Path) -> None:
    """Also one that sets size and time back: the kernel's own time of change cannot be set."""
    path = tmp_path / "file"
    seen = [stamp(path)]
    path.write_text("one")
    seen.append(stamp(path))
    path.write_text("two")
    os.utime(path, ns=(seen[-1].modified, seen[-1].modified))
    seen.append(stamp(path))
    path.chmod(0o640)
    seen.append(stamp(path))
    path.rename(tmp_path / "away")
    seen.append(stamp(path))
    path.write_text("two")
    seen.append(stamp(path))
    assert len(set(seen)) == len(seen) - 1
    assert seen[0] == seen[4]
    assert (seen[3].ownership, seen[4].ownership) == (Ownership(0o640, os.geteuid(), os.getegid()), None)


def test_a_directory_that_comes_back_changes_the_stamp_of_a_missing_file(tmp_path: Path) -> None:
    """A repair that failed is tried at once."""
    path = tmp_path / "directory" / "file"
    before = stamp(path)
    path.parent.mkdir()
    assert stamp(path) != before
    assert stamp(path) == stamp(path)


def test_a_stamp_follows_a_link(tmp_path: Path) -> None:
    """The file behind it is the one that is written."""
    (tmp_path / "real").write_text("one")
    (tmp_path / "link").symlink_to("real")
    assert stamp(tmp_path / "link") == stamp(tmp_path / "real")


def test_at_most_the_asked_bytes_are_read(tmp_path: Path) -> None:
    """A file that somebody has filled costs nothing."""
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    path.chmod(0o640)
    found = observe(path, at_most=3)
    assert found.content == b"123"
    assert found.ownership == Ownership(0o640, os.geteuid(), os.getegid())
    assert observe(tmp_path / "missing", at_most=3).content is None
    assert observe(tmp_path / "nowhere" / "missing", at_most=3).content is None


def test_an_unreadable_file_is_observed_as_empty() -> None:
    """Its owner and mode are known all the same."""
    with public_directory() as directory:
        path = directory / "file"
        path.write_text("one")
        path.chmod(0o600)
        with acting_as(STRANGER):
            found = observe(path, at_most=3)
        assert (found.content, found.ownership.uid) == (b"", 0)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A link, a directory, a socket: never opened."""
    (tmp_path / "link").symlink_to("away")
    (tmp_path / "directory").mkdir()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket"))
    for name in ("link", "directory", "socket"):
        for read in (observe, read_own_file):
            with pytest.raises(RefusedError):
                read(tmp_path / name, at_most=3)
    listening.close()


def test_only_a_file_that_nobody_else_can_have_written_is_our_own(tmp_path: Path) -> None:
    """Owner, mode, and a second name."""
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError):
        read_own_file(path, at_most=10)
    path.write_bytes(b"12345")
    path.chmod(0o644)
    assert read_own_file(path, at_most=5) == b"12345"
    with pytest.raises(RefusedError, match="larger than 4 bytes"):
        read_own_file(path, at_most=4)
    for mode in (0o664, 0o646):
        path.chmod(mode)
        with pytest.raises(RefusedError, match="somebody else may have written it"):
            read_own_file(path, at_most=5)
    path.chmod(0o600)
    os.link(path, tmp_path / "second")
    with pytest.raises(RefusedError, match="somebody else may have written it"):
        read_own_file(path, at_most=5)
    (tmp_path / "second").unlink()
    needs_root()
    os.chown(path, STRANGER, -1)
    with pytest.raises(RefusedError, match="somebody else may have written it"):
        read_own_file(path, at_most=5)
