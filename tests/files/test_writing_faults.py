"""Faults of filesystems during a write: the old file stays, no temporary stays, and the call is named.

With each error at each call: `test_crash_matrix`."""

import subprocess
from pathlib import Path

import pytest

from tests.files.children import in_own_mounts, names, needs_root, run_traced, stopped_at
from tokend.files import replace_file, write_in_place
from tokend.files.ownership import Ownership

ATTEMPT = """
import errno, os, pathlib
from tokend.files import probe, replace_file, write_in_place
from tokend.files.ownership import Ownership
def attempt(call, *args, **kwargs):
    try:
        print("done", call(*args, **kwargs))
    except OSError as error:
        print(errno.errorcode[error.errno], error.strerror, "|", error.filename)
path = pathlib.Path("place/token").absolute()
"""
PUBLISH = """
import pathlib
from tokend.files import replace_file, replace_private
from tokend.files.ownership import Ownership
replace_private(pathlib.Path({warm!r}), b"warm")
def publish():
    replace_file(pathlib.Path({path!r}), b"new", Ownership(mode=0o640))
"""


def publishing(tmp_path: Path) -> tuple[Path, str]:
    (tmp_path / "place").mkdir(exist_ok=True)
    path = tmp_path / "place" / "token"
    return path, PUBLISH.format(warm=str(tmp_path / "warm"), path=str(path))


def test_a_full_disk_leaves_the_old_token(tmp_path: Path) -> None:
    """docs/promises.md 39, blocks: ENOSPC at the write."""
    mounts = "mkdir place; mount -t tmpfs -o size=8k none place"
    code = ATTEMPT + (
        "path.write_bytes(b'old'); path.chmod(0o600)\n"
        "attempt(replace_file, path, b'n' * 20000, Ownership(mode=0o600))\n"
        "attempt(write_in_place, path, b'n' * 20000, Ownership(mode=0o600))\n"
        "print(path.read_bytes(), os.listdir('place'))\n"
    )
    first, second, left = in_own_mounts(mounts, code, tmp_path).splitlines()
    assert first.startswith("ENOSPC No space left on device (write)")
    assert first.endswith(f"| {tmp_path}/place/token")
    assert second == first
    assert left == "b'old' ['token']"


def test_no_inode_left_leaves_the_old_token(tmp_path: Path) -> None:
    """docs/promises.md 39, inodes: ENOSPC when the temporary is made."""
    mounts = "mkdir place; mount -t tmpfs -o nr_inodes=2 none place"
    code = ATTEMPT + (
        "path.write_bytes(b'old')\n"
        "attempt(replace_file, path, b'new', Ownership(mode=0o600))\n"
        "print(path.read_bytes(), os.listdir('place'))\n"
    )
    first, left = in_own_mounts(mounts, code, tmp_path).splitlines()
    assert first.startswith("ENOSPC No space left on device (open of a temporary file beside it)")
    assert left == "b'old' ['token']"


def test_a_read_only_filesystem_is_reported_at_start_and_at_the_write(tmp_path: Path) -> None:
    """docs/promises.md 41."""
    mounts = "mkdir place; printf old >place/token; mount --bind place place; mount -o remount,ro,bind place"
    code = ATTEMPT + (
        "attempt(probe, path)\n"
        "attempt(replace_file, path, b'new', Ownership(mode=0o600))\n"
        "attempt(write_in_place, path, b'new', Ownership())\n"
        "print(path.read_bytes(), os.listdir('place'))\n"
    )
    *told, left = in_own_mounts(mounts, code, tmp_path).splitlines()
    assert [line.split()[0] for line in told] == ["EROFS"] * 3
    assert left == "b'old' ['token']"


