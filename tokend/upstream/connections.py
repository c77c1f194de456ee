"""Connections to one upstream: closed after each exchange, or kept for the exchanges of one block.

docs/decisions/0007 has the reasons. A request is never sent twice: a kept connection that the server has closed is
replaced before a request is sent, and a request whose answer is lost fails.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpcore
import httpx

from tokend.upstream.resolver import Resolver
from tokend.upstream.transport import Network, Transport

# The longest time between two exchanges on one connection.
KEPT_SECONDS = 5.0
# A connection is closed at the end of a block; a peer that hangs must not hold the block up.
CLOSING_SECONDS = 1.0


class Connections:
    """The connections of one `client.Upstream`. Exchanges of one block are made one after another."""

    __slots__ = ("_blocks", "_kept", "_largest_body_bytes", "_resolver")

    def __init__(self, resolver: Resolver, largest_body_bytes: int) -> None:
        self._resolver = resolver
        self._largest_body_bytes = largest_body_bytes
        self._blocks = 0
        # With what each was made: another host, certificate or proxy needs another one.
        self._kept: list[tuple[tuple[object, ...], Network, Transport]] = []

    @property
    def are_kept(self) -> bool:
        """Whether a block is open that keeps connections."""
        return self._blocks > 0

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep the connections of the exchanges in the block until its end."""
        self._blocks += 1
        try:
            yield
        finally:
            self._blocks -= 1
            if not self._blocks:
                await self._close()

    def transport(
        self, host: str, *, context: ssl.SSLContext, proxy: httpcore.Proxy | None
    ) -> httpx.AsyncBaseTransport:
        """Return the transport of one exchange. To close it closes its connection, unless that is kept."""
        if not self.are_kept:
            return Transport(Network(host, self._resolver, self._largest_body_bytes), context=context, proxy=proxy)
        made_with = (host, context, None if proxy is None else proxy.url)
        for one, network, transport in self._kept:
            if one == made_with:
                network.begin()
                return _Lent(transport)
        network = Network(host, self._resolver, self._largest_body_bytes)
        transport = Transport(network, context=context, proxy=proxy, idle_seconds=KEPT_SECONDS)
        self._kept.append((made_with, network, transport))
        return _Lent(transport)

    async def _close(self) -> None:
        kept, self._kept = self._kept, []
        for _, _, transport in kept:
            with anyio.move_on_after(CLOSING_SECONDS, shield=True):
                await transport.aclose()


class _Lent(httpx.AsyncBaseTransport):
    """A transport that stays open when its client closes it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)
