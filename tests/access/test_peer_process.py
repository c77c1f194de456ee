"""Peers in containers: the kernel's answers for real processes in real namespaces."""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from tests.access.test_units import Answering, failing, open_descriptors
from tokend.access import peer_process
from tokend.access.peer import Peer
from tokend.access.peer_process import is_contained

# Connects, says so, and lives until its standard input ends.
CLIENT = """
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
print("connected", flush=True)
sys.stdin.read()
"""
# As CLIENT, but a child holds the connection, and the process that connected has ended.
CLIENT_THAT_ENDS = """
import os, socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
if os.fork():
    os._exit(0)
print("connected", flush=True)
sys.stdin.read()
"""


@contextmanager
def connected(directory: Path, *inside: str, code: str = CLIENT) -> Iterator[socket.socket]:
    """Yield our end of a connection from a new process, ``inside`` of what a command makes."""
    path = directory / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        argv = [*inside, sys.executable, "-c", code, str(path)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            listening.settimeout(10)
            accepted, _ = listening.accept()
            assert client.stdout.readline() == b"connected\n"
            with accepted:
                yield accepted
            client.stdin.close()
            client.wait()


def with_namespaces(*options: str) -> tuple[str, ...]:
    """A command that makes namespaces; the test is skipped where this user may make none."""
    command = ("unshare", *(() if os.getuid() == 0 else ("--user", "--map-current-user")), *options)
    try:
        made = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        made = False
    if not made:
        pytest.skip("this machine has no unshare, or gives this user no namespaces")
    return command


def asked_of(answer: object) -> bool:
    return is_contained(cast("socket.SocketType", answer))


def test_a_process_of_this_machine_is_in_no_container(tmp_path: Path) -> None:
    """The kernel shows one number of it."""
    with connected(tmp_path) as connection:
        assert not is_contained(connection)


def test_mounts_of_its_own_make_no_container(tmp_path: Path) -> None:
    """ProtectSystem=, PrivateTmp= and PrivateNetwork= of a unit make such namespaces."""
    with connected(tmp_path, *with_namespaces("--mount", "--net", "--ipc", "--uts")) as connection:
        assert not is_contained(connection)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_process_with_more_than_one_number_is_in_a_container(tmp_path: Path, depth: int) -> None:
    """A process namespace below ours, or below that; no descriptor is left open."""
    command = with_namespaces("--pid", "--fork")
    inner = ("unshare", "--pid", "--fork") * (depth - 1) if os.getuid() == 0 else ()
    with connected(tmp_path, *command, *inner) as connection:
        before = open_descriptors()
        assert is_contained(connection)
        assert Peer(0, frozenset(), connection).is_contained
        assert open_descriptors() == before


def test_a_process_that_has_ended_is_not_visible(tmp_path: Path) -> None:
    """A container's process could connect, leave the connection to a child and end, to lose its numbers."""
    with connected(tmp_path, "sh", "-c", '"$@"; :', "sh", code=CLIENT_THAT_ENDS) as connection:
        numbers = Path("/proc/self/fdinfo")
        process = peer_process.open_process(connection)
        try:
            while b"NSpid:\t-1" not in (numbers / str(process)).read_bytes():
                os.sched_yield()
        finally:
            os.close(process)
        assert is_contained(connection)


@pytest.mark.parametrize(
    ("shown", "contained"),
    [
        (b"Pid:\t7\nNSpid:\t7\n", False),
        (b"Pid:\t7\nNSpid:\t7\t1\n", True),
        (b"Pid:\t7\nNSpid:\t7\t300\t1\n", True),
        (b"Pid:\t0\nNSpid:\t0\n", True),
        (b"Pid:\t-1\nNSpid:\t-1\n", True),
        (b"Pid:\t7\nNSpid:\t\n", True),
        (b"Pid:\t7\n", True),
        (b"", True),
    ],
)
def test_exactly_one_number_is_a_process_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, shown: bytes, contained: bool
) -> None:
    """Outside of our namespace (0), ended (-1), several, or not said: in doubt it is a container."""

    class Shown:
        def __init__(self, path: str) -> None:
            assert path.startswith("/proc/self/fdinfo/")

        def read_bytes(self) -> bytes:
            return shown

    monkeypatch.setattr(peer_process, "Path", Shown)
    assert asked_of(Answering(lambda: os.pidfd_open(os.getpid()))) is contained


def test_without_proc_nothing_is_visible(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that shows nothing shows no root either."""
    monkeypatch.setattr(peer_process, "Path", lambda _: tmp_path / "absent")
    assert asked_of(Answering(lambda: os.pidfd_open(os.getpid())))


def test_an_old_kernel_does_not_tell() -> None:
    """Before Linux 6.5 root of a container passes for root. Any other error of the kernel's is no pass."""
    assert not asked_of(Answering(failing(errno.ENOPROTOOPT)))
    for number in (errno.ESRCH, errno.EINVAL, errno.EMFILE):
        assert asked_of(Answering(failing(number)))


def test_a_peer_without_a_connection_is_in_no_container() -> None:
    """The loopback port's peer is nobody already."""
    assert not Peer(0, frozenset()).is_contained
