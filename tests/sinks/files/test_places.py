"""Warnings about the places of files: whose directory it is, and who made the file."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.files.children import STRANGER, needs_root, public_directory
from tokend.plugin.settings import PlaceFinding
from tokend.sinks.files.places import place_findings


@pytest.fixture
def theirs() -> Iterator[Path]:
    """A directory of another user."""
    needs_root()
    with public_directory() as directory:
        os.chown(directory, STRANGER, STRANGER)
        yield directory


def found(path: Path, **given: object) -> list[PlaceFinding]:
    keys = {"mode": None, "group": None, "in_place": False, "keeps_owner": False, **given}
    return list(place_findings(path, **keys))  # type: ignore[arg-type]  # the keys of a test


def test_a_new_file_that_the_owner_of_its_directory_cannot_read_is_warned_of(theirs: Path) -> None:
    """The message names the keys that help."""
    (one,) = found(theirs / ".env")
    assert (one.key, one.code, one.is_error) == ("path", "directory_of_another", False)
    assert one.message == (
        f"{theirs}/.env will belong to root:root with mode 0600, and its directory belongs to {STRANGER}, "
        f'who cannot read it: set owner = "{STRANGER}", or group = "{STRANGER}" with mode = "0640"'
    )


@pytest.mark.parametrize("given", [{"mode": "0644"}, {"mode": "0640", "group": "daemon"}, {"mode": "0644"}])
def test_a_file_that_its_readers_can_read_is_not(theirs: Path, given: dict[str, object]) -> None:
    """By everybody's bits, or by those of a group that is named."""
    assert found(theirs / "file", **given) == []


def test_a_file_that_is_there_is_not_judged_here(theirs: Path) -> None:
    """That is done after each write."""
    (theirs / ".env").touch(mode=0o600)
    assert found(theirs / ".env") == []


def test_a_directory_of_ours_or_of_root_is_not_of_another_user(tmp_path: Path) -> None:
    """And one that is missing is reported elsewhere."""
    assert found(tmp_path / "file") == []
    assert found(tmp_path / "nowhere" / "file") == []


def test_in_place_into_a_file_of_another_user_is_an_error() -> None:
    """Its maker may hold it open. The message names the key."""
    needs_root()
    with public_directory() as directory:
        path = directory / "file"
        path.touch()
        assert found(path, in_place=True) == []
        os.chown(path, STRANGER, -1)
        (one,) = found(path, in_place=True)
        assert (one.code, one.is_error) == ("foreign_target", True)
        assert f'add owner = "{STRANGER}" if that is meant' in one.message
        assert found(path) == []


@pytest.mark.parametrize("mode", [0o1777, 0o775])
def test_a_file_that_a_stranger_can_have_made_is_warned_of_where_its_owner_is_kept(mode: int) -> None:
    """In a directory that others may write, anybody can have made the file first. The message names the key."""
    needs_root()
    with public_directory() as directory:
        path = directory / ".env"
        path.touch(mode=0o600)
        os.chown(path, STRANGER, STRANGER)
        directory.chmod(mode)
        (one,) = found(path, keeps_owner=True)
        assert (one.code, one.is_error) == ("foreign_target", False)
        assert f'owner = "{STRANGER}"' in one.message
        assert found(path) == []
        os.chown(path, 0, 0)
        assert found(path, keeps_owner=True) == []


def test_a_file_that_only_the_owner_of_its_directory_or_root_made_is_meant(theirs: Path) -> None:
    """A program's own `.env` keeps its owner without a word."""
    path = theirs / ".env"
    path.touch(mode=0o600)
    os.chown(path, STRANGER, STRANGER)
    assert found(path, keeps_owner=True) == []
    os.chown(theirs, 0, 0)
    assert found(path, keeps_owner=True) == []
