"""POSIX ACLs as bytes, held to what getfacl and setfacl of the machine read and write."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.files.children import supports_acl
from tokend.files.acl import ACL, acl_of_readers, entries_of, with_mode


def listed(path: Path) -> list[str]:
    """The entries as getfacl prints them, with numbers."""
    done = subprocess.run(["getfacl", "-n", "-c", "-E", str(path)], check=True, capture_output=True, text=True)
    return done.stdout.split()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    if not supports_acl(tmp_path):
        pytest.skip("the filesystem has no ACLs")
    if shutil.which("getfacl") is None:
        pytest.skip("needs getfacl and setfacl (package acl)")
    made = tmp_path / "file"
    made.write_bytes(b"")
    made.chmod(0o600)
    return made


def test_readers_get_what_getfacl_shows(path: Path) -> None:
    """In the kernel's order, with a mask that covers them."""
    os.setxattr(path, ACL, acl_of_readers(0o600, [("group", 7), ("user", 54322), ("user", 54321), ("group", 7)]))
    assert listed(path) == [
        "user::rw-", "user:54321:r--", "user:54322:r--", "group::---", "group:7:r--", "mask::r--", "other::---",
    ]  # fmt: skip
    assert os.getxattr(path, ACL) == acl_of_readers(0o600, [("user", 54321), ("user", 54322), ("group", 7)])


RIGHTS = [(0o640, "r--", "r--"), (0o664, "rw-", "rw-"), (0o610, "--x", "r-x")]


@pytest.mark.parametrize(("mode", "group", "mask"), RIGHTS)
def test_the_mask_covers_the_group_of_the_mode(path: Path, mode: int, group: str, mask: str) -> None:
    """Otherwise the readers would take a right from the group."""
    os.setxattr(path, ACL, acl_of_readers(mode, [("user", 54321)]))
    assert [f"group::{group}", f"mask::{mask}"] == listed(path)[2:4]


def test_a_mode_sets_the_rights_of_owner_and_others_only(path: Path) -> None:
    """Named entries, the group's and the mask stay as setfacl has set them."""
    subprocess.run(["setfacl", "-m", "u:54321:rw,g:7:r,g::r,m::r", str(path)], check=True)
    before = listed(path)
    os.setxattr(path, ACL, with_mode(os.getxattr(path, ACL), 0o404))
    after = listed(path)
    assert (after[0], after[-1]) == ("user::r--", "other::r--")
    assert after[1:-1] == before[1:-1]
    assert with_mode(os.getxattr(path, ACL), 0o404) == os.getxattr(path, ACL)


@pytest.mark.parametrize("bad", [b"", b"\2\0\0", b"\3\0\0\0", b"\2\0\0\0\1"])
def test_other_bytes_are_no_acl(bad: bytes) -> None:
    """Of another version, or cut."""
    with pytest.raises(ValueError, match="not a POSIX ACL"):
        entries_of(bad)