def test_a_single_file_bind_mount_is_written_in_place_only_when_asked(tmp_path: Path) -> None:
    """docs/promises.md 51: EBUSY at the rename, and no copy instead. In place, the mounted file has the token."""
    mounts = "mkdir place; printf old >place/token; printf old >mounted; mount --bind mounted place/token"
    code = ATTEMPT + (
        "attempt(replace_file, path, b'new', Ownership(mode=0o644))\n"
        "print(path.read_bytes(), os.listdir('place'))\n"
        "attempt(write_in_place, path, b'new', Ownership(mode=0o600))\n"
        "print(path.read_bytes(), pathlib.Path('mounted').read_bytes())\n"
    )
    refused, kept, done, left = in_own_mounts(mounts, code, tmp_path).splitlines()
    assert refused.startswith("EBUSY Device or resource busy (rename)")
    assert kept == "b'old' ['token']"
    assert done == "done True"
    assert left == "b'new' b'new'"


def test_an_immutable_file_is_left_alone(tmp_path: Path) -> None:
    """chattr +i: EPERM at the rename, and no temporary is left."""
    needs_root()
    path = tmp_path / "token"
    path.write_bytes(b"old")
    if subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
        pytest.skip("this filesystem knows no immutable files")
    try:
        with pytest.raises(PermissionError, match="open"):
            write_in_place(path, b"new", Ownership())
        with pytest.raises(PermissionError, match="rename"):
            replace_file(path, b"new", Ownership(mode=0o600))
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == {"token"}


@pytest.mark.parametrize("when", [1, 2])
def test_an_fsync_that_fails_once_is_made_good_by_a_new_file(tmp_path: Path, when: int) -> None:
    """docs/promises.md 43, 44: of the file (a new temporary), of the directory (all of it again); the token arrives."""
    path, setup = publishing(tmp_path)
    path.write_bytes(b"old")
    trace = tmp_path / "trace"
    options = ["-e", "trace=fsync,openat", "-e", f"inject=fsync:error=EIO:when={when}"]
    assert run_traced(setup, options, trace) == 0
    assert path.read_bytes() == b"new"
    assert names(path.parent) == {"token"}
    opened = [line for line in trace.read_text().splitlines() if "O_EXCL" in line]
    assert len(opened) == 2, "never the same temporary twice"


def test_a_directory_that_cannot_be_synced_at_all_is_no_failure(tmp_path: Path) -> None:
    """EINVAL is how FUSE and some network filesystems say that they have no such thing."""
    path, setup = publishing(tmp_path)
    assert run_traced(setup, ["-e", "trace=fsync", "-e", "inject=fsync:error=EINVAL:when=2"], tmp_path / "trace") == 0
    assert path.read_bytes() == b"new"


ONCE_MORE = """
import errno
inner = publish
def publish():
    try:
        inner()
    except OSError as error:
        assert error.errno == errno.ESTALE
        inner()
"""


def test_a_directory_that_was_moved_away_is_not_written_into(tmp_path: Path) -> None:
    """docs/promises.md 54: the write fails, and the next one goes to the directory that is at the path by then."""
    path, setup = publishing(tmp_path)
    path.write_bytes(b"old")
    with stopped_at(setup + ONCE_MORE, "fsync", tmp_path / "trace"):
        path.parent.rename(tmp_path / "moved")
        path.parent.mkdir()
    assert names(tmp_path / "moved") == {"token"}
    assert (tmp_path / "moved" / "token").read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_a_directory_that_is_moved_away_right_after_the_rename_counts_as_not_written(tmp_path: Path) -> None:
    """docs/promises.md 54: else the directory that is at the path now would wait for the token after the next."""
    path, setup = publishing(tmp_path)
    with stopped_at(setup + ONCE_MORE, "fsync", tmp_path / "trace", number=2):
        path.parent.rename(tmp_path / "moved")
        path.parent.mkdir()
    assert path.read_bytes() == b"new"


def test_a_directory_that_comes_back_is_written_to_again(tmp_path: Path) -> None:
    """docs/promises.md 53: nothing is kept open that would have to be opened again."""
    path, _ = publishing(tmp_path)
    path.parent.rmdir()
    with pytest.raises(FileNotFoundError):
        replace_file(path, b"new", Ownership(mode=0o600))
    path.parent.mkdir()
    assert replace_file(path, b"new", Ownership(mode=0o600))
    assert names(path.parent) == {"token"}
