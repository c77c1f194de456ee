"""The file of a Unix socket: permissions, other sockets in its place, loss."""

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api.fake_engine import FakeEngine
from tests.httpd.served import Client, eventually, logged, served
from tokend.files import UntrustedError
from tokend.httpd.unix_socket import LONGEST_PATH_BYTES, SocketFile, SocketInUseError, bind_socket

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as other users")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def _listens(path: Path) -> bool:
    """Return whether a client can connect: the path is there a moment before."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_mode_and_directory_are_exact_under_any_umask(tmp_path: Path, umask: int) -> None:
    """The socket has its mode, a directory made for it is 0750; the umask is the caller's business."""
    before = os.umask(umask)
    try:
        listening = bind_socket(SocketFile(tmp_path / "made" / "tokend.sock"))
    finally:
        os.umask(before)
    with listening:
        assert _mode(tmp_path / "made" / "tokend.sock") == 0o660
        assert _mode(tmp_path / "made") == 0o750


def test_missing_directories_above_can_be_passed_under_any_umask(tmp_path: Path) -> None:
    """The group of the socket gets through them: only the last directory, which is the socket's own, is closed."""
    before = os.umask(0o077)
    try:
        place = SocketFile(tmp_path / "run" / "tokend" / "bot" / "tokend.sock")
        with bind_socket(place):
            assert [_mode(tmp_path / at) for at in ("run", "run/tokend", "run/tokend/bot")] == [0o755, 0o755, 0o750]
    finally:
        os.umask(before)


@as_root
def test_socket_and_directory_belong_to_the_group(tmp_path: Path) -> None:
    """socket_group is the group of both, by name or number; an existing directory is left alone."""
    with bind_socket(SocketFile(tmp_path / "made" / "tokend.sock", mode=0o666, group="12345")):
        assert (tmp_path / "made").stat().st_gid == (tmp_path / "made" / "tokend.sock").stat().st_gid == 12345
    before = tmp_path.stat()
    with bind_socket(SocketFile(tmp_path / "tokend.sock", group="12345")):
        assert (tmp_path.stat().st_gid, tmp_path.stat().st_mode) == (before.st_gid, before.st_mode)


