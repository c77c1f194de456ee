"""Descriptors that clients pass along: nobody else waits for their close.

Linux 6.16 refuses them. The other way, for older kernels, is tested on every kernel by the switch.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.api.fake_engine import FakeEngine, FakeHeld
from tests.credentials import server as raw
from tests.httpd.hostile_descriptors import PROMPT_SECONDS, lingering, pass_along, slow_parcel
from tests.httpd.served import Client, Served, eventually, served
from tokend.httpd import passed_descriptors
from tokend.httpd.passed_descriptors import MOST_IN_MESSAGE, RECEIVE, SWITCH, refuse_descriptors, spare_threads

LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(autouse=True)
def room() -> None:
    """Wait until everything that the test before passed along is closed."""
    assert eventually(_room)


@pytest.fixture
def receiving(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Served]:
    """A server that receives descriptors, as on an older kernel."""
    monkeypatch.setenv(SWITCH, RECEIVE)
    with served(tmp_path) as running:
        yield running
    assert eventually(lambda: spare_threads.unfinished == 0)


def answer_takes(running: Served) -> float:
    """Return how long an honest client waits for an answer on a new connection."""
    started = time.monotonic()
    assert running.get("/livez").status == 200
    return time.monotonic() - started


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("data", [LIVE, b"\0", LIVE[:10], LIVE * 3])
@pytest.mark.parametrize("number", [1, 20])
def test_a_passed_descriptor_delays_nobody(receiving: Served, data: bytes, number: int) -> None:
    """A request, no request, a part of one, several: other clients are answered meanwhile."""
    with lingering(number) as slow, pass_along(str(receiving.path), data, slow) as client:
        assert answer_takes(receiving) < PROMPT_SECONDS
        if data[:10] == LIVE[:10] and len(data) > 10:
            assert client.recv(9) == b"HTTP/1.1 "
        client.shutdown(socket.SHUT_WR)
        assert answer_takes(receiving) < PROMPT_SECONDS


def test_descriptors_are_received_on_every_kind_of_connection(receiving: Served) -> None:
    """On one that became a connection with a transport, too, and in the middle of a body."""
    with Client(receiving.path) as client, lingering(2) as (first, second):
        client.send(LIVE)
        assert client.reply().status == 200
        client.send(LIVE)
        assert client.reply().status == 200
        socket.send_fds(
            client.socket, [b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"], [first.fileno()]
        )
        first.close()
        socket.send_fds(client.socket, [b"{}"], [second.fileno()])
        second.close()
        assert client.reply().status == 200
        assert answer_takes(receiving) < PROMPT_SECONDS


def test_urgent_data_hides_no_descriptor(receiving: Served) -> None:
    """Without SO_OOBINLINE the kernel drops the byte, and closes what came with it, when it is read past."""
    with lingering() as slow, pass_along(str(receiving.path), b"!", slow, flags=socket.MSG_OOB) as client:
        client.send(LIVE)
        assert answer_takes(receiving) < PROMPT_SECONDS


def test_every_descriptor_of_the_largest_message_is_closed(receiving: Served) -> None:
    """253 in one message, in several messages: the table is as before."""
    before = descriptors()
    with Path(os.devnull).open() as null, Client(receiving.path) as client:
        for _ in range(5):
            socket.send_fds(client.socket, [LIVE], [null.fileno()] * MOST_IN_MESSAGE)
            assert client.reply().status == 200
            assert eventually(lambda: descriptors() <= before + 4)
    assert eventually(lambda: descriptors() == before)


def test_unread_descriptors_of_a_refused_client_delay_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A raw-token socket reads nothing; who may not connect, or is one too many, is ended like everybody else."""
    monkeypatch.setenv(SWITCH, RECEIVE)
    engine = FakeEngine()
    engine.hold("demo")
    engine.entries["demo"].settings = FakeHeld(access=raw.NOBODY)
    with raw.place() as directory, lingering(3) as slow, ExitStack() as clients:
        with raw.handing_out(engine, raw.rule, path=directory / "s") as running:
            for one in slow:
                with suppress(BrokenPipeError):  # the server was faster, and has ended the connection
                    clients.enter_context(pass_along(str(directory / "s"), b"x", [one]))
            started = time.monotonic()
            raw.given(directory / "s")
            assert time.monotonic() - started < PROMPT_SECONDS
            clients.close()
            assert eventually(lambda: running.open == 0)
        assert time.monotonic() - started < 2 * PROMPT_SECONDS


