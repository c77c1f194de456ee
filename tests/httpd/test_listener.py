"""The listener under all three servers, with the smallest connection that there can be."""

import asyncio
import ctypes
import errno
import os
import socket
import stat
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import uvloop

from tests.credentials.server import place
from tests.httpd.served import logged
from tokend.access.peer import NOBODY, Peer
from tokend.httpd.listener import PAUSE_SECONDS, Listener
from tokend.httpd.passed_descriptors import refuse_descriptors
from tokend.httpd.places import ConnectionLimits
from tokend.httpd.unix_socket import SocketFile, is_right

PATIENCE_SECONDS = 10.0
SYS_SETRESUID = {"x86_64": 117, "aarch64": 147}.get(os.uname().machine, -1)
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or SYS_SETRESUID == -1, reason="only root can connect as other users; known on x86-64 and arm64"
)


@dataclass
class Owner:
    """Makes connections and notes what becomes of them."""

    limits: ConnectionLimits = field(default_factory=lambda: ConnectionLimits(100))
    stubborn: bool = False
    denials: list[tuple[int, str]] = field(default_factory=list)
    made: "list[Open]" = field(default_factory=list)
    listener: "Listener[Open]" = field(init=False)

    async def listen(self, endpoint: SocketFile | socket.socket) -> "Listener[Open]":
        self.listener = Listener(
            endpoint, lambda sock, _: Open(self, sock), limits=self.limits, denied=self.denied, path_check_seconds=0.01
        )
        await self.listener.start()
        return self.listener

    def denied(self, peer: Peer, detail: str) -> None:
        self.denials.append((peer.uid, detail))


class Open:
    """Says "hello" and stays open; a stubborn one stays until it is aborted."""

    def __init__(self, owner: Owner, sock: socket.SocketType) -> None:
        self.owner, self.sock, self.aborted = owner, sock, False
        self.active = 0.0
        owner.made.append(self)

    def start(self) -> None:
        assert self in self.owner.listener.connections  # counted before it begins
        self.sock.send(b"hello")

    def close_soon(self) -> None:
        if not self.owner.stubborn:
            self.close()

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def give_way(self) -> None:
        self.close()

    def last_active(self) -> float:
        return self.active

    def close(self) -> None:
        self.sock.close()
        self.owner.listener.leave(self)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await scenario()

    uvloop.run(within())


@asynccontextmanager
async def client(path: Path) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        yield reader
    finally:
        writer.close()


def test_a_connection_too_many_is_closed_and_reported(tmp_path: Path) -> None:
    """In all, and of one uid; exempt uids count only in all. A place that becomes free is given to the next."""

    async def scenario() -> None:
        for limits, detail in (
            (ConnectionLimits(1), "too many connections"),
            (ConnectionLimits(9, 1), "too many connections of this uid"),
            (ConnectionLimits(9, 1, exempt=frozenset((os.geteuid(),))), None),
        ):
            owner = Owner(limits)
            listener = await owner.listen(SocketFile(tmp_path / "s"))
            async with client(tmp_path / "s") as one, client(tmp_path / "s") as two:
                assert await one.readexactly(5) == b"hello"
                assert await two.read(5) == (b"" if detail else b"hello")
                owner.made[0].close()
                async with client(tmp_path / "s") as three:
                    assert await three.readexactly(5) == b"hello"
            assert owner.denials == ([(os.geteuid(), detail)] if detail else [])
            await listener.close()
            assert listener.connections == {}

    run(scenario)


def connect_as(uid: int, path: Path) -> socket.socket:
    """Connect as another user: the system call changes this thread only, libc's function the whole process."""
    made: list[socket.socket] = []

    def connect() -> None:
        set_ids = partial(ctypes.CDLL(None).syscall, SYS_SETRESUID, -1)
        assert set_ids(uid, -1) == 0
        try:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(PATIENCE_SECONDS)
            client.connect(str(path))
            made.append(client)
        finally:
            assert set_ids(0, -1) == 0

    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
    return made[0]


async def received(client: socket.socket) -> bytes:
    """What a client gets next; nothing if it was closed."""
    return await asyncio.to_thread(client.recv, 5)


