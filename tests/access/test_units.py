"""`access.units` on a socket: which unit a peer is in, and which it must not be able to claim.

That the kernel's answers are the right ones is seen under a real systemd: tests/systemd/inside/units-on-the-socket.sh.
"""

import errno
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from tokend.access import units
from tokend.access.units import UnitUnknownError, _cgroup_of, unit_in, unit_of


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/system.slice/bot.service", "bot.service"),
        ("/bot.service", "bot.service"),
        ("/trading.slice/trading-fast.slice/bot@1.service", "bot@1.service"),
        ("/system.slice/system-bot.slice/bot@a\\x2db.service", "bot@a\\x2db.service"),
        ("/system.slice/bot.service/workers/inner", "bot.service"),
        ("/system.slice/docker-0123.scope", "docker-0123.scope"),
        ("/system.slice/bot.socket", "bot.socket"),
        # cg_escape of systemd: what could be a file of the kernel's.
        ("/system.slice/_cpu.service", "cpu.service"),
        ("/system.slice/__bot.service", "_bot.service"),
    ],
)
def test_the_unit_is_the_outermost_name_below_slices(path: str, unit: str) -> None:
    """As systemd itself reads a cgroup's path."""
    assert unit_in(f"0::{path}\n".encode()) == unit
    assert unit_in(f"4:memory:/x.service\n1:name=systemd:/y.service\n0::{path}\n".encode()) == unit


@pytest.mark.parametrize(
    "path",
    [
        "/user.slice/user-1000.slice/user@1000.service/app.slice/bot.service",
        "/user.slice/user-1000.slice/user@1000.service/bot.service",
        "/user.slice/user-1000.slice/session-3.scope",
        "/user.slice/bot.service",
        # An administrator may move users' managers elsewhere.
        "/people.slice/user@1000.service/app.slice/bot.service",
        "/user@1000.service/bot.service",
        # Containers whose names are their own, and what is outside of ours.
        "/docker/0123/system.slice/bot.service",
        "/lxc.payload.x/system.slice/bot.service",
        "/../system.slice/bot.service",
        "/..",
        # A removed cgroup; no unit at all; almost one.
        "/system.slice/bot.service (deleted)",
        "/",
        "/system.slice",
        "//bot.service",
        "/system.slice/bot.service\r",
        "/system.slice/bot.timer",
        "/system.slice/.service",
        "/system.slice/bötchen.service",
    ],
)
def test_what_others_named_is_no_unit(path: str) -> None:
    """Users, containers and strange hierarchies: no unit, whatever they call a group of theirs."""
    assert unit_in(f"0::{path}\n".encode()) is None


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/system.slice/other.service/bot.service", "other.service"),
        ("/system.slice/other.service/system.slice/bot.service", "other.service"),
        ("/machine.slice/systemd-nspawn@x.service/payload/system.slice/bot.service", "systemd-nspawn@x.service"),
        *(
            (f"/system.slice/other.service/x{end}0::/system.slice/bot.service", "other.service")
            for end in ("\x0b", "\x0c", "\r", "\x1c", "\x85", "\u2028")
        ),
    ],
)
def test_a_unit_cannot_pass_for_another_by_groups_of_its_own(path: str, unit: str) -> None:
    """With Delegate= they have any name, also with what Python takes for the end of a line."""
    assert unit_in(f"0::{path}\n".encode()) == unit
    # In the hierarchies of cgroup v1 too, whose lines come first.
    assert unit_in(f"1:name=systemd:{path}\n0::/system.slice/own.service\n".encode()) == "own.service"


def test_without_cgroup_v2_no_unit_is_known() -> None:
    """The error says what to do instead."""
    with pytest.raises(UnitUnknownError, match=r"cgroup v2; use users or groups"):
        unit_in(b"1:name=systemd:/system.slice/bot.service\n")


class Answering:
    """The end of a connection as far as it is asked for the peer's process."""

    def __init__(self, answer: Callable[[], int]) -> None:
        self._answer = answer
        self.asked = 0

    def getsockopt(self, level: int, option: int) -> int:
        assert (level, option) == (socket.SOL_SOCKET, 77)
        self.asked += 1
        return self._answer()


def failing(number: int) -> Callable[[], int]:
    def fail() -> int:
        raise OSError(number, "fake")

    return fail


def asked_of(answer: Callable[[], int]) -> str | None:
    return unit_of(cast("socket.SocketType", Answering(answer)))


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # iterdir holds one open itself


def test_a_process_that_has_ended_is_in_no_unit() -> None:
    """Neither unreaped nor reaped, nor by an error of the kernel's; and no descriptor is left open."""
    before = open_descriptors()
    child = subprocess.Popen(["true"])
    process = os.pidfd_open(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    # Its cgroup can still be read, but it may be that of the next process of this number.
    assert Path(f"/proc/{child.pid}/cgroup").read_bytes()
    assert _cgroup_of(process) is None
    assert asked_of(lambda: os.dup(process)) is None
    child.wait()
    assert asked_of(lambda: os.dup(process)) is None
    os.close(process)
    for number in (errno.ESRCH, errno.EINVAL, errno.ENODATA, errno.EBADF, errno.EMFILE):
        assert asked_of(failing(number)) is None
    assert open_descriptors() == before


def test_a_living_process_is_in_the_unit_of_its_cgroup() -> None:
    """The kernel's answer for a real connection is what /proc says of us; no descriptor is left open."""
    ours, theirs = socket.socketpair()
    before = open_descriptors()
    with ours, theirs:
        assert unit_of(ours) == unit_in(Path("/proc/self/cgroup").read_bytes())
        assert open_descriptors() == before


class HiddenProc:
    """/proc of a host that hides other processes; the text of fdinfo is given."""

    def __init__(self, fdinfo: bytes) -> None:
        self._fdinfo = fdinfo

    def __call__(self, path: str) -> "HiddenProc":
        self._is_fdinfo = "fdinfo" in path
        return self

    def read_bytes(self) -> bytes:
        if self._is_fdinfo:
            return self._fdinfo
        raise PermissionError(errno.EACCES, "hidden")


@pytest.mark.parametrize(
    ("fdinfo", "message"),
    [
        (b"Pid:\t0\nNSpid:\t0\n", "process namespace"),
        (b"flags:\t02000002\n", "process namespace"),
        (b"Pid:\t4242\n", "ProtectProc=default"),
    ],
)
def test_a_host_that_hides_processes_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, fdinfo: bytes, message: str
) -> None:
    """A living process outside our namespace, or behind hidepid: no unit is known, and the error names the remedy."""
    monkeypatch.setattr(units, "Path", HiddenProc(fdinfo))
    process = os.pidfd_open(os.getpid())
    try:
        with pytest.raises(UnitUnknownError, match=message):
            _cgroup_of(process)
    finally:
        os.close(process)


def test_a_hidden_process_that_has_ended_is_in_no_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are gone because it has ended: that is no fault of the host."""
    monkeypatch.setattr(units, "Path", HiddenProc(b"Pid:\t4242\n"))
    child = subprocess.Popen(["true"])
    process = os.pidfd_open(child.pid)
    child.wait()
    try:
        assert _cgroup_of(process) is None
    finally:
        os.close(process)
