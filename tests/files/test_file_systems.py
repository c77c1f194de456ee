"""File systems that several machines share, by the table of mounts."""

import subprocess
import sys
from pathlib import Path

import pytest

from tokend.files import shared_file_system
from tokend.files.file_systems import MOUNTS

TABLE = """\
22 1 253:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:27 / /home rw shared:9 - nfs4 server:/home rw,vers=4.2
31 30 0:28 / /home/ann/local rw shared:9 - {kind} /dev/vdb rw
32 22 0:29 / /with\\040space rw - cifs //server/share rw
33 22 0:30 / /twice rw - nfs server:/x rw
34 22 0:31 / /twice rw - tmpfs tmpfs rw
"""


def at(path: str, kind: str = "xfs") -> str | None:
    return shared_file_system(path, TABLE.format(kind=kind))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/etc/login", None),
        ("/home/ann/login", "nfs4"),
        ("/home/ann/local/login", None),
        ("/home/ann/localized", "nfs4"),
        ("/homes", None),
        ("/with space/login", "cifs"),
        ("/twice/login", None),
    ],
)
def test_the_mount_with_the_longest_way_counts_and_of_two_the_last(path: str, kind: str | None) -> None:
    """A path need not exist."""
    assert at(path) == kind


@pytest.mark.parametrize(
    "kind",
    [
        *("nfs", "nfs4", "cifs", "smb3", "smb2", "9p", "ceph", "virtiofs", "fuse.sshfs", "fuse.ceph", "fuse.glusterfs"),
        *("fuse.s3fs", "fuse.rclone", "fuse.smbnetfs", "lustre", "afs", "gpfs", "vboxsf", "fuse.gcsfuse", "fuse.mfs"),
    ],
)
def test_kinds_that_other_machines_use_too(kind: str) -> None:
    """All of FUSE has one number; its name says which program answers."""
    assert at("/home/ann/local/login", kind) == kind


@pytest.mark.parametrize(
    "kind",
    [
        *("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "f2fs", "fuseblk", "fuse.gocryptfs", "fuse.encfs"),
        *("fuse.mergerfs", "fuse.bindfs", "fuse.fuse-overlayfs", "ecryptfs"),
    ],
)
def test_kinds_of_this_machine_alone(kind: str) -> None:
    """A lock there is everybody's."""
    assert at("/home/ann/local/login", kind) is None


def test_the_table_of_this_machine_is_read(tmp_path: Path) -> None:
    """By default; and a link leads to where it points."""
    script = (
        "import os, sys\n"
        "from tokend.files import shared_file_system\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, given: event == 'open' and opened.append(str(given[0])))\n"
        "shared_file_system(sys.argv[1])\n"
        "print(*opened)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script, tmp_path / "login"], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str(MOUNTS)]
    assert shared_file_system(tmp_path / "login", MOUNTS.read_text()) == shared_file_system(tmp_path / "login")
    (tmp_path / "link").symlink_to("/home/ann")
    assert at(str(tmp_path / "link" / "login")) == "nfs4"
