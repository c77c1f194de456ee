"""A filesystem that hangs, fails or takes little at a time, under one sink or under the state of the real daemon."""

import errno
import time
from pathlib import Path

import pytest

from tests.daemon.harness import Home, metric, until
from tests.daemon.tables import PX
from tests.faults.files_mounted import fuse
from tests.faults.needs import when_asked_for
from tests.faults.sink_reports import MINTED, fails, mint, recovers

pytestmark = when_asked_for
# A write is given ten seconds; an end must not wait for it.
END_SECONDS = 5.0


def disk_of(home: Home, name: str = "disk") -> Path:
    (home.path / name).mkdir()
    return home.path / name


@pytest.mark.parametrize("operation", ["create", "write", "fsync", "rename"])
def test_a_filesystem_that_hangs_stops_its_sink_and_nothing_else(home: Home, operation: str) -> None:
    """docs/promises.md 62: whatever the call. The socket answers, other sinks go on, a second write waits for the
    first; and when the filesystem answers again the newest token is written."""
    disk = disk_of(home)
    with fuse(disk) as filesystem:
        daemon = home.start(PX, MINTED, wrap=filesystem.wrap).settled()
        seen = filesystem.see(disk) / "partner.jwt"
        filesystem.hang(operation)
        found = mint(daemon)
        until(lambda: filesystem.held, "the call that hangs")
        began = time.monotonic()
        assert daemon.lease("partner") == found
        assert daemon.row("px")["sinks"][0]["state"] == "ok"
        assert time.monotonic() - began < 2.0
        until(lambda: any("not written within 10 s" in line for line in daemon.log("sink.failed")), "giving it up")
        assert mint(daemon)["generation"] > found["generation"]
        fails(daemon, "an earlier write still hangs in the filesystem", seconds=30)
        assert filesystem.held == 1
        filesystem.well()
        recovers(daemon, seen)
        assert daemon.end() == 0


def test_a_filesystem_that_hangs_does_not_hold_up_the_end(home: Home) -> None:
    """docs/promises.md 62: SIGTERM while a write hangs, before it is given up; what is whole is served again."""
    disk = disk_of(home)
    with fuse(disk) as filesystem:
        daemon = home.start(PX, MINTED, wrap=filesystem.wrap).settled()
        filesystem.hang("fsync")
        found = mint(daemon)
        until(lambda: filesystem.held, "the call that hangs")
        began = time.monotonic()
        assert daemon.end() == 0
        assert time.monotonic() - began < END_SECONDS
        filesystem.well()
        again = home.start(wrap=filesystem.wrap).settled()
        assert again.lease("partner") == found
        recovers(again, filesystem.see(disk) / "partner.jwt")


def test_a_state_that_hangs_holds_nothing_back_for_long_and_ends_at_once(home: Home) -> None:
    """docs/promises.md 62, 123: the token is shown after ten seconds, the log says why; the newest is what is saved."""
    state = disk_of(home, "state")
    disk_of(home)
    with fuse(state) as filesystem:
        daemon = home.start(PX, MINTED, wrap=filesystem.wrap).settled()
        filesystem.hang("fsync")
        mint(daemon)
        newest = mint(daemon)
        until(lambda: daemon.log("state.write_failed"), "the line in the log")
        assert daemon.lease("px")
        until(lambda: (home.path / "disk" / "partner.jwt").read_text() == newest["access_token"], "the file")
        filesystem.well()
        record = filesystem.see(state) / "tokens" / "partner.json"
        until(lambda: newest["access_token"] in record.read_text(), "the record", seconds=40)
        filesystem.hang("fsync")
        before = daemon.lease("partner")["generation"]
        daemon.ask("POST", "/v1/tokens/partner/forget")
        until(lambda: filesystem.held or daemon.lease("partner")["generation"] > before, "a call that hangs")
        began = time.monotonic()
        daemon.end()
        assert time.monotonic() - began < END_SECONDS
        assert home.requests("projectx") == 1


def test_an_fsync_that_fails_once_is_nobodys_affair_and_one_that_fails_always_is_reported(home: Home) -> None:
    """docs/promises.md 43, 44: a new temporary, the directory's again; for good, the old file stays."""
    disk = disk_of(home)
    with fuse(disk) as filesystem:
        daemon = home.start(PX, MINTED, wrap=filesystem.wrap).settled()
        seen = filesystem.see(disk) / "partner.jwt"
        for operation in ("fsync", "fsyncdir"):
            filesystem.fail(operation, errno.EIO, times=1)
            mint(daemon)
            recovers(daemon, seen)
        assert metric(daemon, 'tokend_sink_writes_total{result="success",sink="raw-1",token="partner"}') == 3
        assert not daemon.log("sink.failed")
        old = seen.read_text()
        filesystem.fail("fsync", errno.EIO)
        mint(daemon)
        fails(daemon, "Input/output error (fsync)")
        assert seen.read_text() == old
        assert [path.name for path in seen.parent.iterdir()] == ["partner.jwt"]
        filesystem.well()
        recovers(daemon, seen)


def test_a_filesystem_that_takes_seven_bytes_at_a_time(home: Home) -> None:
    """docs/promises.md 60: real short writes, completed."""
    disk = disk_of(home)
    with fuse(disk) as filesystem:
        filesystem.short(7)
        daemon = home.start(PX, MINTED, wrap=filesystem.wrap).settled()
        recovers(daemon, filesystem.see(disk) / "partner.jwt")
        assert len([entry for entry in filesystem.log if entry[0] == "write"]) > 20