def test_a_listener_ends_at_once_although_its_backlog_holds_descriptors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Closing a listening socket closes what its backlog holds; each connection is emptied first."""
    monkeypatch.setenv(SWITCH, RECEIVE)
    with lingering(2) as slow, ExitStack() as clients:
        with served(tmp_path) as running:

            def connect_while_the_loop_is_busy() -> None:
                clients.enter_context(pass_along(str(running.path), b"x", slow[:1]))
                clients.enter_context(pass_along(str(running.path), b"x", slow[1:]))
                running.server.listener._close_socket()

            started = time.monotonic()
            running.inside(connect_while_the_loop_is_busy)
        assert time.monotonic() - started < PROMPT_SECONDS


def test_closes_that_hang_take_nothing_from_honest_clients(receiving: Served) -> None:
    """As many as there are threads for; the next client with descriptors is closed, all others are served."""
    with ExitStack() as stack:
        for _ in range(passed_descriptors.MOST_THREADS + 8):
            parcel = stack.enter_context(slow_parcel())
            stack.enter_context(pass_along(str(receiving.path), LIVE, [parcel]))
            assert answer_takes(receiving) < PROMPT_SECONDS
        assert not _room()  # else this test would prove less than it says
        with Client(receiving.path) as kept:
            for _ in range(3):
                kept.send(LIVE)
                assert kept.reply().status == 200
        late = stack.enter_context(slow_parcel())
        with pass_along(str(receiving.path), LIVE, [late]) as client:
            assert client.recv(1) == b""
    assert eventually(lambda: spare_threads.unfinished == 0)
    assert eventually(_room)


def _room() -> bool:
    if free := spare_threads.reserve():
        spare_threads.close([])
    return free


def test_descriptors_in_the_backlog_of_an_inherited_socket_delay_nobody(tmp_path: Path) -> None:
    """They were passed before this process could refuse them. Later clients are refused by the kernel, if it can."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening, lingering(2) as slow:
        listening.bind(str(path))
        listening.listen()
        with pass_along(str(path), LIVE, slow[:1]) as early, served(tmp_path, sock=listening, path=path) as running:
            assert answer_takes(running) < PROMPT_SECONDS
            assert early.recv(9) == b"HTTP/1.1 "
            if refuse_descriptors(listening):
                with pytest.raises(PermissionError):
                    pass_along(str(path), LIVE, slow[1:])
            else:
                pass_along(str(path), LIVE, slow[1:]).close()
            assert answer_takes(running) < PROMPT_SECONDS


def test_an_inherited_socket_that_passes_credentials_leaves_room_for_descriptors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """PassCredentials=, PassPIDFD=, PassSecurity= of a socket unit add messages; the kernel drops what has no room."""
    monkeypatch.setenv(SWITCH, RECEIVE)
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening, Path(os.devnull).open() as null:
        for option in passed_descriptors._OTHER_MESSAGES:
            listening.setsockopt(socket.SOL_SOCKET, option, 1)
        listening.bind(str(path))
        listening.listen()
        with served(tmp_path, sock=listening, path=path), Client(path) as client:
            client.send(LIVE)
            assert client.reply().status == 200
            before = descriptors()
            socket.send_fds(client.socket, [LIVE], [null.fileno()] * MOST_IN_MESSAGE)
            assert client.reply().status == 200
            assert eventually(lambda: descriptors() == before)


@pytest.mark.parametrize("close", [socket.socket.close, lambda one: one.shutdown(socket.SHUT_WR)])
def test_large_answers_arrive_whole_on_connections_that_are_drained(
    receiving: Served, close: Callable[[socket.socket], None]
) -> None:
    """The transport of these connections sends, waits for a slow reader, and closes like the loop's own."""
    with Client(receiving.path) as client:
        client.send(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 40)
        sizes = {len(client.reply().body) for _ in range(40)}
        assert len(sizes) == 1
        assert min(sizes) > 10_000
        close(client.socket)
    assert eventually(lambda: receiving.server.connections == 0)
