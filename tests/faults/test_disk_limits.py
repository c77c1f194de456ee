"""Out of descriptors, and a log that nobody takes: the real daemon publishes and serves all the same."""

import os
import socket
import subprocess
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.daemon.harness import Daemon, Home, until
from tests.daemon.tables import PARTNER, PX
from tests.faults.needs import need, when_asked_for
from tests.faults.sink_reports import MINTED, mint

pytestmark = when_asked_for


def test_out_of_descriptors_a_reserve_keeps_publishing(home: Home) -> None:
    """docs/promises.md 61: no descriptor can be had any more, and a file that waits for its directory is written."""
    need("prlimit")
    daemon = home.start(PX, MINTED)
    until(lambda: daemon.row("partner")["sinks"][0]["state"] == "failing", "the failure")
    token = until(lambda: daemon.lease("partner"), "the token")["access_token"]
    until(lambda: daemon.row("px")["sinks"][0]["state"] == "ok", "the other sink")
    with socket.socket(socket.AF_UNIX) as kept:
        kept.connect(str(home.socket))
        assert asked(kept) == b"HTTP/1.1 200"
        until(lambda: holes_after_exhausting(daemon) == 0, "a daemon without descriptors")
        (home.path / "disk").mkdir()
        # What else goes without one may let go of those that it held; here none is waited for.
        until(lambda: (home.path / "disk" / "partner.jwt").read_text() == token, "the file", seconds=40)
        assert asked(kept) == b"HTTP/1.1 200"
    subprocess.run(["prlimit", "--pid", str(daemon.process.pid), "--nofile=1024:"], check=True)
    daemon.settled()
    assert home.requests("projectx") == 1


def asked(connection: socket.socket) -> bytes:
    """Ask for a token on a connection that stays; the answer's first words."""
    connection.sendall(b"GET /v1/tokens/px HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return connection.recv(65536)[:12]


def exhaust(daemon: Daemon) -> None:
    """Let the limit be the first number that is free: the socket would not let itself be filled up."""
    opened = {int(path.name) for path in descriptors(daemon).iterdir()}
    limit = next(number for number in range(len(opened) + 1) if number not in opened)
    subprocess.run(["prlimit", "--pid", str(daemon.process.pid), f"--nofile={limit}:"], check=True)


def holes_after_exhausting(daemon: Daemon) -> int:
    exhaust(daemon)
    return holes(daemon)


def is_written(home: Home, token: str) -> bool:
    return home.out("partner.jwt").read_text() == token


def descriptors(daemon: Daemon) -> Path:
    return Path(f"/proc/{daemon.process.pid}/fd")


def holes(daemon: Daemon) -> int:
    """How many descriptors can still be had; those that it opens for a moment only count as free."""
    limits = Path(f"/proc/{daemon.process.pid}/limits").read_text().splitlines()
    (soft,) = [int(line.split()[3]) for line in limits if line.startswith("Max open files")]
    looks = []
    for _ in range(10):
        looks.append(soft - len([path for path in descriptors(daemon).iterdir() if int(path.name) < soft]))
        threading.Event().wait(0.01)
    return max(looks)


@pytest.mark.parametrize("target", ["full", "closed", "stuck"])
def test_a_log_that_nobody_takes_is_nobodys_affair(home: Home, target: str) -> None:
    """docs/promises.md 63: /dev/full, a pipe whose reader has gone, one whose reader sleeps: lines are dropped, and the
    daemon starts, refreshes, publishes, serves and ends as ever."""
    home.write(PX, PARTNER)
    reader, writer = os.pipe()
    if target == "stuck":
        os.set_blocking(writer, False)
        with suppress(BlockingIOError):
            while os.write(writer, bytes(65536)):
                pass
    to = "/dev/full" if target == "full" else f"/proc/{os.getpid()}/fd/{writer}"
    daemon = home.start(wrap=("sh", "-c", f'exec "$@" >{to} 2>{to}', "sh")).settled()
    os.close(writer)
    if target == "closed":
        os.close(reader)
    for _ in range(3):
        found = mint(daemon)
        until(partial(is_written, home, found["access_token"]), "the file")
    assert home.requests("projectx") == 1
    assert daemon.end() == 0
    assert home.log.read_text() == ""
    if target != "closed":
        os.close(reader)
