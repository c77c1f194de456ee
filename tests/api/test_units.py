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

from tests.api.fake_engine import FakeHeld
from tests.api.served import eventually, logged, served
from tokend.access.peer import Peer, identify
from tokend.access.policy import AccessPolicy
from tokend.access.units import UnitUnknownError, _cgroup_of, unit_in, unit_of
from tokend.plugin.settings import Access

STRANGER = 54321
BOT = Access(users=("1001",), groups=("2002",), units=("bot.service", "bot@*.service"))


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


def test_one_of_the_units_passes() -> None:
    """As `units` of credentials.sock: `*`, `?`, capitals count; a peer without a unit never passes, not even `*`."""

    class InUnit(Peer):
        unit: str | None = None  # type: ignore[assignment]

    def may(unit: str | None, *patterns: str) -> bool:
        peer = InUnit(STRANGER, frozenset((STRANGER,)))
        peer.__dict__["unit"] = unit
        return AccessPolicy(lambda: ()).may_read(peer, FakeHeld(access=Access(units=patterns or BOT.units)))

    assert may("bot.service")
    assert may("bot@1.service")
    assert may("other.service", "*")
    assert not may("other.service")
    assert not may("Bot.service")
    assert not may("xbot.service")
    assert not may(None, "*")
    assert not AccessPolicy(lambda: ()).may_read(Peer(STRANGER, frozenset()), FakeHeld(access=Access(units=("*",))))


def test_the_unit_is_asked_for_only_where_nothing_else_passes_and_once() -> None:
    """Users, groups, root, the daemon and tokens without units cost nothing; the answer is the connection's."""
    rules = AccessPolicy(lambda: (), own_uid=4242)

    def asked(access: Access | None, uid: int = STRANGER, *groups: int) -> int:
        connection = Answering(failing(errno.ESRCH))
        peer = Peer(uid, frozenset(groups), cast("socket.SocketType", connection))
        rules.may_read(peer, FakeHeld(access=access))
        rules.may_read(peer, FakeHeld(access=access))
        return connection.asked

    assert asked(BOT) == 1
    assert asked(BOT, 1001) == asked(BOT, STRANGER, 2002) == asked(BOT, 0) == asked(BOT, 4242) == 0
    assert asked(None) == asked(Access(users=("1001",))) == asked(Access()) == 0


def test_a_host_that_does_not_tell_is_warned_of_once() -> None:
    """An old kernel: nobody passes by units, the others do, and one line says what to do."""
    rules = AccessPolicy(lambda: ())
    with logged() as lines:
        for _ in range(3):
            connection = cast("socket.SocketType", Answering(failing(errno.ENOPROTOOPT)))
            assert not rules.may_read(Peer(STRANGER, frozenset(), connection), FakeHeld(access=Access(units=("*",))))
            assert rules.may_read(Peer(1001, frozenset(), connection), FakeHeld(access=BOT))
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("units.unknown", "warning")
    assert "Linux 6.5" in line["detail"]


def test_a_peer_does_not_outlive_its_connection(tmp_path: Path) -> None:
    """The number of a closed connection's descriptor is soon another's, whose unit would be taken for this peer's."""
    ours, theirs = socket.socketpair()
    peer = identify(ours)
    assert peer.connection is ours
    ours.close()
    theirs.close()
    assert peer.unit is None

    with served(tmp_path) as running:
        with running.client() as client:
            client.send(b"GET /livez HTTP/1.1\r\n\r\n" * 2)
            assert client.reply().status == client.reply().status == 200
            (connection,) = running.inside(lambda: list(running.server.listener.connections))
            kept = connection.peer.connection  # type: ignore[union-attr]
            assert kept is not None
            assert kept.fileno() >= 0
        assert eventually(lambda: running.server.connections == 0)
        assert running.inside(kept.fileno) == -1
