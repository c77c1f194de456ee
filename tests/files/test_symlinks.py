"""No symbolic link is followed unasked, and none of a stranger's ever."""

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.files.children import STRANGER, acting_as, names, needs_root, public_directory
from tokend.files import ChangedError, Symlink, read_version, remove_file, replace_file
from tokend.files.ownership import Ownership
from tokend.files.symlinks import RefusedError, open_directory, resolve

SIX = Ownership(mode=0o600)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that others can reach."""
    with public_directory() as directory:
        yield directory


def link(path: Path, target: Path | str, uid: int | None = None) -> Path:
    path.symlink_to(target)
    if uid is not None:
        os.lchown(path, uid, uid)
    return path


def test_a_link_is_refused_unless_asked_for(tmp_path: Path) -> None:
    """docs/promises.md 47: link and target are untouched, and it is said what to do."""
    target = tmp_path / "target"
    target.write_bytes(b"theirs")
    link(tmp_path / "token", "target")
    calls: list[Callable[[], object]] = [
        lambda: replace_file(tmp_path / "token", b"new", SIX),
        lambda: remove_file(tmp_path / "token"),
    ]
    for call in calls:
        with pytest.raises(RefusedError, match='symlink = "follow"'):
            call()
    assert (tmp_path / "token").is_symlink()
    assert target.read_bytes() == b"theirs"


def test_a_dangling_link_is_refused_too(tmp_path: Path) -> None:
    """It could be made to lead anywhere before the write."""
    link(tmp_path / "token", "nowhere")
    with pytest.raises(RefusedError):
        replace_file(tmp_path / "token", b"new", SIX)
    assert names(tmp_path) == {"token"}


def test_replace_puts_a_file_where_the_link_was(tmp_path: Path) -> None:
    """The target is untouched."""
    target = tmp_path / "target"
    target.write_bytes(b"theirs")
    link(tmp_path / "token", "target")
    assert replace_file(tmp_path / "token", b"new", SIX, symlink="replace")
    assert not (tmp_path / "token").is_symlink()
    assert (tmp_path / "token").read_bytes() == b"new"
    assert target.read_bytes() == b"theirs"


def test_follow_writes_the_target_and_keeps_every_link(tmp_path: Path) -> None:
    """Through a chain, relative and absolute, over a linked directory and "..": temporaries are beside the target."""
    (tmp_path / "real" / "deep").mkdir(parents=True)
    target = tmp_path / "real" / "token"
    target.write_bytes(b"old")
    link(tmp_path / "linked", "real/deep")
    link(tmp_path / "second", "linked/../token")
    link(tmp_path / "token", tmp_path / "second")
    assert replace_file(tmp_path / "token", b"new", SIX, symlink="follow")
    assert target.read_bytes() == b"new"
    assert all((tmp_path / name).is_symlink() for name in ("token", "second", "linked"))
    assert names(tmp_path / "real") == {"token", "deep"}


def test_follow_makes_the_target_of_our_own_dangling_link(tmp_path: Path) -> None:
    """A link that was laid before the first token."""
    link(tmp_path / "token", "target")
    assert replace_file(tmp_path / "token", b"new", SIX, symlink="follow")
    assert (tmp_path / "target").read_bytes() == b"new"


def test_links_that_go_round_in_a_circle_are_refused(tmp_path: Path) -> None:
    """Also when following: no endless walk."""
    link(tmp_path / "token", "other")
    link(tmp_path / "other", "token")
    with pytest.raises(RefusedError, match="circle"):
        replace_file(tmp_path / "token", b"new", SIX, symlink="follow")


def test_a_strangers_link_is_not_followed(place: Path) -> None:
    """docs/sinks.md: neither the link itself, nor one further down the chain, nor a dangling one."""
    needs_root()
    target = place / "target"
    target.write_bytes(b"theirs")
    link(place / "direct", "target", STRANGER)
    link(place / "dangling", "nowhere", STRANGER)
    link(place / "chain", "direct")
    for name in ("direct", "dangling", "chain"):
        with pytest.raises(RefusedError, match=f"belongs to uid {STRANGER}: not followed"):
            replace_file(place / name, b"new", SIX, symlink="follow")
    assert target.read_bytes() == b"theirs"
    assert not (place / "nowhere").exists()


def test_the_link_of_the_target_s_owner_is_followed(place: Path) -> None:
    """Who owns the file may say where it is."""
    needs_root()
    target = place / "target"
    target.write_bytes(b"old")
    os.chown(target, STRANGER, STRANGER)
    link(place / "token", "target", STRANGER)
    assert replace_file(place / "token", b"new", Ownership(), symlink="follow", edited=read_version(target))
    assert (target.read_bytes(), target.stat().st_uid) == (b"new", STRANGER)


def test_a_link_in_a_strangers_directory_is_not_followed(place: Path) -> None:
    """Each parent is checked like the link: the user who owns the directory can move any link into it."""
    needs_root()
    theirs = place / "theirs"
    theirs.mkdir()
    (place / "target").write_bytes(b"old")
    link(theirs / "token", "../target")
    os.chown(theirs, STRANGER, STRANGER)
    with pytest.raises(RefusedError, match="the link's directory"):
        replace_file(theirs / "token", b"new", SIX, symlink="follow")
    assert (place / "target").read_bytes() == b"old"
    os.chown(place / "target", STRANGER, STRANGER)
    os.lchown(theirs / "token", STRANGER, STRANGER)
    assert replace_file(theirs / "token", b"new", SIX, symlink="follow"), "all of it is the target's owner's"


@pytest.mark.parametrize("symlink", ["refuse", "follow", "replace"])
def test_a_parent_that_is_a_strangers_link_is_refused(place: Path, symlink: Symlink) -> None:
    """docs/promises.md 48: whatever is said about the file itself; a link of ours is no obstacle."""
    needs_root()
    (place / "real").mkdir()
    link(place / "parent", "real", STRANGER)
    with pytest.raises(RefusedError, match="its parent, the link"):
        replace_file(place / "parent" / "token", b"new", SIX, symlink=symlink)
    assert names(place / "real") == set()
    os.lchown(place / "parent", 0, 0)
    assert replace_file(place / "parent" / "token", b"new", SIX, symlink=symlink)
    assert (place / "real" / "token").read_bytes() == b"new"


def test_somebody_else_s_own_links_are_theirs_to_follow(place: Path) -> None:
    """Trust is in this process's uid, not in root alone."""
    needs_root()
    os.chown(place, STRANGER, STRANGER)
    with acting_as(STRANGER):
        (place / "real").mkdir()
        link(place / "parent", "real")
        assert replace_file(place / "parent" / "token", b"new", SIX)


