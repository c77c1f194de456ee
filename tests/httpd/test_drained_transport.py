"""The transport of connections on which descriptors may be passed: it behaves like the loop's own."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from tokend.httpd.drained_transport import DrainedTransport
from tokend.httpd.passed_descriptors import DrainedSocket

LARGE = bytes(range(256)) * 8192


class Noted(asyncio.Protocol):
    """Notes what the transport calls."""

    def __init__(self, *, half: bool = False) -> None:
        self.calls: list[str] = []
        self.received = b""
        self.half = half
        self.news = asyncio.Event()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, _transport: asyncio.BaseTransport) -> None:
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.news.set()

    def eof_received(self) -> bool:
        self.calls.append("eof")
        self.news.set()
        return self.half

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, error: Exception | None) -> None:
        self.calls.append("lost")
        self.lost.set_result(error)


def run(scenario: Callable[[socket.socket, DrainedSocket], Awaitable[None]]) -> None:
    async def within() -> None:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        with near:
            async with asyncio.timeout(10):
                await scenario(near, DrainedSocket.adopt(far.detach()))

    uvloop.run(within())


async def everything(sock: socket.socket) -> bytes:
    got = bytearray()
    while data := await asyncio.get_running_loop().sock_recv(sock, 65536):
        got += data
    return bytes(got)


def test_much_is_sent_in_order_before_it_closes() -> None:
    """The transport asks the protocol to pause and to go on; nothing is lost at the close."""

    async def scenario(near: socket.socket, far: DrainedSocket) -> None:
        protocol = Noted()
        transport = DrainedTransport(far, protocol)
        transport.write(LARGE)
        transport.write(b"end")
        transport.close()
        transport.close()
        assert transport.is_closing()
        assert await everything(near) == LARGE + b"end"
        assert await protocol.lost is None
        assert protocol.calls == ["made", "pause", "resume", "lost"]
        assert far.fileno() == -1
        transport.write(b"late")

    run(scenario)


@pytest.mark.parametrize("half", [False, True])
def test_the_end_of_the_clients_half_is_reported_once(half: bool) -> None:
    """Where the protocol wants it, the other half stays open for an answer."""

    async def scenario(near: socket.socket, far: DrainedSocket) -> None:
        protocol = Noted(half=half)
        transport = DrainedTransport(far, protocol)
        await asyncio.get_running_loop().sock_sendall(near, b"question")
        near.shutdown(socket.SHUT_WR)
        while "eof" not in protocol.calls:
            await protocol.news.wait()
            protocol.news.clear()
        transport.resume_reading()
        assert protocol.received == b"question"
        if half:
            transport.write(b"answer")
            transport.write_eof()
            assert await everything(near) == b"answer"
            transport.abort()
        assert await protocol.lost is None
        assert protocol.calls == ["made", "eof", "lost"]

    run(scenario)


def test_a_half_ends_after_what_was_written_before() -> None:
    """write_eof waits for the buffer."""

    async def scenario(near: socket.socket, far: DrainedSocket) -> None:
        transport = DrainedTransport(far, Noted())
        assert transport.can_write_eof()
        transport.write(LARGE)
        transport.write_eof()
        assert await everything(near) == LARGE
        transport.abort()

    run(scenario)


def test_reading_pauses_and_goes_on() -> None:
    """What arrives meanwhile is not lost."""

    async def scenario(near: socket.socket, far: DrainedSocket) -> None:
        protocol = Noted()
        transport = DrainedTransport(far, protocol)
        transport.pause_reading()
        near.send(b"later")
        for _ in range(3):
            await asyncio.sleep(0)
        assert protocol.received == b""
        transport.resume_reading()
        await protocol.news.wait()
        assert protocol.received == b"later"
        transport.abort()
        await protocol.lost

    run(scenario)


def test_a_client_that_is_gone_is_an_error_at_the_next_write() -> None:
    """Reported once; what could not be sent is dropped."""

    async def scenario(near: socket.socket, far: DrainedSocket) -> None:
        protocol = Noted()
        transport = DrainedTransport(far, protocol)
        transport.pause_reading()
        transport.write(LARGE)
        near.close()
        transport.write(b"more")
        assert isinstance(await protocol.lost, BrokenPipeError)
        transport.abort()
        assert protocol.calls.count("lost") == 1

    run(scenario)
