"""Clients that take, send and pass more than they should, at a real daemon; what it is for goes on meanwhile."""

import os
import resource
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.daemon.harness import PATIENCE_SECONDS, Home, until
from tests.daemon.tables import PARTNER, PX
from tokend.config.model import DaemonSettings
from tokend.httpd.places import RESERVED_DESCRIPTORS
from tokend.httpd.request_parser import Limits

LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
# Of sandbox tokens: renewed after half of it, so that the tests need not wait for long.
LIFE_SECONDS = 4.0
SINK = '\n[[providers.{name}.sinks]]\nkind = "socket"\npath = "run/{name}.sock"\n'


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Room for both ends' worth of clients in this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))  # with a time limit it would not wait where the backlog is full
    client.settimeout(PATIENCE_SECONDS)
    return client


@contextmanager
def crowd(path: Path, count: int) -> Iterator[list[socket.socket]]:
    """So many clients at once, each with a request; gives those that are answered, and stay. The rest is closed."""
    clients = []
    for _ in range(count):
        clients.append(connected(path))
        with suppress(OSError):
            clients[-1].sendall(LIVE)
    answered = []
    for client in clients:
        reply = b""
        with suppress(ConnectionResetError):
            reply = client.recv(4096)
        if reply:
            assert reply.startswith(b"HTTP/1.1 200 ")
            answered.append(client)
        else:
            client.close()
    try:
        yield answered
    finally:
        for client in answered:
            client.close()


def renewed(home: Home, name: str) -> None:
    """Wait until a sink's file has another token."""
    before = home.out(name).read_bytes()
    until(lambda: home.out(name).read_bytes() not in (before, b""), f"another token in {name}")


def test_the_limits_are_those_that_are_promised() -> None:
    """docs/promises.md 71, 99 to 101: what nobody changed in the configuration."""
    limits, settings = Limits(), DaemonSettings(socket=Path("/s"), state_directory=Path("/d"))
    assert (limits.header_bytes, limits.body_bytes, limits.header_seconds) == (16 * 1024, 64 * 1024, 2.0)
    assert (limits.max_connections, limits.max_connections_per_uid) == (4096, 2500)
    assert (settings.max_connections, settings.max_connections_per_uid) == (4096, 2500)
    assert RESERVED_DESCRIPTORS == 64


@pytest.mark.usefixtures("many_descriptors")
def test_a_flood_of_5000_connections_takes_what_one_uid_may_have_and_stops_nothing(
    make_home: Callable[..., Home],
) -> None:
    """docs/promises.md 71, 101: 2,500 stay and are served, the others are closed; tokens are renewed meanwhile."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 6000:
        pytest.skip("the hard limit of descriptors is too low for 5,000 clients in one process")
    home = make_home(projectx_ttl=LIFE_SECONDS)
    daemon = home.start(PX).settled()
    with crowd(home.socket, 5000) as clients:
        assert len(clients) == 2500
        renewed(home, "bot.env")
        for client in (clients[0], clients[-1]):
            client.sendall(LIVE)
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        # As soon as one of them goes there is room for another.
        clients.pop().close()
        until(lambda: daemon.get("/livez").status == 200, "a free place")
    daemon.settled()
    assert 1 <= len(daemon.log("client.denied")) <= 30
    assert "too many connections of this uid" in daemon.log("client.denied")[0]


@pytest.mark.usefixtures("many_descriptors")
def test_a_flood_beyond_the_descriptors_leaves_enough_for_everything_else(make_home: Callable[..., Home]) -> None:
    """docs/promises.md 71: upstreams, files and reloads go on; a client of a sink's socket is served afterwards."""
    home = make_home(projectx_ttl=LIFE_SECONDS)
    tables = PX + SINK.format(name="px")
    home.write(tables)
    daemon = home.start(wrap=("prlimit", "--nofile=160:160")).settled()
    with crowd(home.socket, 300) as clients, connected(home.path / "run" / "px.sock") as waiting:
        assert 10 < len(clients) < 160 - RESERVED_DESCRIPTORS
        renewed(home, "bot.env")
        home.write(tables, PARTNER)
        until(home.out("partner.jwt").exists, "a provider of a reload")
        # Neither served nor closed, which would be an empty credential.
        assert not select.select([waiting], [], [], 0)[0]
        for client in clients:
            client.close()
        assert waiting.makefile("rb").read() == daemon.lease("px")["access_token"].encode()
    assert daemon.get("/livez").status == 200


