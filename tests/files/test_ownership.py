"""Files are exact in mode, owner and ACL, and have been so before anybody could open them."""

import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.files.children import (
    STRANGER,
    acl,
    acting_as,
    names,
    needs_root,
    public_directory,
    supports_acl,
)
from tokend.files import read_version, replace_file, write_in_place
from tokend.files.acl import ACL, OTHER, USER_OBJ, Reader, acl_of_readers, entries_of
from tokend.files.ownership import Ownership, OwnershipError

MODES = [0o600, 0o640, 0o644, 0o400, 0o777, 0o000]
UMASKS = [0o000, 0o022, 0o077, 0o777]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    """Set the umask, and put it back."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize("mask", UMASKS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("exists", [False, True])
def test_the_mode_is_exact_under_any_umask(
    tmp_path: Path, umask: Callable[[int], int], mask: int, mode: int, exists: bool
) -> None:
    """docs/promises.md 59: for new files and for those that had another mode."""
    path = tmp_path / "token"
    if exists:
        path.write_bytes(b"old")
        path.chmod(0o666)
    umask(mask)
    assert replace_file(path, b"new", Ownership(mode=mode))
    umask(0o022)
    assert mode_of(path) == mode
    path.chmod(0o600)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == {"token"}


def test_a_file_of_another_owner_gets_a_new_inode() -> None:
    """docs/promises.md 50: in a directory that is ours, somebody's file under our name is replaced, readable or not."""
    with public_directory() as directory:
        path = directory / "token"
        path.write_bytes(b"new")
        path.chmod(0o600)
        needs_root()
        os.chown(directory, STRANGER, STRANGER)
        before = path.stat().st_ino
        with acting_as(STRANGER):
            assert replace_file(path, b"new", Ownership(mode=0o600))
        assert (path.stat().st_uid, path.read_bytes()) == (STRANGER, b"new")
        assert path.stat().st_ino != before


def test_owner_and_group_are_set_before_the_name_appears(tmp_path: Path) -> None:
    """As numbers; nothing else is ever seen at the name (the temporary is 0600 and ours at most)."""
    needs_root()
    path = tmp_path / "token"
    assert replace_file(path, b"new", Ownership(mode=0o640, uid=STRANGER, gid=STRANGER + 1))
    found = path.stat()
    assert (found.st_uid, found.st_gid, mode_of(path)) == (STRANGER, STRANGER + 1, 0o640)


def test_an_owner_that_cannot_be_given_leaves_the_old_file(tmp_path: Path) -> None:
    """Not root: the file cannot be given away; it fails by its own name and leaves no temporary."""
    with public_directory() as directory:
        path = directory / "token"
        path.write_bytes(b"old")
        needs_root()
        os.chown(directory, STRANGER, STRANGER)
        with acting_as(STRANGER), pytest.raises(OwnershipError, match="fchown"):
            replace_file(path, b"new", Ownership(mode=0o600, uid=STRANGER + 1))
        assert path.read_bytes() == b"old"
        assert names(directory) == {"token"}


def test_an_edit_keeps_mode_owner_group_and_acl(tmp_path: Path) -> None:
    """In place: also in a directory whose setgid bit and default ACL would have it otherwise."""
    needs_root()
    if not supports_acl(tmp_path):
        pytest.skip("this filesystem keeps no ACLs")
    path = tmp_path / ".env"
    path.write_bytes(b"A=1\n")
    os.chown(path, STRANGER, 0)
    path.chmod(0o640)
    os.setxattr(path, "system.posix_acl_access", acl(user=STRANGER + 7))
    os.chown(tmp_path, 0, STRANGER + 5)
    tmp_path.chmod(0o2755)
    os.setxattr(tmp_path, "system.posix_acl_default", acl(user=STRANGER + 6))
    before, version = path.stat(), read_version(path)
    assert replace_file(path, b"A=2\n", Ownership(), edited=version)
    after = path.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert os.getxattr(path, "system.posix_acl_access") == acl(user=STRANGER + 7)


def test_a_directory_s_default_acl_lets_nobody_in_behind_the_mode(tmp_path: Path) -> None:
    """P5: the mode that was asked for is all that counts; its group bits would become the mask of others' rights."""
    if not supports_acl(tmp_path):
        pytest.skip("this filesystem keeps no ACLs")
    os.setxattr(tmp_path, "system.posix_acl_default", acl())
    path = tmp_path / "token"
    replace_file(path, b"new", Ownership(mode=0o640))
    assert "system.posix_acl_access" not in os.listxattr(path)
    assert mode_of(path) == 0o640


UNIT = """
import os, sys
from pathlib import Path
from tokend.files import replace_file
from tokend.files.ownership import Ownership
os.setgroups({groups})
os.setresgid({gid}, {gid}, {gid})
os.setresuid({uid}, {uid}, {uid})
replace_file(Path(sys.argv[1]), b"new", Ownership(mode=0o640))
"""