def test_an_unknown_group_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    """The message names the group; no socket is left behind."""
    with pytest.raises(OSError, match="no-such-group-here"):
        bind_socket(SocketFile(tmp_path / "tokend.sock", group="no-such-group-here"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_there_is_no_moment_of_wrong_permissions(tmp_path: Path) -> None:
    """docs/promises.md 93: the file appears with at most 0600 even without a umask, opened by one chmod."""
    seen: list[int] = []
    real = socket.socket(socket.AF_UNIX)
    os.fchmod(real.fileno(), 0o600)
    before = os.umask(0)
    try:
        real.bind(str(tmp_path / "probe"))
        seen.append(_mode(tmp_path / "probe"))
        trace = tmp_path / "trace"
        code = (
            "from pathlib import Path; from tokend.httpd.unix_socket import bind_socket, SocketFile;"
            f"bind_socket(SocketFile(Path({str(tmp_path / 'tokend.sock')!r})))"
        )
        what = ["-f", "-qq", "-o", str(trace), "-e", "trace=fchmod,bind,listen,chmod,fchmodat"]
        subprocess.run(["strace", *what, sys.executable, "-c", code], check=True)
    finally:
        os.umask(before)
        real.close()
    calls = [line.split(maxsplit=1)[1].partition("(")[0] for line in trace.read_text().splitlines()]
    assert seen == [0o600]
    assert calls[-4:-2] == ["fchmod", "bind"]
    assert calls[-2] in ("chmod", "fchmodat")
    assert calls[-1] == "listen"


_SWAPPED = """
import os, sys
from pathlib import Path
from tokend.httpd.unix_socket import SocketFile, bind_socket
path, victim, what = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def swap(event, arguments):
    # Between bind and the first look at the file: the moment that an attacker waits for.
    if event == "open" and arguments[0] == str(path):
        path.unlink()
        {"link": path.symlink_to, "hard link": path.hardlink_to}[what](victim)

sys.addaudithook(swap)
try:
    bind_socket(SocketFile(path, mode=0o666))
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("what", ["link", "hard link"])
def test_a_file_that_takes_the_place_of_the_new_socket_is_left_alone(tmp_path: Path, what: str) -> None:
    """Neither the link nor what it leads to gets the socket's mode."""
    victim = tmp_path / "precious"
    victim.write_text("fake-precious")
    victim.chmod(0o600)
    arguments = [str(tmp_path / "s"), str(victim), what]
    done = subprocess.run([sys.executable, "-c", _SWAPPED, *arguments], capture_output=True, text=True, check=True)
    assert "another file took the place of the socket" in done.stdout
    assert _mode(victim) == 0o600
    assert os.path.lexists(tmp_path / "s")


@as_root
def test_a_directory_of_another_user_is_refused_unless_he_owns_the_socket(tmp_path: Path) -> None:
    """He could put any file in the socket's place; his own socket he may do with as he likes."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, -1)
    with pytest.raises(UntrustedError, match="belongs to uid 12345"):
        bind_socket(SocketFile(theirs / "s"))
    assert list(theirs.iterdir()) == []
    with bind_socket(SocketFile(theirs / "s", owner="12345")):
        assert (theirs / "s").stat().st_uid == 12345
    theirs.chmod(0o777)
    with pytest.raises(UntrustedError, match="theirs"):
        bind_socket(SocketFile(theirs / "s", owner="12345"))


def test_a_dead_socket_is_replaced(tmp_path: Path) -> None:
    """docs/promises.md 91: a socket of ours that refuses connections is unlinked."""
    path = tmp_path / "tokend.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    with bind_socket(SocketFile(path)):
        Client(path).close()


def test_a_living_socket_is_left_alone(tmp_path: Path) -> None:
    """Somebody listens: a clear error, and the other goes on undisturbed, even with a full backlog."""
    path = tmp_path / "tokend.sock"
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as waiting:
        other.bind(str(path))
        other.listen(0)
        waiting.connect(str(path))
        with pytest.raises(SocketInUseError, match="another process listens"):
            bind_socket(SocketFile(path))
        other.accept()[0].close()


@as_root
def test_a_dead_socket_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """Not ours: not unlinked."""
    path = tmp_path / "tokend.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
    os.chown(path, 12345, -1)
    with pytest.raises(SocketInUseError, match="belongs to uid 12345"):
        bind_socket(SocketFile(path))
    assert path.exists()


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("/nowhere")])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A file, directory or link in the way stays, and is named."""
    path = tmp_path / "tokend.sock"
    make(path)
    with pytest.raises(SocketInUseError, match=r"tokend\.sock exists and is no socket"):
        bind_socket(SocketFile(path))
    assert os.path.lexists(path)


def test_a_path_too_long_for_a_socket_is_a_clear_error(tmp_path: Path) -> None:
    """The limit is named, instead of the kernel's silence."""
    with pytest.raises(OSError, match=f"longer than {LONGEST_PATH_BYTES} bytes"):
        bind_socket(SocketFile(tmp_path / ("x" * LONGEST_PATH_BYTES)))


def test_a_removed_path_comes_back_and_open_connections_stay(tmp_path: Path) -> None:
    """docs/promises.md 92: unlinked, the socket is bound again."""
    with served(tmp_path) as running, running.client() as old:
        old.send(b"GET /livez HTTP/1.1\r\n\r\n")
        assert old.reply().status == 200
        running.path.unlink()
        assert eventually(lambda: _listens(running.path))
        assert _mode(running.path) == 0o660
        assert running.get("/livez").status == 200
        old.send(b"GET /livez HTTP/1.1\r\n\r\n")
        assert old.reply().status == 200


def test_a_stolen_path_is_taken_back(tmp_path: Path) -> None:
    """Another socket in our place, listening or not, is replaced by ours."""
    with served(tmp_path) as running, socket.socket(socket.AF_UNIX) as thief:
        running.path.unlink()
        thief.bind(str(tmp_path / "t"))
        thief.listen()
        (tmp_path / "t").rename(running.path)
        stolen = running.path.lstat().st_ino
        assert eventually(lambda: running.path.exists() and running.path.lstat().st_ino != stolen)
        assert eventually(lambda: _listens(running.path))
        assert _mode(running.path) == 0o660
        assert running.get("/livez").status == 200


def test_somebody_elses_file_in_our_place_survives_us(tmp_path: Path) -> None:
    """A file that is no socket is neither replaced while we run nor unlinked when we end."""
    with logged() as lines, served(tmp_path) as running:
        (tmp_path / "precious").write_text("data")
        (tmp_path / "precious").rename(running.path)
        assert eventually(lambda: any(one["event"] == "socket.lost" for one in lines))
        assert running.path.read_text() == "data"
    assert running.path.read_text() == "data"


def test_our_socket_is_withdrawn_at_the_end(tmp_path: Path) -> None:
    """Closed, the path is gone: the next start finds nothing stale."""
    with served(tmp_path) as running:
        assert running.path.exists()
    assert not running.path.exists()


def test_an_inherited_socket_is_served_and_kept(tmp_path: Path) -> None:
    """A listening socket from outside (socket activation) is used as it is and not unlinked."""
    path = tmp_path / "inherited.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(128)
        with served(tmp_path, sock=listening.dup(), path=path) as running:
            assert running.get("/livez").status == 200
        assert path.exists()


def test_curl_can_read_a_token(tmp_path: Path) -> None:
    """The ordinary tool works, with keep-alive across two addresses."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    engine = FakeEngine()
    engine.hold("demo")
    with served(tmp_path, engine) as running:
        address = "http://localhost/v1/tokens/demo"
        got = subprocess.run(
            ["curl", "-sS", "--fail", "-H", "Accept: text/plain", "--unix-socket", running.path, address, address],
            capture_output=True,
            check=True,
        )
    assert got.stdout == b"fake-token-for-tests" * 2


@as_root
@pytest.mark.parametrize("there", [True, False])
def test_what_a_user_may_not_make_is_an_error_with_the_user_and_the_way_out(there: bool) -> None:
    """The first start of an ordinary user, without a login session: /run/tokend is root's."""
    directory = Path(tempfile.mkdtemp(prefix="tk-"))
    try:
        directory.chmod(0o755)
        path = (directory if there else directory / "tokend") / "t.sock"
        program = (
            "import os, pwd, grp, sys\nfrom pathlib import Path\n"
            "from tokend.httpd.unix_socket import SocketFile, bind_socket\n"
            "os.setgroups([]); os.setresgid(54321, 54321, 54321); os.setresuid(54321, 54321, 54321)\n"
            "try:\n    bind_socket(SocketFile(Path(sys.argv[1])))\nexcept OSError as error:\n    print(error)\n"
        )
        done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
        assert "uid 54321" in done.stdout
        if there:
            assert "cannot bind the socket: Permission denied for uid 54321: choose a directory" in done.stdout
        else:
            assert done.stdout == (
                f"uid 54321 cannot make the socket's directory {path.parent}: Permission denied; set [daemon] socket "
                "to a path that this user may make, or $XDG_RUNTIME_DIR, which a login session has\n"
            )
    finally:
        shutil.rmtree(directory)