def test_without_a_free_descriptor_tokens_are_still_renewed_and_served(home: Home) -> None:
    """docs/promises.md 71: on connections that are open; the rest waits without haste, and comes by itself later."""
    home.write(PARTNER.replace('"15m"', '"8s"').replace('{{ file = "s/partner" }}', '{{ env = "PARTNER" }}'))
    daemon = home.start(PARTNER="obviously-fake-and-long-enough-to-be-a-key").settled()
    before = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    with connected(home.socket) as inside:
        inside.sendall(LIVE)
        assert inside.recv(4096)

        def token() -> bytes:
            inside.sendall(b"GET /v1/tokens/partner HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n")
            head, _, body = inside.recv(4096).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            return body

        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        first = until(token, "a token")
        with connected(home.socket) as outside:
            outside.sendall(LIVE)
            until(lambda: token() != first, "another token")
            resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, before)
            until(lambda: home.out("partner.jwt").read_bytes() == token(), "the file", seconds=40)
    daemon.settled()
    assert daemon.end() == 0


def send_with_descriptors(client: socket.socket, data: bytes, descriptors: list[int]) -> None:
    """Send both; only the data where the kernel refuses the descriptors for the daemon (Linux 6.16)."""
    try:
        socket.send_fds(client, [data], descriptors)
    except PermissionError:
        client.sendall(data)


def test_passed_descriptors_are_closed_at_once(home: Home) -> None:
    """docs/promises.md 104: with the first request, a later one, or none: the daemon never has the pipe's end."""
    home.start(PARTNER + SINK.format(name="partner")).settled()
    with connected(home.socket) as client:
        for data in (LIVE, LIVE, LIVE[:10], LIVE[10:]):
            reader, writer = os.pipe()
            send_with_descriptors(client, data, [writer] * 200)
            os.close(writer)
            assert select.select([reader], [], [], PATIENCE_SECONDS)[0], "somebody still holds it"
            assert os.read(reader, 1) == b""
            os.close(reader)
        got = b""
        while got.count(b"200 OK") < 3:
            got += client.recv(4096)
    # Nothing is read here at all: they go with the connection.
    reader, writer = os.pipe()
    with connected(home.path / "run" / "partner.sock") as client:
        with suppress(BrokenPipeError):  # it may have been served before
            send_with_descriptors(client, b"x", [writer])
        os.close(writer)
        assert client.recv(4096).startswith(b"eyJ")
        assert select.select([reader], [], [], PATIENCE_SECONDS)[0]
        assert os.read(reader, 1) == b""
    os.close(reader)


RUDE = {
    "nothing": b"",
    "half a request": b"GET /livez HTTP/1.1\r\nX: ",
    "endless headers": b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
    "an endless line": b"GET /" + b"y" * 200_000,
    "a huge body": b"POST /v1/reload HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n" + b"x" * 200_000,
    "no UTF-8": b"GET /v1/tokens/\xff\xfe HTTP/1.1\r\n\r\n" * 100,
    "a shell": b"\x00\x01\x02 || rm -rf / ; \r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50,
    "traversal": b"GET /v1/tokens/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1\r\n\r\n" * 50,
    "a pipeline": LIVE * 5000,
    "smuggled": b"POST /v1/reload HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + LIVE,
    "half a chunk": b"POST /v1/reload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n" + b"x" * 1000,
}


@pytest.mark.parametrize("half_closed", [False, True])
def test_rude_clients_of_all_sorts_at_once_disturb_nobody(home: Home, half_closed: bool) -> None:
    """docs/promises.md 99 to 102: each is answered, refused or cut off in seconds; a reader beside them is served."""
    daemon = home.start(PARTNER).settled()
    clients = []
    for text in list(RUDE.values()) * 5:
        clients.append(connected(home.socket))
        clients[-1].setblocking(False)
        with suppress(OSError):  # as much as it takes
            clients[-1].send(text)
        if half_closed:
            with suppress(OSError):
                clients[-1].shutdown(socket.SHUT_WR)
        assert daemon.get("/v1/tokens/partner").status == 200
    leaving = list(clients)

    def all_are_gone() -> bool:
        for client in list(leaving):
            try:
                while client.recv(1 << 20):
                    pass
            except BlockingIOError:
                # Answered, and kept alive: it may go on.
                continue
            except ConnectionResetError:
                pass
            leaving.remove(client)
        return len(leaving) <= (0 if half_closed else 15)

    until(all_are_gone, "their end")
    for client in clients:
        client.close()
    assert daemon.get("/v1/tokens/partner").status == 200
    assert not [line for line in daemon.log() if "level=error" in line]
    assert daemon.end(signal.SIGTERM) == 0
