"""Full, read-only, immutable: the real daemon on filesystems that refuse, and what it says and does about it.

Of each: the old file is whole, readers on the socket get the new token, the user gets a report, no upstream is
asked, and it recovers by itself.
"""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.daemon.test_login_at_the_end import start, token_server
from tests.daemon.harness import Home, until
from tests.daemon.tables import PX
from tests.faults.files_mounted import Mounts, fuse, own_mounts
from tests.faults.needs import lack, need, when_asked_for
from tests.faults.sink_reports import MINTED, fails, mint, recovers
from tests.files.children import names

pytestmark = when_asked_for
FILL = {"blocks": 'dd if=/dev/zero of="$1/filler" bs=1k status=none || true',
        "inodes": 'i=0; while touch "$1/filler$i" 2>/dev/null; do i=$((i + 1)); done'}  # fmt: skip
SIZE = {"blocks": "size=64k", "inodes": "nr_inodes=16"}


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    """A namespace to mount in."""
    with own_mounts() as one:
        yield one


@pytest.mark.parametrize("what", ["blocks", "inodes"])
def test_a_full_disk_under_a_sink(home: Home, mounts: Mounts, what: str) -> None:
    """docs/promises.md 39."""
    disk = home.path / "disk"
    disk.mkdir()
    mounts.shell('mount -t tmpfs -o "$2" none "$1"', disk, SIZE[what])
    daemon = home.start(PX, MINTED, wrap=mounts.wrap).settled()
    seen = mounts.see(disk)
    old = (seen / "partner.jwt").read_text()
    mounts.shell(FILL[what], disk)
    mint(daemon)
    fails(daemon, "No space left on device")
    assert (seen / "partner.jwt").read_text() == old
    assert not [name for name in names(seen) if name.startswith(".")]
    mounts.shell('rm "$1"/filler*', disk)
    recovers(daemon, seen / "partner.jwt")


@pytest.mark.parametrize("what", ["blocks", "inodes"])
def test_a_full_disk_under_the_state(home: Home, mounts: Mounts, what: str) -> None:
    """docs/promises.md 39: the token is served and published all the same, the log says what is at stake; when there
    is room again it is saved without a further refresh, and a kill -9 loses nothing."""
    state = home.path / "state"
    state.mkdir()
    mounts.shell('mount -t tmpfs -o "$2" none "$1"', state, SIZE[what])
    (home.path / "disk").mkdir()
    daemon = home.start(PX, MINTED, wrap=mounts.wrap).settled()
    mounts.shell(FILL[what], state)
    found = mint(daemon)
    until(lambda: (home.path / "disk" / "partner.jwt").read_text() == found["access_token"], "the file")
    (line, *_) = until(lambda: daemon.log("state.write_failed"), "the line in the log")
    assert "No space left on device" in line
    assert "token=partner" in line
    saved = mounts.see(state / "tokens")
    assert found["access_token"] not in (saved / "partner.json").read_text()
    mounts.shell('rm "$1"/filler*', state)
    until(lambda: found["access_token"] in (saved / "partner.json").read_text(), "the record", seconds=60)
    assert names(saved) == {"px.json", "partner.json"}
    daemon.process.kill()
    daemon.process.wait()
    assert home.start(wrap=mounts.wrap).settled().lease("partner") == found
    assert home.requests("projectx") == 1


MOUNT = {
    "tmpfs": 'mount -t tmpfs -o size=1m none "$1"',
    "ext4": 'truncate -s 8M "$1.image"; mkfs.ext4 -q -m 0 "$1.image"; mount -o loop "$1.image" "$1"',
}


@pytest.mark.parametrize("filesystem", ["tmpfs", "ext4"])
def test_a_disk_that_is_full_when_a_refresh_of_a_login_is_answered(home: Home, mounts: Mounts, filesystem: str) -> None:
    """docs/promises.md 121: space was reserved before the request, so that the new refresh token is saved."""
    if filesystem == "ext4":
        need("mkfs.ext4")
    state = home.path / "state"
    state.mkdir()
    mounts.shell(MOUNT[filesystem], state)
    with token_server() as server:
        daemon = start(home, server, wrap=mounts.wrap)
        mounts.shell(FILL["blocks"], state)
        server.let.set()
        daemon.settled()
        record = json.loads((mounts.see(state / "tokens") / "login.json").read_text())
        assert record["login"]["state"]["login"]["refresh_token"] == "fake-refresh-1"
        assert not daemon.log("login.not_saved")
        assert not daemon.log("state.write_failed")


def test_a_filesystem_that_becomes_read_only_and_writable_again(home: Home, mounts: Mounts) -> None:
    """docs/promises.md 41."""
    disk = home.path / "disk"
    disk.mkdir()
    mounts.shell('mount --bind "$1" "$1"', disk)
    daemon = home.start(PX, MINTED, wrap=mounts.wrap).settled()
    old = (disk / "partner.jwt").read_text()
    mounts.shell('mount -o remount,ro,bind "$1"', disk)
    mint(daemon)
    fails(daemon, "Read-only file system (open of a temporary file beside it)")
    assert (disk / "partner.jwt").read_text() == old
    mounts.shell('mount -o remount,rw,bind "$1"', disk)
    recovers(daemon, disk / "partner.jwt")


