"""Files are written whole, next to everything else that may stand at a name, and nothing is left behind."""

import errno
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.files.children import STRANGER, acting_as, environment, names, needs_root, public_directory
from tokend.files import (
    ChangedError,
    probe,
    read_version,
    remove_file,
    replace_file,
    replace_private,
    write_in_place,
)
from tokend.files.ownership import Ownership
from tokend.files.symlinks import RefusedError


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_equal_content_is_not_rewritten(tmp_path: Path) -> None:
    """The same inode stays, so that watchers see nothing; a wrong mode is a difference, though."""
    path = tmp_path / "token"
    assert replace_file(path, b"new", Ownership(mode=0o640))
    before = path.stat()
    assert not replace_file(path, b"new", Ownership(mode=0o640))
    after = path.stat()
    # Not the whole: reading the file moves its access time.
    assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )
    assert replace_file(path, b"new", Ownership(mode=0o600))
    assert mode_of(path) == 0o600


def test_a_hard_link_keeps_the_content_that_its_other_name_has(tmp_path: Path) -> None:
    """docs/promises.md 50: a new inode, also where the content is equal already."""
    path, other = tmp_path / "token", tmp_path / "other"
    other.write_bytes(b"theirs")
    other.chmod(0o600)
    path.hardlink_to(other)
    assert replace_file(path, b"theirs", Ownership(mode=0o600))
    assert path.stat().st_ino != other.stat().st_ino
    assert replace_file(path, b"new", Ownership(mode=0o600))
    assert other.read_bytes() == b"theirs"


def test_in_place_refuses_a_hard_link(tmp_path: Path) -> None:
    """docs/promises.md 50: never the other name's content, whatever was chosen."""
    path, other = tmp_path / "token", tmp_path / "other"
    other.write_bytes(b"theirs")
    path.hardlink_to(other)
    with pytest.raises(RefusedError, match="another name"):
        write_in_place(path, b"new", Ownership())
    assert other.read_bytes() == b"theirs"


def test_in_place_keeps_the_inode_and_cuts_what_was_longer(tmp_path: Path) -> None:
    """That is what a single-file bind mount needs."""
    path = tmp_path / "token"
    path.write_bytes(b"a much longer old value")
    inode = path.stat().st_ino
    assert write_in_place(path, b"new", Ownership(mode=0o640))
    assert (path.read_bytes(), path.stat().st_ino, mode_of(path)) == (b"new", inode, 0o640)
    assert not write_in_place(path, b"new", Ownership(mode=0o640))
    assert names(tmp_path) == {"token"}


def test_in_place_makes_a_missing_file_whole(tmp_path: Path) -> None:
    """Where there is nothing yet, nothing can be torn; and it is nobody else's for a moment."""
    assert write_in_place(tmp_path / "token", b"new", Ownership(mode=0o640))
    assert (tmp_path / "token").read_bytes() == b"new"
    assert mode_of(tmp_path / "token") == 0o640


def test_an_in_place_write_that_fails_puts_the_old_content_back(tmp_path: Path) -> None:
    """The file grew into its limit (a real short write, then EFBIG): the old token is still there."""
    code = (
        "import pathlib, resource, signal, sys\n"
        "from tokend.files import write_in_place\nfrom tokend.files.ownership import Ownership\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))\n"
        "try: write_in_place(pathlib.Path(sys.argv[1]), b'n' * 10000, Ownership())\n"
        "except OSError as error: print(error.errno)\n"
    )
    path = tmp_path / "token"
    path.write_bytes(b"old" * 100)
    done = subprocess.run([sys.executable, "-c", code, path], env=environment(), capture_output=True, check=True)
    assert int(done.stdout) == errno.EFBIG
    assert path.read_bytes() == b"old" * 100


def test_a_short_write_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    """docs/promises.md 60: write(2) takes 4096 bytes, the rest fails: the old file stays, and no temporary."""
    code = (
        "import pathlib, resource, sys\n"
        "from tokend.files import replace_private\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))\n"
        "try: replace_private(pathlib.Path(sys.argv[1]), b'n' * 10000)\n"
        "except OSError as error: print(error.errno, error.filename, 'write' in error.strerror)\n"
    )
    path = tmp_path / "token"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", code, path], env=environment(), capture_output=True, check=True)
    assert done.stdout.decode().split() == [str(errno.EFBIG), str(path), "True"]
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == {"token"}


