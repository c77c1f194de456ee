"""A loopback server that sends exactly the given bytes: cut, slow, reset, gzipped, whatever a test needs."""

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET

from tokend.plugin.settings import NetworkSettings


class Reachable(NetworkSettings):
    """A kind with nothing of its own but the network."""

    kind: str = "reachable"
    base_url: str = "http://127.0.0.1"


@dataclass(frozen=True)
class Received:
    """One request, byte for byte."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


Behaviour = Callable[["Conversation"], Awaitable[None]]


@dataclass
class Conversation:
    """What a behaviour can do after the request was read."""

    request: Received
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, raw: bytes) -> None:
        """Send bytes now."""
        self.writer.write(raw)
        await self.writer.drain()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class Loopback:
    """Answers the n-th request with the n-th behaviour; the last one stays."""

    script: list[Behaviour]
    scheme: str = "http"
    port: int = 0
    requests: list[Received] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    open_now: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_now += 1
        self.closed.clear()
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                request = await _receive(reader)
                self.requests.append(request)
                self.asked.set()
                behaviour = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                await behaviour(Conversation(request, reader, writer))
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
            self.open_now -= 1
            if not self.open_now:
                self.closed.set()


async def _receive(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, target, headers, body)


@contextlib.asynccontextmanager
async def serving(*script: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[Loopback]:
    """Serve on a port of the kernel's choice until the block ends."""
    loopback = Loopback(list(script), "http" if tls is None else "https")
    server = await asyncio.start_server(loopback.converse, "127.0.0.1", 0, ssl=tls)
    loopback.port = server.sockets[0].getsockname()[1]
    try:
        yield loopback
    finally:
        server.close()
        await server.wait_closed()
        async with asyncio.timeout(10):
            while loopback.open_now:
                await loopback.closed.wait()


def reply(
    body: bytes = b"", *, status: int = 200, headers: Mapping[str, str] | None = None, length: bool = True
) -> Behaviour:
    """An ordinary answer."""

    async def behave(conversation: Conversation) -> None:
        lines = {"Content-Type": "application/json", "Connection": "close", **(headers or {})}
        if length:
            lines.setdefault("Content-Length", str(len(body)))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        await conversation.say(f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode("latin-1") + body)

    return behave


def raw(answer: bytes) -> Behaviour:
    """These bytes and nothing else."""

    async def behave(conversation: Conversation) -> None:
        await conversation.say(answer)

    return behave


async def reset(conversation: Conversation) -> None:
    """RST after the request was read."""
    conversation.reset()


async def silent(conversation: Conversation) -> None:
    """Say nothing until the client goes away."""
    await conversation.reader.read()


async def slow_loris(conversation: Conversation) -> None:
    """One byte of body at a time, for ever."""
    await conversation.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
    while not conversation.writer.transport.is_closing():
        await conversation.say(b" ")
        await asyncio.sleep(0.005)