@pytest.mark.parametrize("what", ["file", "directory"])
def test_an_immutable_file_or_directory(home: Home, what: str) -> None:
    """EPERM, of the rename or of the temporary."""
    need("chattr", root=True)
    disk = home.path / "disk"
    disk.mkdir()
    daemon = home.start(PX, MINTED).settled()
    path = disk / "partner.jwt" if what == "file" else disk
    old = (disk / "partner.jwt").read_text()
    if subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
        lack(f"the filesystem of {home.path.parent} knows no immutable files")
    try:
        mint(daemon)
        fails(daemon, "Operation not permitted" + (" (rename)" if what == "file" else " (open of a temporary"))
        assert (disk / "partner.jwt").read_text() == old
        assert names(disk) == {"partner.jwt"}
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
    recovers(daemon, disk / "partner.jwt")


def test_a_limit_on_the_size_of_files(home: Home) -> None:
    """docs/promises.md 40, 60, 63: a real short write, then EFBIG, as a quota would give. The log, which is a file
    too, has no room any more either: its lines are dropped, and nothing else happens because of it."""
    need("prlimit")
    disk = home.path / "disk"
    disk.mkdir()
    daemon = home.start(PX, MINTED).settled()
    old = (disk / "partner.jwt").read_text()
    logged = home.log.read_bytes()
    limit(daemon.process.pid, "--fsize=100:")
    mint(daemon)
    sink = until(lambda: (row := daemon.row("partner")["sinks"][0])["state"] == "failing" and row, "the failure")
    assert "File too large (write)" in sink["error"]
    assert (disk / "partner.jwt").read_text() == old
    assert names(disk) == {"partner.jwt"}
    assert home.log.read_bytes() == logged
    assert daemon.get("/readyz").status == 503
    limit(daemon.process.pid, "--fsize=unlimited:")
    recovers(daemon, disk / "partner.jwt")
    until(lambda: daemon.log("sink.written"), "the log")


def limit(pid: int, option: str) -> None:
    """Set a soft limit of a process that runs."""
    subprocess.run(["prlimit", "--pid", str(pid), option], check=True)


def test_a_single_mounted_file_is_named_with_advice_and_written_in_place_when_asked(home: Home, mounts: Mounts) -> None:
    """docs/promises.md 51: EBUSY, and no copy instead; the advice is the setting that helps."""
    disk = home.path / "disk"
    disk.mkdir()
    (home.path / "mounted").write_text("old")
    (disk / "partner.jwt").touch()
    mounts.shell('mount --bind "$1/mounted" "$1/disk/partner.jwt"', home.path)
    daemon = home.start(PX, MINTED, ready=False, wrap=mounts.wrap)
    until(lambda: daemon.noted("READY=1"), "READY=1")
    fails(daemon, "Device or resource busy (rename)", 'set write = "in-place"')
    assert (home.path / "mounted").read_text() == "old"
    home.write(PX, MINTED + 'write = "in-place"\n')
    recovers(daemon, home.path / "mounted")
    inode = (home.path / "mounted").stat().st_ino
    mint(daemon)
    recovers(daemon, home.path / "mounted")
    assert (home.path / "mounted").stat().st_ino == inode


def test_a_directory_that_is_removed_moved_or_replaced(home: Home) -> None:
    """docs/promises.md 53, 54: nothing is written into the one that was moved away; the new one gets the file."""
    disk: Path = home.path / "disk"
    disk.mkdir()
    daemon = home.start(PX, MINTED).settled()
    old = (disk / "partner.jwt").read_text()
    disk.rename(home.path / "moved")
    mint(daemon)
    fails(daemon, f"{disk} does not exist")
    assert (home.path / "moved" / "partner.jwt").read_text() == old
    disk.mkdir()
    recovers(daemon, disk / "partner.jwt")
    (disk / "partner.jwt").unlink()
    disk.rmdir()
    disk.write_text("a file\n")
    mint(daemon)
    fails(daemon, "Not a directory")
    disk.unlink()
    (home.path / "moved").rename(disk)
    recovers(daemon, disk / "partner.jwt")
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", (disk / "partner.jwt").read_text())


@pytest.mark.parametrize("what", ["blocks", "inodes"])
def test_a_first_start_on_a_full_disk(home: Home, mounts: Mounts, what: str) -> None:
    """docs/promises.md 39: tokens are fetched, served and published; status says what a restart would lose."""
    state = home.path / "state"
    state.mkdir()
    (home.path / "disk").mkdir()
    mounts.shell('mount -t tmpfs -o "$2" none "$1"', state, SIZE[what])
    mounts.shell(FILL[what], state)
    daemon = home.start(PX, MINTED, wrap=mounts.wrap).settled()
    assert daemon.log("state.in_memory")
    assert "No space left on device" in daemon.row("px")["note"]
    token = daemon.lease("px")["access_token"]
    mounts.shell('rm "$1"/filler*', state)
    until(lambda: "note" not in daemon.row("px"), "the next try", seconds=30)
    daemon.end()
    again = home.start(wrap=mounts.wrap).settled()
    assert again.lease("px")["access_token"] == token
    assert home.requests("projectx") == 1


def test_a_disk_that_hangs_under_many_files_does_not_hold_up_the_end(home: Home) -> None:
    """docs/promises.md 62: more files than threads; each would wait ten seconds for the others."""
    tables = [MINTED.replace("providers.partner", f"providers.p{n}").replace("partner.jwt", f"p{n}") for n in range(30)]
    disk = home.path / "disk"
    disk.mkdir()
    with fuse(disk) as filesystem:
        daemon = home.start(PX, *tables, wrap=filesystem.wrap).settled()
        filesystem.hang("fsync")
        home.secret("partner", "another-fake-secret-of-some-length")
        until(lambda: filesystem.held, "the call that hangs")
        began = time.monotonic()
        assert daemon.end() == 0
        assert time.monotonic() - began < 5.0
