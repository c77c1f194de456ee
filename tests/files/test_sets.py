"""Sets of files: switched by one rename, never mixed, and nothing else of the directory is touched."""

import os
import stat
import threading
from pathlib import Path

import pytest

from tests.files.children import STRANGER, names, needs_root, public_directory
from tokend.files import Ownership, RefusedError, remove_set, replace_set, set_difference, set_stamp

PRIVATE = Ownership(mode=0o600)
ONE = {"token": b"one", "expires": b"1"}
TWO = {"token": b"two", "header": b"2"}


def target(path: Path) -> str:
    return str(path.readlink())


def held(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in names(path) if not name.startswith("..")}


def test_a_set_is_written_and_replaced_and_old_sets_are_removed(tmp_path: Path) -> None:
    """As the kubelet lays it out; names that are no longer in the set go."""
    path = tmp_path / "directory"
    assert replace_set(path, ONE, PRIVATE) is True
    assert held(path) == ONE
    first = target(path / "..data")
    assert target(path / "token") == "..data/token"
    assert names(path) == {"..data", first, "token", "expires"}
    assert replace_set(path, ONE, PRIVATE) is False
    assert target(path / "..data") == first
    (path / "theirs").write_text("stays")
    assert replace_set(path, TWO, PRIVATE) is True
    assert held(path) == {**TWO, "theirs": b"stays"}
    assert names(path) == {"..data", target(path / "..data"), "token", "header", "theirs"}


def test_modes_and_owners_are_those_of_the_files(tmp_path: Path) -> None:
    """The directories can be searched by all."""
    needs_root()
    path = tmp_path / "directory"
    replace_set(path, ONE, Ownership(mode=0o640, uid=STRANGER, gid=STRANGER))
    for one in (path, path / "..data/"):
        assert stat.S_IMODE(one.stat().st_mode) == 0o755
        assert one.stat().st_uid == STRANGER
    found = (path / "token").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o640, STRANGER, STRANGER)
    assert replace_set(path, ONE, Ownership(mode=0o600, uid=STRANGER)) is True
    assert stat.S_IMODE((path / "token").stat().st_mode) == 0o600


def test_readers_never_see_files_of_two_sets(tmp_path: Path) -> None:
    """A reader that resolves ``..data`` once reads one set, or finds it gone and tries again."""
    path, stop, seen = tmp_path / "directory", threading.Event(), list[tuple[bytes, bytes]]()
    replace_set(path, {"a": b"0", "b": b"0"}, PRIVATE)

    def read() -> None:
        while not stop.is_set():
            try:
                inner = os.open(path / "..data", os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue
            try:
                with os.fdopen(os.open("a", os.O_RDONLY, dir_fd=inner), "rb") as a:
                    first = a.read()
                with os.fdopen(os.open("b", os.O_RDONLY, dir_fd=inner), "rb") as b:
                    seen.append((first, b.read()))
            except FileNotFoundError:
                continue
            finally:
                os.close(inner)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        replace_set(path, {"a": b"%d" % number, "b": b"%d" % number}, PRIVATE)
    stop.set()
    reader.join()
    assert seen
    assert all(a == b for a, b in seen)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda p: (p / "token").unlink(), "token was deleted"),
        (lambda p: (p / "..data").unlink(), "token was deleted"),
        (lambda p: (p / "token").write_bytes(b""), "token was overwritten"),
        (lambda p: (p / "token").chmod(0o644), "token has another owner, group or mode"),
        (lambda p: (p / "..data/token").unlink(), "token was deleted"),
        (lambda p: ((p / "token").unlink(), (p / "token").write_bytes(b"one")), "token leads elsewhere"),
    ],
)
def test_each_change_by_others_is_found_and_undone(tmp_path: Path, change: object, what: str) -> None:
    """And changes the stamp."""
    path = tmp_path / "directory"
    replace_set(path, ONE, PRIVATE)
    assert set_difference(path, ONE, PRIVATE) is None
    before = set_stamp(path, ONE)
    change(path)  # type: ignore[operator]  # a function of the path
    assert set_stamp(path, ONE) != before
    assert set_difference(path, ONE, PRIVATE) == (what, os.geteuid())
    assert replace_set(path, ONE, PRIVATE) is True
    assert set_difference(path, ONE, PRIVATE) is None
    assert held(path) == ONE


def test_a_directory_that_is_gone_is_made_again_and_its_parent_is_not(tmp_path: Path) -> None:
    """The directory is the target; its parent is somebody else's business."""
    path = tmp_path / "parent" / "directory"
    assert set_difference(path, ONE, PRIVATE) == ("it was deleted", None)
    assert remove_set(path) is False
    with pytest.raises(FileNotFoundError, match="does not exist"):
        replace_set(path, ONE, PRIVATE)
    path.parent.mkdir()
    assert replace_set(path, ONE, PRIVATE) is True


def test_a_removed_set_leaves_the_directory_and_what_others_put_there(tmp_path: Path) -> None:
    """No token stays, in no old set either."""
    path = tmp_path / "directory"
    replace_set(path, ONE, PRIVATE)
    (path / "theirs").write_text("stays")
    assert remove_set(path) is True
    assert names(path) == {"theirs"}
    assert remove_set(path) is False


def test_what_a_crash_left_is_removed_with_the_next_set(tmp_path: Path) -> None:
    """Half a set, and a link that was not renamed. Names that only look like ours stay."""
    path = tmp_path / "directory"
    replace_set(path, ONE, PRIVATE)
    (path / "..2026_01_01_00_00_00.0123abcd").mkdir()
    (path / "..2026_01_01_00_00_00.0123abcd" / "token").write_text("half")
    (path / "..link-0123abcd").symlink_to("anywhere")
    (path / "..2026_notours").mkdir()
    replace_set(path, TWO, PRIVATE)
    assert names(path) == {"..data", target(path / "..data"), "token", "header", "..2026_notours"}


def test_a_directory_or_a_link_of_somebody_else_is_not_written_into() -> None:
    """He could exchange what is in it."""
    needs_root()
    with public_directory() as directory:
        theirs = directory / "theirs"
        theirs.mkdir()
        os.chown(theirs, STRANGER, STRANGER)
        with pytest.raises(RefusedError, match=f"the directory belongs to uid {STRANGER}: not written into"):
            replace_set(theirs, ONE, PRIVATE)
        assert names(theirs) == set()
        (directory / "link").symlink_to("theirs")
        with pytest.raises(RefusedError, match="symbolic link"):
            replace_set(directory / "link", ONE, PRIVATE)
        (directory / "file").write_text("x")
        with pytest.raises(NotADirectoryError):
            replace_set(directory / "file", ONE, PRIVATE)


def test_a_set_that_cannot_be_written_leaves_the_present_one(tmp_path: Path) -> None:
    """A name that is a directory of others: the files are switched, the name is theirs, and the error says which."""
    path = tmp_path / "directory"
    replace_set(path, ONE, PRIVATE)
    before = target(path / "..data")
    with pytest.raises(OSError, match="open") as refused:
        replace_set(path, {**ONE, "x" * 300: b"too long"}, PRIVATE)
    assert "x" * 300 in str(refused.value.filename)
    assert target(path / "..data") == before
    assert names(path) == {"..data", before, "token", "expires"}