def test_an_edit_of_a_file_that_changed_meanwhile_starts_again(tmp_path: Path) -> None:
    """Other content, another mode, gone, newly there: their version is untouched each time."""
    path = tmp_path / ".env"

    def change(how: Callable[[], object]) -> None:
        path.write_bytes(b"A=1\n")
        path.chmod(0o600)
        version = read_version(path)
        how()
        for way in (replace_file, write_in_place):
            with pytest.raises(ChangedError):
                way(path, b"A=2\n", Ownership(), edited=version)

    change(lambda: path.write_bytes(b"A=theirs\n"))
    assert path.read_bytes() == b"A=theirs\n"
    change(lambda: path.chmod(0o644))
    assert mode_of(path) == 0o644
    path.unlink()
    nothing = read_version(path)
    assert nothing.content is None
    path.write_bytes(b"theirs\n")
    with pytest.raises(ChangedError):
        replace_file(path, b"A=2\n", Ownership(), edited=nothing)
    assert path.read_bytes() == b"theirs\n"
    assert names(tmp_path) == {".env"}


def test_a_very_long_name_and_one_that_is_not_utf8_can_be_written(tmp_path: Path) -> None:
    """The temporary's name must fit beside them, and be swept."""
    for name in ("n" * 255, os.fsdecode(b"caf\xe9" + b"x" * 240)):
        path = tmp_path / name
        assert replace_file(path, b"new", Ownership(mode=0o600))
        assert path.read_bytes() == b"new"
        probe(path)
        assert remove_file(path)
    assert names(tmp_path) == set()


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    """Not the file, not even its directory."""
    assert not remove_file(tmp_path / "token")
    assert not remove_file(tmp_path / "nowhere" / "token")
    assert read_version(tmp_path / "nowhere" / "token").content is None


def test_errors_name_the_path_and_the_call(tmp_path: Path) -> None:
    """docs/promises.md 42: the message names both."""
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist"):
        replace_file(tmp_path / "nowhere" / "token", b"new", Ownership(mode=0o600))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError) as refused:
        replace_file(tmp_path / "file" / "token", b"new", Ownership(mode=0o600))
    assert refused.value.filename == str(tmp_path / "file" / "token")


def test_an_unwritable_directory_is_reported_by_probe_and_by_write() -> None:
    """docs/promises.md 42; in place only the file itself must be writable."""
    with public_directory() as directory:
        path = directory / "token"
        path.write_bytes(b"old")
        path.chmod(0o666)
        with acting_as(STRANGER):
            with pytest.raises(PermissionError, match="not writable"):
                probe(path)
            probe(path, in_place=True)
            with pytest.raises(PermissionError, match="open of a temporary"):
                replace_file(path, b"new", Ownership(mode=0o600))
            assert write_in_place(path, b"new", Ownership())
        path.chmod(0o644)
        with acting_as(STRANGER), pytest.raises(PermissionError, match="not writable"):
            probe(path, in_place=True)


def test_a_directory_that_only_lets_through_is_enough_on_the_way() -> None:
    """The parents of the directory need no read permission."""
    with public_directory() as directory:
        inner = directory / "closed" / "open"
        inner.mkdir(parents=True)
        needs_root()
        os.chown(inner, STRANGER, STRANGER)
        (directory / "closed").chmod(0o711)
        with acting_as(STRANGER):
            replace_private(inner / "token", b"new")
        assert (inner / "token").read_bytes() == b"new"


def test_in_place_the_owner_is_the_one_that_the_file_must_have() -> None:
    """It is not given to him: its maker may hold it open, and would read the token."""
    needs_root()
    with public_directory() as directory:
        path = directory / "file"
        path.write_bytes(b"old")
        os.chown(path, STRANGER, -1)
        with pytest.raises(RefusedError, match=f"it belongs to uid {STRANGER}, and its owner must be uid 0"):
            write_in_place(path, b"new", Ownership(uid=0))
        assert (path.read_bytes(), path.stat().st_uid) == (b"old", STRANGER)
        assert write_in_place(path, b"new", Ownership(uid=STRANGER))
        assert path.read_bytes() == b"new"


def test_in_place_hardly_more_is_read_than_is_written(tmp_path: Path) -> None:
    """A sparse file of 4 GB costs no memory; without its old content a failed write cannot be undone."""
    path = tmp_path / "file"
    path.touch()
    os.truncate(path, 4 * 1024**3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert write_in_place(path, b"new", Ownership())
    assert path.read_bytes() == b"new"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_a_file_that_was_exchanged_between_look_and_open_is_not_written(tmp_path: Path) -> None:
    """Somebody renames another file into its place at that moment."""
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_bytes(b"old")
    other.write_bytes(b"theirs")
    code = (
        "import os, sys\n"
        "from tokend.files import ChangedError, Ownership, write_in_place\n"
        "from pathlib import Path\n"
        "def exchange(event, given):\n"
        "    if event == 'open' and given[0] == 'file' and given[2] & os.O_WRONLY:\n"
        "        os.rename('other', 'file')\n"
        "sys.addaudithook(exchange)\n"
        "try:\n"
        "    write_in_place(Path('file'), b'new', Ownership())\n"
        "except ChangedError:\n"
        "    print('changed')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, check=True
    )
    assert done.stdout == b"changed\n"
    assert path.read_bytes() == b"theirs"
