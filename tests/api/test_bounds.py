"""What a client can make the server spend: headers, bodies, framing, connections, descriptors, preparation."""

import os
import resource
import socket
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from tests.api.served import Client, Served, eventually, served
from tokend.httpd.fd_reserve import RESERVED_DESCRIPTORS
from tokend.httpd.request_parser import MOST_FRAMING, Limits
from tokend.values.secret import Secret

CHUNKED = (
    b"POST /v1/tokens/demo/refresh HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)
LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
# What a chunked body may take on the wire, and a slice more.
ENOUGH_BYTES = MOST_FRAMING * Limits().body_bytes + 65536


@pytest.mark.parametrize(
    "text",
    [
        b"GET /livez HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"y" * 1000) for i in range(17)) + b"\r\n",
        b"GET /livez HTTP/1.1\r\nX: " + b"y" * 17000 + b"\r\n\r\n",
        b"GET /" + b"y" * 17000 + b" HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nX: " + b"y" * 30000,
    ],
)
def test_headers_above_16_kib_are_431(running: Served, text: bytes) -> None:
    """Many headers, one long one, a long target, and one that never ends."""
    with running.client() as client:
        client.send(text)
        reply = client.reply()
        assert (reply.status, reply.code) == (431, "too_large")
        assert client.ends()


def test_headers_just_below_the_limit_pass(running: Served) -> None:
    """16 KiB is the limit, not less."""
    assert running.get("/livez", X="y" * 16000).status == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_64_kib_is_413(running: Served, chunked: bool) -> None:
    """Announced or chunked, the client can finish sending and still reads the refusal; nothing reached the engine."""
    size = 70000
    how = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"x" * size) if chunked else b"x" * size
    with running.client() as client:
        client.send(b"POST /v1/tokens/wallet/issue HTTP/1.1\r\n" + how + b"\r\n\r\n" + body)
        reply = client.reply()
        assert (reply.status, reply.code) == (413, "too_large")
        assert client.ends()
    assert running.engine.calls == []


def test_a_body_of_64_kib_is_read(running: Served) -> None:
    """The limit itself is allowed."""
    body = b'{"a":"' + b"x" * (64 * 1024 - 8) + b'"}'
    assert running.post("/v1/tokens/wallet/issue", body).status == 201


def test_floods_are_capped_and_the_seats_come_back(tmp_path: Path) -> None:
    """Beyond the limit new connections are closed at once; when one leaves there is room again."""
    with served(tmp_path, limits=Limits(max_connections=5, header_seconds=30)) as running:
        clients = [running.client() for _ in range(5)]
        for client in clients:
            client.send(LIVE)
            assert client.reply().status == 200
        for _ in range(20):
            with running.client() as refused:
                assert refused.ends()
        clients[0].send(LIVE)
        assert clients[0].reply().status == 200
        clients[1].close()
        assert eventually(lambda: running.server.connections == 4)
        assert running.get("/livez").status == 200
        for client in clients:
            client.close()


def test_one_uid_cannot_take_all_seats(tmp_path: Path) -> None:
    """The limit per uid holds although there is room in all."""
    with served(tmp_path, limits=Limits(max_connections_per_uid=2, header_seconds=30)) as running:
        with running.client() as one, running.client() as two:
            for client in (one, two):
                client.send(LIVE)
                assert client.reply().status == 200
            with running.client() as refused:
                assert refused.ends()
        assert eventually(lambda: running.server.connections == 0)
        assert running.get("/livez").status == 200


def test_passed_descriptors_are_not_received(running: Served) -> None:
    """Descriptors sent along with a request do not arrive in the daemon; from Linux 6.16 on, sending them fails."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Client(running.path) as client, Path("/dev/null").open() as null:
        try:
            socket.send_fds(client.socket, [LIVE], [null.fileno()] * 10)
        except PermissionError:
            client.send(LIVE)
        assert client.reply().status == 200
        assert len(list(Path("/proc/self/fd").iterdir())) < before + 10


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"2\r\n{}\r\n0\r\nX: ", b"y"),
        (b"2\r\n{}\r\n0\r\n", b"X: y\r\n"),
        (b"2;x=", b"y"),
        (b"1;" + b"x" * 4000 + b"\r\n{\r\n", b"1;" + b"x" * 4000 + b"\r\n \r\n"),
    ],
    ids=["one trailer", "many trailers", "one extension", "many extensions"],
)
def test_what_surrounds_a_chunked_body_is_bounded_too(running: Served, start: bytes, more: bytes) -> None:
    """Trailers and extensions without end are 413, although the body itself is small; nothing reached the engine."""
    with running.client() as client:
        client.send(CHUNKED + start + more * (ENOUGH_BYTES // len(more)))
        reply = client.reply()
        assert (reply.status, reply.code) == (413, "too_large")
        assert client.ends()
    assert running.engine.calls == []


def test_a_body_in_chunks_of_one_byte_passes(running: Served) -> None:
    """The bound on framing is no bound on honest bodies: 64 KiB byte by byte is read."""
    body = b'{"if_generation":1}' + b" " * (Limits().body_bytes - 19)
    with running.client() as client:
        client.send(CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
        assert client.reply().status == 200
    assert running.engine.calls == [("refresh", "demo", 1, "", True)]


def test_connections_leave_descriptors_for_everything_else(running: Served) -> None:
    """docs/promises.md 71: a flood within the limits of connections still leaves 64 descriptors, and is survived."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}
    free = (number for number in range(before[0]) if number not in taken)
    # Clients live in this process, too: some pairs fit, but not all. Gaps may be below an inherited one.
    first_reserved = next(islice(free, 20, None))
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_reserved + RESERVED_DESCRIPTORS, before[1]))
    clients: list[Client] = []
    spare: list[int] = []
    try:
        for _ in range(20):
            clients.append(running.client())
            if not _is_served(clients[-1]):
                break
        else:
            pytest.fail("nobody was refused")
        assert len(clients) > 5
        for _ in range(RESERVED_DESCRIPTORS - 1):  # the client that was refused holds one
            spare.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for descriptor in spare:
            os.close(descriptor)
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert eventually(lambda: running.server.connections == 0)
    assert running.get("/livez").status == 200


class CountingSecret(Secret):
    """Counts how often it is given out."""

    __slots__ = ("times",)

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.times = 0

    def reveal(self) -> str:
        self.times += 1
        return super().reveal()


def test_an_answer_is_laid_out_once_per_generation(running: Served) -> None:
    """Plain reads in both forms, min_ttl and refresh take the token out of its box once per lease, not per request."""
    times = []
    for generation in (18, 19):
        value = CountingSecret(f"fake-{generation}")
        lease = running.engine.hold("demo", generation=generation).lease
        assert lease is not None
        running.engine.entries["demo"].lease = replace(lease, token=replace(lease.token, value=value))
        for _ in range(3):
            assert running.get("/v1/tokens/demo").json["access_token"] == f"fake-{generation}"
            assert running.get("/v1/tokens/demo", Accept="text/plain").body == f"fake-{generation}".encode()
            assert running.get("/v1/tokens/demo?min_ttl=1s").json["generation"] == generation
            assert running.post("/v1/tokens/demo/refresh").json["generation"] == generation
            times.append(value.times)
    assert len(set(times)) == 1, times


def _is_served(client: Client) -> bool:
    try:
        client.send(LIVE)
        return bool(client.file.peek(1))
    except (BrokenPipeError, ConnectionResetError):
        return False
