"""Peer identity from the kernel."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.api.fake_engine import FakeEngine
from tests.httpd.served import eventually, served
from tests.httpd.test_unix_socket import as_root
from tokend.access.peer import _many_groups, identify, pid_of
from tokend.httpd.connection import Connection
from tokend.httpd.unix_socket import SocketFile
from tokend.plugin.settings import Access


def _as(
    uid: int, groups: str, running_path: Path, target: str, method: str = "GET", *, inside: tuple[str, ...] = ()
) -> int:
    """Ask with curl as another user, ``inside`` of what a command makes; the answer's status."""
    who = ["setpriv", f"--reuid={uid}", f"--regid={uid}", *([f"--groups={groups}"] if groups else ["--clear-groups"])]
    who += inside
    ask = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, "--unix-socket", str(running_path)]
    return int(subprocess.run([*who, *ask, f"http://x{target}"], capture_output=True, check=True).stdout)


@as_root
@pytest.mark.skipif(not (shutil.which("setpriv") and shutil.which("curl")), reason="setpriv or curl is not installed")
def test_who_asks_is_known_from_the_kernel() -> None:
    """docs/promises.md 95: uid, primary and supplementary groups decide; everybody else sees nothing."""
    engine = FakeEngine()
    engine.hold("users", access=Access(users=("12345",)))
    engine.hold("groups", access=Access(groups=("23456",)))
    engine.hold("units", access=Access(units=("no-such.service",)))
    engine.hold("open")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        with served(directory, engine, place=SocketFile(directory / "s", mode=0o666), admins=("20001",)) as running:

            def statuses(uid: int, groups: str = "") -> list[int]:
                return [
                    _as(uid, groups, running.path, f"/v1/tokens/{one}") for one in ("users", "groups", "units", "open")
                ]

            assert statuses(12345) == [200, 404, 404, 200]
            assert statuses(23456) == [404, 200, 404, 200]
            assert statuses(30000, "4,23456") == [404, 200, 404, 200]
            assert statuses(30000, ",".join(map(str, range(23000, 24000)))) == [404, 200, 404, 200]
            assert statuses(30000) == [404, 404, 404, 200]
            assert statuses(0) == [200, 200, 200, 200]
            assert _as(30000, "", running.path, "/v1/reload", "POST") == 403
            assert _as(20001, "", running.path, "/v1/reload", "POST") == 200
            assert _as(20001, "", running.path, "/v1/tokens/users/forget", "POST") == 404


@as_root
@pytest.mark.skipif(not (shutil.which("setpriv") and shutil.which("curl")), reason="setpriv or curl is not installed")
def test_root_of_a_user_namespace_is_who_it_is_outside() -> None:
    """docs/promises.md 98: anybody can be uid 0 in a namespace of their own."""
    namespace = ("unshare", "--user", "--map-root-user")
    nobody = ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups")
    if subprocess.run([*nobody, *namespace, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine gives users no namespaces")
    engine = FakeEngine()
    engine.hold("roots", access=Access(users=("root",)))
    engine.hold("users", access=Access(users=("12345",)))
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        with served(directory, engine, place=SocketFile(directory / "s", mode=0o666)) as running:
            for inside in ((), namespace):
                assert _as(12345, "", running.path, "/v1/tokens/users", inside=inside) == 200
                assert _as(12345, "", running.path, "/v1/tokens/roots", inside=inside) == 404
                assert _as(12345, "", running.path, "/v1/reload", "POST", inside=inside) == 403
            assert _as(0, "", running.path, "/v1/reload", "POST", inside=("unshare", "--user")) == 200


@as_root
@pytest.mark.skipif(not (shutil.which("setpriv") and shutil.which("curl")), reason="setpriv or curl is not installed")
def test_root_of_a_container_is_neither_admin_nor_exempt_from_access() -> None:
    """A container without a user namespace, as Docker makes it, that has the socket mounted; nor with the uid of an
    admin or of the daemon."""
    container = ("unshare", "--mount", "--pid", "--fork", "--ipc", "--uts", "--net", "--mount-proc")
    if subprocess.run([*container, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine allows no namespaces")
    engine = FakeEngine()
    engine.hold("users", access=Access(users=("12345",)))
    engine.hold("open")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        place = SocketFile(directory / "s", mode=0o666)
        with served(directory, engine, place=place, admins=("root", "20001"), own_uid=20002) as running:

            def statuses(uid: int, *inside: str) -> list[int]:
                become = (*inside, "setpriv", f"--reuid={uid}", "--regid=30000", "--clear-groups")
                read = [_as(0, "", running.path, f"/v1/tokens/{one}", inside=become) for one in ("users", "open")]
                return [*read, _as(0, "", running.path, "/v1/reload", "POST", inside=become)]

            assert statuses(0) == statuses(20002) == [200, 200, 200]
            assert statuses(20001) == [404, 200, 200]
            for uid in (0, 20001, 20002):
                assert statuses(uid, *container) == [404, 200, 403]
            assert statuses(12345, *container) == [200, 200, 403]


CONNECT_AND_PASS_ON = """
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
socket.send_fds(socket.socket(fileno=int(sys.argv[2])), [b"x"], [client.fileno()])
"""


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_a_connection_is_of_who_connected_not_of_its_present_holder() -> None:
    """docs/promises.md 96: root that uses a stranger's connection gets what the stranger may have."""
    engine = FakeEngine()
    engine.hold("roots", access=Access(users=("root",)))
    engine.hold("open")
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryDirectory() as name, ours, theirs:
        directory = Path(name)
        directory.chmod(0o755)
        with served(directory, engine, place=SocketFile(directory / "s", mode=0o666)) as running:
            python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
            who = ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups")
            argv = [*who, python, "-c", CONNECT_AND_PASS_ON, str(running.path), str(theirs.fileno())]
            subprocess.run(argv, pass_fds=[theirs.fileno()], check=True)
            _, (descriptor,), _, _ = socket.recv_fds(ours, 1, 1)
            with socket.socket(fileno=descriptor) as inherited, inherited.makefile("rb") as answers:
                for token, status in (("open", b"200"), ("roots", b"404"), ("open", b"200")):
                    inherited.sendall(
                        f"GET /v1/tokens/{token} HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n".encode()
                    )
                    assert answers.readline().split()[1] == status
                    while (line := answers.readline()) != b"\r\n":
                        if line.startswith(b"Content-Length:"):
                            size = int(line.split()[1])
                    answers.read(size)


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
            assert isinstance(connection, Connection)
            kept = connection.peer.connection
            assert kept is not None
            assert kept.fileno() >= 0
        assert eventually(lambda: running.server.connections == 0)
        assert running.inside(kept.fileno) == -1


def test_a_descriptor_that_is_no_socket_raises() -> None:
    """libc's error is an OSError, as Python's is."""
    with Path("/dev/null").open() as file, pytest.raises(OSError, match="SO_PEERGROUPS"):
        _many_groups(file.fileno())


def test_the_pid_of_the_other_end_is_the_one_that_connected() -> None:
    """For counting only."""
    near, far = socket.socketpair()
    with near, far:
        assert pid_of(near) == os.getpid()
