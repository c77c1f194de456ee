"""Warnings about files that hold the token: an ACL that stays, and a file that only tokend can read."""

import os
from pathlib import Path

import pytest

from tests.files.children import STRANGER, acl, needs_root, public_directory, supports_acl
from tests.sinks.leases import lease, sink
from tokend.files.acl import ACL


def codes(path: Path, **keys: object) -> list[str]:
    """Write the file, and return the codes of its warnings."""
    made = sink("raw", path, **keys)
    made.write(lease())
    found = made.remarks()
    assert all(str(path) in one.message for one in found)
    return [one.code for one in found]


def test_an_ordinary_file_has_no_warnings(tmp_path: Path) -> None:
    """Also where it is not there any more."""
    assert codes(tmp_path / "token") == []
    (tmp_path / "token").unlink()
    assert sink("raw", tmp_path / "token").remarks() == []


def test_an_acl_that_stays_is_reported(tmp_path: Path) -> None:
    """The mode of the settings is not the mode of the file then. With readers the ACL is the settings'."""
    if not supports_acl(tmp_path):
        pytest.skip("the filesystem has no ACLs")
    (tmp_path / "token").touch()
    os.setxattr(tmp_path / "token", ACL, acl(user=STRANGER))
    assert codes(tmp_path / "token") == ["acl_kept"]
    assert codes(tmp_path / "token", readers=[f"user:{STRANGER}"]) == []


def test_a_file_that_only_tokend_can_read_in_the_directory_of_another_is_reported() -> None:
    """The warning names the keys. Settings that name an owner, a group or readers are meant so."""
    needs_root()
    with public_directory() as directory:
        os.chown(directory, STRANGER, STRANGER)
        assert codes(directory / "token") == ["only_for_tokend"]
        (warning,) = sink("raw", directory / "token").remarks()
        assert f'set owner = "{STRANGER}", or group and mode = "0640"' in warning.message
        assert codes(directory / "open", mode="0644") == []
        assert codes(directory / "theirs", owner=str(STRANGER)) == []
        assert codes(directory / "meant", owner=str(os.geteuid())) == []
        assert codes(directory / "shared", group=str(STRANGER), mode="0640") == []