def test_a_directory_that_becomes_a_link_after_the_check_is_not_entered(tmp_path: Path) -> None:
    """Between judging the way and walking it."""
    (tmp_path / "real").mkdir()
    (tmp_path / "evil").mkdir()
    resolved = resolve(tmp_path / "real" / "token", "refuse")
    (tmp_path / "real").rmdir()
    link(tmp_path / "real", "evil")
    with pytest.raises(NotADirectoryError):
        open_directory(resolved.parent)


def test_a_link_that_turned_elsewhere_meanwhile_is_noticed(tmp_path: Path) -> None:
    """An edit is of the file that was read."""
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(name.encode())
    link(tmp_path / ".env", "one")
    version = read_version(tmp_path / ".env", symlink="follow")
    (tmp_path / ".env").unlink()
    link(tmp_path / ".env", "two")
    with pytest.raises(ChangedError):
        replace_file(tmp_path / ".env", b"new", Ownership(), symlink="follow", edited=version)
    assert (tmp_path / "two").read_bytes() == b"two"


def test_an_error_names_the_part_of_the_path_that_could_not_be_opened(tmp_path: Path) -> None:
    """Without descriptors that is the root, before any part of the path."""
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as refused:
        open_directory(tmp_path / "file" / "inner")
    assert refused.value.filename == str(tmp_path / "file")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match=r"Too many open files \(open\)") as none_left:
            open_directory(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert none_left.value.filename == "/"
