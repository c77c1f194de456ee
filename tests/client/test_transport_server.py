"""The server at a socket that was searched for: whose it may be, before anything is sent to it."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.running import SOMEBODY, as_root, short_directory, tokend
from tests.client.fake_daemon import http
from tests.client.test_transport import Exchange, on_a_loop
from tokend.client import AsyncTokenClient, DeniedError, TokenClient, transport
from tokend.client.transport import UsualPlace, check_server, find_socket

STRANGER = SOMEBODY + 1
BODY = b'{"version": 1, "tokens": []}'


@pytest.fixture(params=[transport.exchange, on_a_loop], ids=["thread", "asyncio"])
def exchange(request: pytest.FixtureRequest) -> Exchange:
    """Each way to make an exchange."""
    found: Exchange = request.param
    return found


@contextmanager
def served_by(uid: int, *, directory_of: int, mode: int = 0o755) -> Iterator[tuple[Path, list[bytes]]]:
    """A server that runs as ``uid`` at RUNTIME/tokend/tokend.sock; yields RUNTIME and what the server received."""
    with short_directory() as runtime, socket.socket(socket.AF_UNIX) as server:
        directory = runtime / "tokend"
        directory.mkdir()
        server.bind(str(directory / "tokend.sock"))
        (directory / "tokend.sock").chmod(0o666)
        runtime.chmod(0o755)
        directory.chmod(mode)
        os.chown(directory, directory_of, directory_of)
        os.seteuid(uid)
        try:
            server.listen()  # the kernel shows clients who did this
        finally:
            os.seteuid(0)
        received: list[bytes] = []
        thread = threading.Thread(target=_answer, args=(server, received))
        thread.start()
        try:
            yield runtime, received
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _answer(server: socket.socket, received: list[bytes]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            if data := connection.recv(65536):
                received.append(data)
                connection.sendall(http(BODY))


@as_root
@pytest.mark.parametrize(
    ("uid", "directory_of", "mode", "asked"),
    [
        (0, STRANGER, 0o777, True),
        (SOMEBODY, SOMEBODY, 0o755, True),
        (SOMEBODY, SOMEBODY, 0o700, True),
        (SOMEBODY, SOMEBODY, 0o775, False),
        (SOMEBODY, SOMEBODY, 0o757, False),
        (SOMEBODY, SOMEBODY, 0o1777, False),
        (SOMEBODY, STRANGER, 0o755, False),
        (SOMEBODY, 0, 0o755, False),
        (SOMEBODY, 0, 0o1777, False),
    ],
)
def test_a_server_that_was_found_must_be_one_to_trust(
    exchange: Exchange, uid: int, directory_of: int, mode: int, asked: bool
) -> None:
    """Root, ourselves, or the owner of a directory that nobody else may write. Otherwise not a byte is sent."""
    with served_by(uid, directory_of=directory_of, mode=mode) as (runtime, received):
        path = find_socket(None, {"XDG_RUNTIME_DIR": str(runtime)})
        if asked:
            assert exchange(path, "GET", "/v1/tokens")[2] == BODY
        else:
            with pytest.raises(DeniedError, match=rf"served by uid {uid}.*nothing was sent.*TOKEND_SOCKET") as caught:
                exchange(path, "GET", "/v1/tokens")
            assert caught.value.exit_code == 6
        assert bool(received) is asked


@as_root
def test_ourselves_may_serve_in_any_directory(exchange: Exchange) -> None:
    """The uid of the client counts, not that of root."""
    with served_by(SOMEBODY, directory_of=STRANGER, mode=0o777) as (runtime, received):
        path = find_socket(None, {"XDG_RUNTIME_DIR": str(runtime)})
        os.seteuid(SOMEBODY)
        try:
            assert exchange(path, "GET", "/v1/tokens")[2] == BODY
        finally:
            os.seteuid(0)
        assert received


@as_root
def test_a_path_that_the_user_names_is_the_users_choice(exchange: Exchange) -> None:
    """By --socket or $TOKEND_SOCKET, also if it is one of the usual places."""
    with served_by(SOMEBODY, directory_of=0) as (runtime, _):
        named = str(runtime / "tokend/tokend.sock")
        for path in (find_socket(named), find_socket(None, {"TOKEND_SOCKET": named})):
            assert exchange(path, "GET", "/v1/tokens")[2] == BODY


@as_root
def test_commands_and_clients_send_nothing_to_a_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast path of `get`, click's commands, and both clients of Python."""
    with served_by(SOMEBODY, directory_of=0) as (runtime, received):
        for command in (("get", "tt"), ("list",), ("issue", "wallet", "secret=fake"), ("refresh", "tt")):
            done = tokend(*command, XDG_RUNTIME_DIR=str(runtime))
            assert (done.code, done.out) == (6, "")
            assert f"served by uid {SOMEBODY}" in done.err
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
        monkeypatch.delenv("TOKEND_SOCKET", raising=False)
        with pytest.raises(DeniedError):
            TokenClient(files="/nonexistent").get("tt")
        with pytest.raises(DeniedError):
            asyncio.run(AsyncTokenClient(files="/nonexistent").get("tt"))
        assert received == []
        assert tokend("list", "--socket", str(runtime / "tokend/tokend.sock")).code == 0


def test_without_root_our_own_server_is_asked() -> None:
    """The rule costs those nothing who run their own daemon."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        check_server(ours, UsualPlace("/nonexistent/tokend.sock"))
