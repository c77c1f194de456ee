"""Space that is reserved for the next write of a file."""

import os
import resource
from pathlib import Path

import pytest

from tokend.files import replace_from_reserve, replace_private, reserve_space, sweep_directory
from tokend.files.reserved import SUFFIX


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def reserve_of(path: Path) -> Path:
    return path.with_name("." + path.name + SUFFIX)


def test_the_space_is_allocated_and_the_next_write_uses_it(tmp_path: Path) -> None:
    """The new file is whole and private, and nothing is left of the reserve."""
    path = tmp_path / "a.json"
    replace_private(path, b"old")
    reserve_space(path, 100_000)
    kept = reserve_of(path).stat()
    assert (kept.st_size, kept.st_mode & 0o777, path.read_bytes()) == (100_000, 0o600, b"old")
    assert kept.st_blocks * 512 >= 100_000
    assert replace_from_reserve(path, b"new")
    assert (path.read_bytes(), path.stat().st_ino, path.stat().st_mode & 0o777) == (b"new", kept.st_ino, 0o600)
    assert names(tmp_path) == ["a.json"]


def test_without_a_reserve_nothing_is_written(tmp_path: Path) -> None:
    """An ordinary write follows."""
    path = tmp_path / "a.json"
    assert not replace_from_reserve(path, b"new")
    assert names(tmp_path) == []


def test_a_reserve_that_is_large_enough_is_kept(tmp_path: Path) -> None:
    """It is asked for again with every save during an exchange."""
    path = tmp_path / "a.json"
    reserve_space(path, 5000)
    first = reserve_of(path).stat()
    reserve_space(path, 4000)
    assert reserve_of(path).stat().st_size == 5000
    reserve_space(path, 6000)
    assert (reserve_of(path).stat().st_size, reserve_of(path).stat().st_ino) == (6000, first.st_ino)


def test_space_that_cannot_be_had_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit of the process stands for a full disk: the allocation fails before anything is sent."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match="large"):
            reserve_space(tmp_path / "a.json", 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == []


def test_a_reserve_that_a_crash_left_is_swept(tmp_path: Path) -> None:
    """Like every temporary."""
    reserve_space(tmp_path / "a.json", 5000)
    sweep_directory(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("odd", ["link", "directory", "second name"])
def test_what_is_no_reserve_of_ours_is_not_written_to(tmp_path: Path, odd: str) -> None:
    """Nobody else's file gets a token."""
    path, other = tmp_path / "a.json", tmp_path / "other"
    other.write_bytes(b"theirs")
    if odd == "link":
        reserve_of(path).symlink_to(other)
    elif odd == "directory":
        reserve_of(path).mkdir()
    else:
        os.link(other, reserve_of(path))
    assert not replace_from_reserve(path, b"new")
    assert other.read_bytes() == b"theirs"
    assert not path.exists()


def test_a_directory_that_was_moved_away_gets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write would be lost there."""
    place = tmp_path / "state"
    place.mkdir()
    path = place / "a.json"
    reserve_space(path, 5000)
    written = os.ftruncate

    def move_away(descriptor: int, size: int) -> None:
        written(descriptor, size)
        place.rename(tmp_path / "moved")
        place.mkdir()

    monkeypatch.setattr(os, "ftruncate", move_away)
    assert not replace_from_reserve(path, b"new")
    assert not path.exists()
