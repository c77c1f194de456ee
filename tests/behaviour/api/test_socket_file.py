"""The socket's file: who may, where it is, and what becomes of it."""

import grp
import os
import socket
import stat

import pytest

from tests.daemon.harness import Home, until
from tests.daemon.tables import DAEMON, PARTNER


def test_mode_group_and_directory_are_as_configured(home: Home) -> None:
    """socket_mode, socket_group; a directory that tokend makes is 0750 of that group (docs/promises.md 93)."""
    mine = next((gid for gid in os.getgroups() if gid != os.getegid()), os.getegid())
    groups = grp.getgrall() if os.geteuid() == 0 else [grp.getgrgid(mine)]
    group = next(one for one in groups if one.gr_gid not in (0, os.getegid()) or os.geteuid() != 0)
    home.write(PARTNER, daemon=DAEMON + f'socket_mode = "0666"\nsocket_group = "{group.gr_name}"\n')
    home.start().settled()
    found, directory = home.socket.stat(), home.socket.parent.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o666, group.gr_gid)
    assert (stat.S_IMODE(directory.st_mode), directory.st_gid) == (0o750, group.gr_gid)


def test_the_default_mode_is_0660(home: Home) -> None:
    """Nobody outside the group, whatever the umask."""
    old = os.umask(0)
    try:
        home.start(PARTNER)
    finally:
        os.umask(old)
    assert stat.S_IMODE(home.socket.stat().st_mode) == 0o660
    assert stat.S_IMODE(home.socket.parent.stat().st_mode) == 0o750


def test_a_dead_socket_is_replaced_and_anything_else_is_left(home: Home) -> None:
    """docs/promises.md 91: unlinked only if it is ours and nobody answers."""
    home.socket.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(home.socket))
    daemon = home.start(PARTNER).settled()
    daemon.end()
    home.socket.write_text("somebody's file")
    second = home.start()
    (line,) = second.log("listener.failed")
    assert "is no socket" in line
    assert second.end() == 0
    assert home.socket.read_text() == "somebody's file"


@pytest.mark.parametrize("how", ["removed", "stolen"])
def test_a_path_that_was_taken_away_is_taken_back(home: Home, how: str) -> None:
    """docs/promises.md 92: rebound within seconds, in the log."""
    daemon = home.start(PARTNER).settled()
    home.socket.unlink()
    thief = socket.socket(socket.AF_UNIX)
    if how == "stolen":
        thief.bind(str(home.socket))
        thief.listen()
    until(lambda: daemon.log("socket.rebound"), "the log")
    assert daemon.lease("partner")
    thief.close()
    assert daemon.end() == 0
    assert not home.socket.exists()