@as_root
def test_when_all_places_are_taken_the_idlest_of_the_uid_with_the_most_goes() -> None:
    """For another uid with fewer; a client of the uid with the most is refused. Root always has a place."""

    async def scenario() -> None:
        owner = Owner(ConnectionLimits(48, kept=lambda uid: uid == 0))
        with place() as directory, ExitStack() as stack:
            listener = await owner.listen(SocketFile(directory / "s", mode=0o666))

            async def join(uid: int) -> tuple[socket.socket, bytes]:
                client = stack.enter_context(connect_as(uid, directory / "s"))
                return client, await received(client)

            strangers = [await join(1001 + number % 3 // 2) for number in range(45)]
            assert Counter(listener.connections.values()) == {1001: 30, 1002: 15}
            owner.made[4].active = -1.0
            assert listener.connections[owner.made[4]] == 1001
            assert (await join(1003))[1] == b"hello"
            assert await received(strangers[4][0]) == b""
            assert (await join(1001))[1] == b""
            assert [(await join(0))[1] for _ in range(3)] == [b"hello"] * 3
            assert len(listener.connections) == 48
            assert (await join(0))[1] == b"hello"
            assert Counter(listener.connections.values()) == {1001: 28, 1002: 15, 1003: 1, 0: 4}
            await listener.close()
        assert {detail for _, detail in owner.denials} == {
            "too many connections",
            "too many connections: the idlest was closed",
        }

    run(scenario)


def test_a_queueing_listener_leaves_a_connection_too_many_in_the_backlog(tmp_path: Path) -> None:
    """It is neither closed nor reported, and served as soon as there is room."""

    async def scenario() -> None:
        owner = Owner(ConnectionLimits(1, queues=True))
        listener = await owner.listen(SocketFile(tmp_path / "s"))
        async with client(tmp_path / "s") as one, client(tmp_path / "s") as two:
            assert await one.readexactly(5) == b"hello"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(2 * PAUSE_SECONDS):
                    await two.read(1)
            assert len(owner.made) == 1
            owner.made[0].close()
            assert await two.readexactly(5) == b"hello"
        assert owner.denials == []
        await listener.close()

    run(scenario)


def test_a_removed_path_is_taken_back_and_a_foreign_file_raises(tmp_path: Path) -> None:
    """Open connections stay; where the path cannot be taken back, the error is raised and the file is left alone."""
    path = tmp_path / "s"

    async def scenario() -> None:
        owner = Owner()
        listener = await owner.listen(SocketFile(path))
        keeping = asyncio.create_task(listener.keep_path())
        async with client(path) as one:
            assert await one.readexactly(5) == b"hello"
            path.unlink()
            while True:
                try:
                    async with client(path) as two:
                        assert await two.readexactly(5) == b"hello"
                        break
                except (FileNotFoundError, ConnectionRefusedError):  # it listens last
                    await asyncio.sleep(0)
            assert len(listener.connections) == 2
            path.unlink()
            path.write_text("precious")
            with logged() as lines, pytest.raises(OSError, match="is no socket"):
                await keeping
            assert [line["event"] for line in lines] == ["socket.lost"]
        await listener.close()
        assert path.read_text() == "precious"

    run(scenario)


def test_an_exact_socket_whose_mode_somebody_changed_is_made_again(tmp_path: Path) -> None:
    """Its open connections stay. Without ``exact`` a changed mode stays."""
    path = tmp_path / "s"

    async def scenario() -> None:
        place = SocketFile(path, mode=0o600, exact=True)
        listener = await Owner().listen(place)
        taken_back = asyncio.Event()
        keeping = asyncio.create_task(listener.keep_path(taken_back.set))
        async with client(path) as one:
            assert await one.readexactly(5) == b"hello"
            path.chmod(0o666)
            async with asyncio.timeout(20):
                await taken_back.wait()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            async with client(path) as two:
                assert await two.readexactly(5) == b"hello"
            assert len(listener.connections) == 2
        keeping.cancel()
        path.chmod(0o666)
        assert not is_right(place)
        place.exact = False
        assert is_right(place)
        await listener.close()

    run(scenario)


@pytest.mark.parametrize("stubborn", [False, True])
def test_at_the_end_connections_get_their_grace_and_are_then_cut(tmp_path: Path, stubborn: bool) -> None:
    """Nobody connects any more, the path is gone; what does not close by itself is aborted."""

    async def scenario() -> None:
        owner = Owner(stubborn=stubborn)
        listener = await owner.listen(SocketFile(tmp_path / "s"))
        async with client(tmp_path / "s") as one:
            assert await one.readexactly(5) == b"hello"
            await listener.close(grace_seconds=0.01)
            assert await one.read() == b""
        assert [connection.aborted for connection in owner.made] == [stubborn]
        assert listener.connections == {}
        assert not (tmp_path / "s").exists()

    run(scenario)


class FullTable:
    """A listening socket for which there is no descriptor; counts the attempts."""

    def __init__(self, real: socket.socket) -> None:
        self.real, self.family, self.fileno = real, real.family, real.fileno
        self.close, self.shutdown = real.close, real.shutdown
        self.attempts = 0
        self.room = False

    def _accept(self) -> tuple[int, object]:
        if self.room:
            return self.real._accept()  # type: ignore[attr-defined, no-any-return]  # typeshed does not have it
        self.attempts += 1
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_a_failing_accept_pauses_and_is_logged_once(tmp_path: Path) -> None:
    """The socket stays readable: without the pause it would be a busy loop, with a line for each attempt."""

    async def scenario() -> None:
        owner = Owner()
        listener = await owner.listen(SocketFile(tmp_path / "s"))
        assert listener._socket is not None
        listener._socket = full = FullTable(listener._socket)  # type: ignore[assignment]  # as much of a socket as is used
        with logged() as lines:
            async with client(tmp_path / "s") as one:
                started = asyncio.get_running_loop().time()
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(3.5 * PAUSE_SECONDS):
                        await one.read(1)
                took = asyncio.get_running_loop().time() - started
                assert 2 <= full.attempts <= 1 + took / PAUSE_SECONDS
                full.room = True
                assert await one.readexactly(5) == b"hello"
        assert [line["event"] for line in lines] == ["socket.not_accepting"]
        await listener.close()

    run(scenario)


def test_tcp_connections_count_for_nobody(tmp_path: Path) -> None:
    """The kernel names no peer there; what arrives is counted in all."""

    async def scenario() -> None:
        owner = Owner(ConnectionLimits(1))
        listener = await owner.listen(socket.create_server(("127.0.0.1", 0)))
        assert listener._socket is not None
        address = listener._socket.getsockname()
        one, first = await asyncio.open_connection(*address)
        assert await one.readexactly(5) == b"hello"
        two, second = await asyncio.open_connection(*address)
        assert await two.read() == b""
        assert list(listener.connections.values()) == [NOBODY.uid]
        assert owner.denials == [(NOBODY.uid, "too many connections")]
        first.close()
        second.close()
        await listener.close()

    run(scenario)


@pytest.mark.parametrize("inherited", [False, True])
def test_clients_cannot_send_descriptors(tmp_path: Path, inherited: bool) -> None:
    """A passed TCP socket with SO_LINGER would block the loop when it is closed unread."""
    with socket.socket(socket.AF_UNIX) as probe:
        if not refuse_descriptors(probe):
            pytest.skip("this kernel cannot refuse descriptors (Linux 6.16)")

    async def scenario() -> None:
        endpoint: SocketFile | socket.socket = SocketFile(tmp_path / "s")
        if inherited:
            endpoint = socket.socket(socket.AF_UNIX)
            endpoint.bind(str(tmp_path / "s"))
            endpoint.listen()
        listener = await Owner().listen(endpoint)
        with socket.socket(socket.AF_UNIX) as sender, socket.socket() as passed:
            passed.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
            sender.connect(str(tmp_path / "s"))
            with pytest.raises(PermissionError):
                socket.send_fds(sender, [b"x"], [passed.fileno()])
        await listener.close()

    run(scenario)
