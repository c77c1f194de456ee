"""Search for the daemon's socket, and the errors without one: exit codes 3 and 6."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.running import SOMEBODY, Running, as_root, lines, short_directory, tokend, tokend_as

# One of each way to the socket.
COMMANDS = (
    ("get", "tt"), ("header", "tt"), ("issue", "wallet", "url=/"), ("request-id", "tt"), ("list",), ("status",),
    ("refresh", "tt"), ("refresh", "--all"), ("forget", "tt"), ("verify", "tt"), ("reload",),
    ("exec", "--env", "A=tt", "--", "true"),
)  # fmt: skip


@contextmanager
def listening(path: Path, *, mode: int = 0o666) -> Iterator[socket.socket]:
    """A socket that somebody listens on, who never answers."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        path.chmod(mode)
        server.listen()
        yield server


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_without_a_daemon_every_command_says_so_in_one_sentence(command: tuple[str, ...]) -> None:
    """Exit code 3, one line on stderr that names the socket, nothing on stdout."""
    done = tokend(*command, TOKEND_SOCKET="/nonexistent/tokend.sock")
    assert (done.code, done.out) == (3, "")
    assert lines(done.err) == [
        "tokend: no daemon at /nonexistent/tokend.sock (No such file or directory): is it running? "
        "try: systemctl status tokend"
    ]


def test_a_dead_socket_is_no_daemon() -> None:
    """A file that a killed daemon left behind: exit code 3."""
    with short_directory() as directory:
        path = directory / "dead.sock"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
        for command in ("get", "verify"):
            done = tokend(command, "tt", "--socket", str(path))
            assert (done.code, done.out) == (3, "")
            assert f"no daemon at {path} (Connection refused)" in done.err


@pytest.mark.parametrize("what", ["file", "directory", "too long"])
def test_what_is_no_socket_is_no_daemon(what: str) -> None:
    """A file, a directory, a path that no socket can have: exit code 3, no traceback."""
    with short_directory() as directory:
        path = directory / "x"
        if what == "file":
            path.write_text("")
        elif what == "directory":
            path.mkdir()
        else:
            path = directory / ("x" * 200)
        done = tokend("get", "tt", "--socket", str(path))
        assert (done.code, done.out) == (3, "")
        assert len(lines(done.err)) == 1


@as_root
def test_a_socket_that_one_may_not_open_is_denied() -> None:
    """Exit code 6, whose it is, and its mode; also where its directory is closed."""
    with short_directory() as directory, listening(directory / "a.sock", mode=0o660):
        for command in ("get", "verify"):
            done = tokend_as(SOMEBODY, command, "tt", "--socket", str(directory / "a.sock"))
            assert (done.code, done.out) == (6, "")
            assert f"you may not open {directory / 'a.sock'}: it belongs to root:root, mode 0660" in done.err
        directory.chmod(0o700)
        done = tokend_as(SOMEBODY, "get", "tt", "--socket", str(directory / "a.sock"))
        assert done.code == 6
        assert "its directory belongs to root:root, mode 0700" in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_socket_without_permission_is_denied() -> None:
    """The same without root: exit code 6."""
    with short_directory() as directory, listening(directory / "a.sock", mode=0):
        assert tokend("get", "tt", "--socket", str(directory / "a.sock")).code == 6


@as_root
def test_a_usual_place_that_one_may_not_look_into_is_denied_not_skipped() -> None:
    """A closed directory may hold the socket: exit code 6, not 3."""
    with short_directory() as directory:
        place = directory / "tokend"
        place.mkdir(mode=0o700)
        done = tokend_as(SOMEBODY, "get", "tt", XDG_RUNTIME_DIR=str(directory))
        assert done.code == 6
        assert str(place / "tokend.sock") in done.err


def test_the_users_runtime_directory_is_looked_into_first(running: Running) -> None:
    """$XDG_RUNTIME_DIR/tokend/tokend.sock, unless $TOKEND_SOCKET says otherwise; an empty one says nothing."""
    with short_directory() as directory:
        (directory / "tokend").mkdir()
        (directory / "tokend" / "tokend.sock").symlink_to(running.socket)
        assert tokend("get", "tt", XDG_RUNTIME_DIR=str(directory)).code == 0
        assert tokend("get", "tt", XDG_RUNTIME_DIR=str(directory), TOKEND_SOCKET="").code == 0
        assert tokend("get", "tt", XDG_RUNTIME_DIR=str(directory), TOKEND_SOCKET="/nowhere").code == 3


def test_clients_never_read_the_configuration(running: Running) -> None:
    """A broken $TOKEND_CONFIG disturbs nobody but the daemon and `check`."""
    with short_directory() as directory:
        config = directory / "config.toml"
        config.write_text("this is = no = TOML")
        assert running.tokend("get", "tt", TOKEND_CONFIG=str(config)).code == 0
        assert running.tokend("list", TOKEND_CONFIG=str(config)).code == 0
        assert running.tokend("check", TOKEND_CONFIG=str(config)).code == 2


def test_waiting_for_a_daemon_that_does_not_come_is_124() -> None:
    """`--wait` covers a daemon that is not there yet: 124 in the end, with the reason."""
    done = tokend("get", "tt", "--wait", "300ms", TOKEND_SOCKET="/nonexistent/tokend.sock")
    assert (done.code, done.out) == (124, "")
    assert "no suitable token after 0.3 s: no daemon at /nonexistent/tokend.sock" in done.err


def test_waiting_ends_in_time_where_nobody_answers() -> None:
    """A daemon that hangs holds `--wait` no longer than a second beyond."""
    with short_directory() as directory, listening(directory / "a.sock"):
        done = tokend("get", "tt", "--wait", "100ms", "--socket", str(directory / "a.sock"))
        assert (done.code, done.out) == (124, "")
        assert "did not answer" in done.err
