"""The HTTP server with an application that knows no token: a page that says hello."""

import asyncio
import http.client
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvloop

from tests.daemon.harness import loopback_address
from tokend.access.peer import Peer
from tokend.httpd.application import PreparedAnswer
from tokend.httpd.loopback_server import LoopbackServer
from tokend.httpd.problem import RequestError, problem
from tokend.httpd.request import Request
from tokend.httpd.request_parser import Limits
from tokend.httpd.response import Response
from tokend.httpd.unix_server import SocketServer
from tokend.httpd.unix_socket import SocketFile
from tokend.machine.thread_pool import ThreadPool
from tokend.plugin.secret_source import SecretSource

PATIENCE_SECONDS = 10.0
HELLO = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SECRET = "obviously-fake-secret-of-hello"


@dataclass
class Hello:
    """Says hello to everybody, and notes what the server reports."""

    asked: list[Request] = field(default_factory=list)
    refused: list[RequestError] = field(default_factory=list)
    denials: list[str] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def respond(self, request: Request) -> Response:
        self.asked.append(request)
        self.heard.set()
        text = f"hello, {request.method} {'/'.join(request.segments)}"
        return Response(200, text.encode(), "text/plain", basis="hello")

    def refuse(self, peer: Peer, error: RequestError) -> Response:
        self.refused.append(error)
        return problem(error)

    def log_denial(self, peer: Peer, detail: str) -> None:
        self.denials.append(detail)


class Pages:
    """Remembers every page; ``public`` pages may go to every peer."""

    def __init__(self, *, public: bool, admitted: bool = True) -> None:
        self.public, self.admitted = public, admitted
        self.known: dict[bytes, PreparedAnswer] = {}

    def find(self, text: bytes, /) -> PreparedAnswer | None:
        return self.known.get(text)

    def admits(self, peer: Peer, answer: PreparedAnswer, /) -> bool:
        return self.admitted

    def remember(self, text: bytes, response: Response, /) -> PreparedAnswer | None:
        assert response.basis == "hello"
        self.known[text] = PreparedAnswer(response.encode(close=False), self.public)
        return self.known[text] if self.admitted else None

    def sweep(self) -> float:
        return 60.0


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await scenario()

    uvloop.run(within())


async def exchange(path: Path, *texts: bytes) -> list[bytes]:
    """Send each text on one connection after the answer to the one before; returns the bodies."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    bodies = [await ask(reader, writer, text) for text in texts]
    writer.close()
    await writer.wait_closed()
    return bodies


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> bytes:
    """Send one request; returns the body of the answer."""
    writer.write(text)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    return await reader.readexactly(int(length.split(b":")[1]))


def test_another_application_is_served_over_a_unix_socket(tmp_path: Path) -> None:
    """Nothing in httpd asks for tokens: hello answers, and gets the refusals and the denials of its server."""
    hello = Hello()

    async def scenario() -> None:
        server = SocketServer(hello, place=SocketFile(tmp_path / "s"), limits=Limits(max_connections=1))
        await server.start()
        try:
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
            assert [await ask(reader, writer, HELLO) for _ in range(2)] == [b"hello, GET "] * 2
            second, other = await asyncio.open_unix_connection(str(tmp_path / "s"))
            assert await second.read() == b""
            writer.write(b"rubbish\r\n\r\n")
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 400 ")
            other.close()
            writer.close()
        finally:
            await server.close(grace_seconds=1)

    run(scenario)
    assert len(hello.asked) == 2
    assert [error.status for error in hello.refused] == [400]
    assert hello.denials == ["too many connections"]


@pytest.mark.parametrize(("public", "admitted"), [(True, False), (False, True), (False, False)])
def test_prepared_answers_go_to_admitted_peers_only(tmp_path: Path, public: bool, admitted: bool) -> None:
    """A known text is answered without the application, at accept and on a kept connection, unless access forbids."""
    hello, pages = Hello(), Pages(public=public, admitted=admitted)

    async def scenario() -> None:
        server = SocketServer(hello, answers=pages, place=SocketFile(tmp_path / "s"))
        await server.start()
        try:
            for _ in range(2):
                assert await exchange(tmp_path / "s", HELLO, HELLO, HELLO) == [b"hello, GET "] * 3
        finally:
            await server.close(grace_seconds=1)

    run(scenario)
    [answer] = pages.known.values()
    if public or admitted:
        assert (len(hello.asked), answer.hits) == (1, 5)
    else:
        assert len(hello.asked) == 6


@pytest.mark.parametrize(
    "text",
    [
        b"GET /?a=b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
        b'GET / HTTP/1.1\r\nIf-None-Match: "1"\r\n\r\n',
        b"GET / HTTP/1.1\r\nPrefer: wait=1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 1024 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
        HELLO + HELLO,
    ],
)
def test_only_plain_reads_are_offered_for_remembering(tmp_path: Path, text: bytes) -> None:
    """A text whose answer may be another one the next time goes to the application each time."""
    hello, pages = Hello(), Pages(public=True)

    async def scenario() -> None:
        server = SocketServer(hello, answers=pages, place=SocketFile(tmp_path / "s"))
        await server.start()
        _reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        writer.write(text)
        await hello.heard.wait()
        writer.close()
        await server.close(grace_seconds=1)

    run(scenario)
    assert pages.known == {}


@pytest.fixture
def secret(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "secret"
    path.write_text(SECRET)
    path.chmod(0o600)
    yield path


def test_another_application_is_served_over_the_loopback_port(secret: Path) -> None:
    """The port's own rules (Host, secret) come before the application; what passes them is answered by it."""
    hello, host = Hello(), loopback_address().partition(":")[0]  # no other program takes the port when it is closed
    found: list[tuple[int, bytes]] = []

    def ask(port: int, *requests: dict[str, str]) -> None:
        for headers in requests:
            connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_SECONDS)
            connection.request("GET", "/page", headers=headers)
            answer = connection.getresponse()
            found.append((answer.status, answer.read()))
            connection.close()

    async def scenario() -> None:
        source = SecretSource(file=secret)
        server = LoopbackServer(hello, host, 0, lambda: source, threads=ThreadPool(1))
        await server.start()
        try:
            bearer = {"Authorization": f"Bearer {SECRET}"}
            await asyncio.to_thread(ask, server.port, bearer, {}, bearer | {"Host": "evil.example"})
        finally:
            await server.close(grace_seconds=1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, server.port), PATIENCE_SECONDS)

    run(scenario)
    assert [status for status, _ in found] == [200, 401, 403]
    assert found[0][1] == b"hello, GET page"
    assert len(hello.asked) == 1
    assert [error.status for error in hello.refused] == [401, 403]
