"""The cost of a read with a prepared answer, counted in Python calls instead of timed."""

import asyncio
import socket
import sys
from pathlib import Path

import anyio
import pytest

from tests.fakes import FakeHeld, World, provider
from tests.virtual import EPOCH, VirtualClock, run_virtually
from tokend.access.peer import Peer
from tokend.access.policy import AccessPolicy
from tokend.api.routes import Router
from tokend.api.token_api import TokenApi
from tokend.httpd.connection import Connection
from tokend.httpd.listener import Listener, Room
from tokend.httpd.request_parser import Limits
from tokend.httpd.unix_socket import SocketFile

TEXT = b"GET /v1/tokens/a HTTP/1.1\r\nHost: x\r\n\r\n"


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes | bytearray | memoryview] = []
        self.write = self.written.append  # type: ignore[method-assign]  # not counted: the real one is in C

    def resume_reading(self) -> None:
        """There is nothing that could be paused."""


class ConnectionOwner:
    """A server without a socket."""

    limits = Limits()

    def __init__(self, service: TokenApi) -> None:
        self.application, self.answers = Router(service), service.answers
        self.listener: Listener[Connection] = Listener(
            SocketFile(Path("/nowhere")),
            lambda *_: pytest.fail("nobody connects"),
            room=Room(1),
            denied=lambda *_: None,
        )


def test_a_prepared_answer_costs_three_calls() -> None:
    """One of the connection, one of the cache, one of the engine's entry. Every further call slows every read."""
    calls: list[str] = []

    async def main(clock: VirtualClock) -> None:
        async with World(clock).running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            service = TokenApi(supervisor, AccessPolicy(lambda: ()), config_state=lambda: (EPOCH, None))
            service.answers._boot_seconds = float  # zero, and in C as the real one is
            transport = Transport()
            ours, theirs = socket.socketpair()
            connection = Connection(ConnectionOwner(service), Peer(0, frozenset()), ours)
            ours.close()
            theirs.close()
            connection.connection_made(transport)
            transport.written.clear()
            connection.data_received(TEXT)
            await anyio.sleep(1)
            assert TEXT in service.answers.texts
            sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_qualname) if event == "call" else None)
            try:
                connection.data_received(TEXT)
            finally:
                sys.setprofile(None)
            first, second = transport.written
            assert first == second

    run_virtually(main)
    assert calls == ["Connection.data_received", "AnswerCache.find", "RunningProvider.lease"]
