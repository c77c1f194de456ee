"""What a recognised read costs, counted instead of timed: each Python call there costs it a twentieth of its speed."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

import anyio

from tests.fakes import FakeHeld, World, provider
from tests.virtual import EPOCH, VirtualClock, run_virtually
from tokend.access.peer import Peer
from tokend.access.policy import PeerRules
from tokend.api.token_api import Hot, TokenApi
from tokend.httpd.connection import Connection
from tokend.httpd.request_parser import Limits

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

    limits, closing = Limits(), False

    def __init__(self, service: TokenApi) -> None:
        self.service = service

    @property
    def remembered(self) -> Mapping[bytes, Hot]:
        return self.service.remembered

    def replace(self, arrival: Any, connection: Connection) -> None:
        """Nobody counts."""

    def leave(self, connection: Any) -> None:
        """Nobody counts."""


def test_a_recognised_read_costs_two_calls() -> None:
    """One of the connection, one of the engine's entry: whatever is put between them is paid at each read."""
    calls: list[str] = []

    async def main(clock: VirtualClock) -> None:
        async with World(clock).running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            service = TokenApi(supervisor, PeerRules(lambda: ()), config_state=lambda: (EPOCH, None))
            service.boot_seconds = float  # zero, and in C as the real one is
            transport = Transport()
            connection = Connection(
                ConnectionOwner(service), Peer(0, frozenset()), replaces=None, received=b"", unsent=b""
            )
            connection.connection_made(transport)
            transport.written.clear()
            connection.data_received(TEXT)
            await anyio.sleep(1)
            assert TEXT in service.remembered
            sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_qualname) if event == "call" else None)
            try:
                connection.data_received(TEXT)
            finally:
                sys.setprofile(None)
            first, second = transport.written
            assert first == second

    run_virtually(main)
    assert calls == ["Connection.data_received", "RunningProvider.lease"]