@pytest.mark.parametrize(("member", "group"), [(True, "own"), (False, "process")])
def test_a_file_belongs_to_the_users_own_group_and_not_to_the_group_of_the_process(member: bool, group: str) -> None:
    """A unit gives the daemon the group of all clients. A user who is no member of his own group keeps that one."""
    needs_root()
    user = pwd.getpwnam("daemon")
    code = UNIT.format(groups=[user.pw_gid] if member else [], gid=STRANGER, uid=user.pw_uid)
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with public_directory() as directory:
        directory.chmod(0o777)
        subprocess.run([sys.executable, "-c", code, str(directory / "token")], check=True, env=environ)
        assert (directory / "token").stat().st_gid == {"own": user.pw_gid, "process": STRANGER}[group]


READERS: tuple[Reader, ...] = (("user", STRANGER + 1), ("group", STRANGER + 2))


@pytest.fixture
def with_acls(tmp_path: Path) -> Path:
    """A directory whose filesystem keeps ACLs."""
    if not supports_acl(tmp_path):
        pytest.skip("the filesystem has no ACLs")
    return tmp_path


@pytest.mark.parametrize("write", [replace_file, write_in_place])
def test_a_replaced_file_keeps_the_acl_that_the_operator_gave_it(with_acls: Path, write: Callable[..., bool]) -> None:
    """The mode sets the rights of the owner and of others; the mask and the named entries stay."""
    path = with_acls / "token"
    path.write_bytes(b"old")
    os.setxattr(path, ACL, acl(user=STRANGER + 7))
    before = entries_of(os.getxattr(path, ACL))
    assert write(path, b"new", Ownership(mode=0o404))
    after = entries_of(os.getxattr(path, ACL))
    assert [one for one in before if one.tag not in (USER_OBJ, OTHER)] == after[1:-1]
    assert (after[0].permissions, after[-1].permissions) == (4, 4)
    path.read_bytes()
    assert not write(path, b"new", Ownership(mode=0o404)), "it has the wanted rights already"
    assert write(path, b"new", Ownership(mode=0o400)), "other rights alone are a reason to write"


def test_the_acl_of_a_strangers_file_is_not_copied(with_acls: Path) -> None:
    """A stranger who had made the file before us would read the token."""
    needs_root()
    path = with_acls / "token"
    path.write_bytes(b"old")
    os.setxattr(path, ACL, acl(user=STRANGER))
    os.chown(path, STRANGER, STRANGER)
    assert replace_file(path, b"new", Ownership(mode=0o600))
    assert ACL not in os.listxattr(path)
    os.setxattr(path, ACL, acl(user=STRANGER))
    os.chown(path, STRANGER, STRANGER)
    assert replace_file(path, b"newer", Ownership(mode=0o600, uid=STRANGER))
    assert ACL in os.listxattr(path), "the owner that the file must have may give rights on it"


@pytest.mark.parametrize("write", [replace_file, write_in_place])
@pytest.mark.parametrize("exists", [False, True])
def test_readers_have_their_rights_with_the_name(with_acls: Path, write: Callable[..., bool], exists: bool) -> None:
    """And an ACL that differs is corrected although the content is right."""
    path = with_acls / "token"
    if exists:
        path.write_bytes(b"old")
        os.setxattr(path, ACL, acl(user=STRANGER + 7))
    assert write(path, b"new", Ownership(mode=0o600, readers=READERS))
    assert os.getxattr(path, ACL) == acl_of_readers(0o600, READERS)
    assert not write(path, b"new", Ownership(mode=0o600, readers=READERS))
    os.removexattr(path, ACL)
    assert write(path, b"new", Ownership(mode=0o600, readers=READERS))
    assert os.getxattr(path, ACL) == acl_of_readers(0o600, READERS)


def test_a_filesystem_without_acls_fails_the_write_and_keeps_the_file(tmp_path: Path) -> None:
    """Readers without their rights would look like success."""
    needs_root()
    code = (
        "import sys\nfrom pathlib import Path\nfrom tokend.files import replace_file\n"
        "from tokend.files.ownership import Ownership, OwnershipError\n"
        "path = Path(sys.argv[1])\npath.write_bytes(b'old')\n"
        "try: replace_file(path, b'new', Ownership(mode=0o600, readers=(('user', 7),)))\n"
        "except OwnershipError as error: print(error.strerror, path.read_bytes(), len(list(path.parent.iterdir())))\n"
    )
    script = f'mount -t ramfs none {tmp_path}; exec "$0" -c "$1" {tmp_path}/token'
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    argv = ["unshare", "-m", "sh", "-c", script, sys.executable, code]
    done = subprocess.run(argv, check=True, env=environ, capture_output=True, text=True)
    assert done.stdout.strip() == "Operation not supported (setxattr of its ACL) b'old' 1"
