"""Advice on files that cannot be written, with real users, groups, mounts and directories."""

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.files.children import STRANGER, needs_root, public_directory

# As a unprivileged user: make a sink write, and print its error.
CODE = """
import json, os, sys
from tests.sinks.leases import lease, sink
from tokend.values.errors import SinkError
keys, uid, groups = json.loads(sys.argv[1])
os.setgroups(groups); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
try:
    sink(keys.pop("kind", "raw"), keys.pop("path"), **keys).write(lease())
except SinkError as error:
    print(error.detail)
else:
    print("written")
"""
DAEMON = pwd.getpwnam("daemon")


def refusal(path: Path, *, uid: int = STRANGER, groups: tuple[int, ...] = (), wrap: str = "", **keys: Any) -> str:
    """Return the error of a write as this user, or "written"."""
    needs_root()
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    environ.pop("INVOCATION_ID", None)
    environ |= keys.pop("environ", {})
    argv = [sys.executable, "-c", CODE, json.dumps([{"path": str(path), **keys}, uid, groups])]
    if wrap:
        argv = ["unshare", "-m", "sh", "-c", f'{wrap}; exec "$@"', "sh", *argv]
    return subprocess.run(argv, check=True, env=environ, capture_output=True, text=True, cwd="/").stdout.strip()


@pytest.fixture
def directory() -> Iterator[Path]:
    with public_directory() as path:
        yield path


def test_a_group_that_the_daemon_is_not_in(directory: Path) -> None:
    """The one command that helps; for who belongs to the group the write works."""
    directory.chmod(0o777)
    message = refusal(directory / "t", group="tty", mode="0640", uid=DAEMON.pw_uid)
    assert message.endswith("user daemon is not in group tty: `adduser daemon tty`, then restart tokend")
    assert refusal(directory / "t", group="tty", mode="0640", uid=DAEMON.pw_uid, groups=(5,)) == "written"


def test_a_group_that_was_joined_after_the_start(directory: Path) -> None:
    """The user database has it already: a restart is all that is missing."""
    directory.chmod(0o777)
    (directory / "group").write_text(Path("/etc/group").read_text() + "desk:x:54399:daemon\n")
    joined = refusal(
        directory / "t",
        group="54399",
        mode="0640",
        uid=DAEMON.pw_uid,
        wrap=f"mount --bind {directory}/group /etc/group",
    )
    assert joined.endswith("user daemon has joined group desk since tokend was started: restart tokend")


def test_an_owner_needs_root(directory: Path) -> None:
    """Membership in a group would not help."""
    directory.chmod(0o777)
    assert "let the daemon run as root or as the owner" in refusal(directory / "t", owner="daemon", group="tty")


@pytest.mark.parametrize(("mode", "right"), [(0o755, "write and search"), (0o700, "write and search")])
def test_a_directory_that_is_not_writable(directory: Path, mode: int, right: str) -> None:
    """Who may not do what, on which directory, with its owner, group and mode."""
    directory.chmod(mode)
    message = refusal(directory / "t")
    assert message.endswith(f"user {STRANGER} may not {right} {directory} (root:root {mode:04o})")


def test_a_directory_on_the_way_that_cannot_be_entered(directory: Path) -> None:
    """It is the one to open, not the last one."""
    inner = directory / "closed" / "open"
    inner.mkdir(parents=True)
    inner.chmod(0o777)
    inner.parent.chmod(0o750)
    assert refusal(inner / "t").endswith(f"user {STRANGER} may not search {inner.parent} (root:root 0750)")


def test_a_read_only_directory_of_a_unit(directory: Path) -> None:
    """ReadWritePaths= helps in a unit; elsewhere it is a mount that nobody here knows about."""
    directory.chmod(0o777)
    wrap = f"mount --bind {directory} {directory}; mount -o remount,ro,bind {directory}"
    message = refusal(directory / "t", wrap=wrap, environ={"INVOCATION_ID": "1"})
    assert message.endswith(f"the unit may not write there: add ReadWritePaths={directory} to it (drop-ins/sinks.conf)")
    assert "ReadWritePaths" not in refusal(directory / "t", wrap=wrap)


@pytest.mark.parametrize("mode", ["000", "755"])
def test_a_home_that_the_unit_hides(mode: str) -> None:
    """ProtectHome=yes puts a directory without rights in its place, ProtectHome=tmpfs an empty one."""
    wrap = f"mount -t tmpfs -o mode={mode} none /home"
    message = refusal(Path("/home/bot/t"), wrap=wrap, environ={"INVOCATION_ID": "1"})
    assert message.endswith(
        "ProtectHome= of the unit hides /home: set ProtectHome=no and ReadWritePaths=/home/bot (drop-ins/sinks.conf)"
    )
    assert "ProtectHome" not in refusal(Path("/home/bot/t"), wrap=wrap)
