"""Connections of one upstream: kept for the exchanges of one block, and never used for a second try."""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import pytest

from tests.sinks.played_server import FAULTS, Answer, Asked, PlayedServer
from tests.upstream.clocks import StandingClock
from tests.upstream.loopback import Reachable
from tokend.machine.thread_pool import ThreadPool
from tokend.plugin.connection_settings import LARGEST_BODY_BYTES
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.upstream import client, connections
from tokend.upstream.client import Upstream
from tokend.upstream.provider_runtime import ProviderRuntime
from tokend.values.errors import TransientError

SECONDS = 20.0


@asynccontextmanager
async def served(answer: Callable[[Asked], Answer] = lambda asked: Answer(200, b"{}")) -> AsyncIterator[PlayedServer]:
    """A server that keeps connections, as long as its clients do."""
    server = PlayedServer(answer)
    try:
        yield server
    finally:
        server.close()


def run(main: Callable[[PlayedServer, Upstream], Awaitable[None]], **more: Any) -> None:
    """Run with a server and an upstream."""

    async def whole() -> None:
        with anyio.fail_after(SECONDS):
            async with served(**more) as server:
                await main(server, upstream())

    anyio.run(whole)


def upstream(seconds: float = SECONDS) -> Upstream:
    return Upstream(Reachable(timeout=timedelta(seconds=seconds)), clock=StandingClock(1_700_000_000, goes=True))


async def ask(one: Upstream, server: PlayedServer, method: str = "GET") -> UpstreamReply:
    return await one.exchange(UpstreamRequest(method, f"{server.url}/x", {}, b"a body" if method == "PUT" else b""))


def test_the_exchanges_of_a_block_use_one_connection_and_the_next_block_another() -> None:
    """Outside a block each exchange has its own; the server is asked to close it."""

    async def main(server: PlayedServer, one: Upstream) -> None:
        for connections_then in (1, 2):
            async with one.connected():
                for method in ("GET", "PUT", "PUT"):
                    assert (await ask(one, server, method)).status == 200
            assert server.connections == connections_then
        for _ in range(2):
            await ask(one, server)
        assert server.connections == 4
        asked = [request.headers.get("connection") for request in server.requests]
        assert asked == ["keep-alive"] * 6 + ["close"] * 2

    run(main)


def test_nothing_outlives_its_block() -> None:
    """Also where the block fails: no descriptor is left."""

    async def main(server: PlayedServer, one: Upstream) -> None:
        async def fail() -> None:
            async with one.connected():
                await ask(one, server)
                assert server.open_now == 1
                raise RuntimeError("a bug")

        with pytest.raises(RuntimeError, match="a bug"):
            await fail()
        await until(lambda: server.open_now == 0)

    run(main)


async def until(look: Callable[[], bool]) -> None:
    while not look():  # noqa: ASYNC110  (the server has no event)
        await anyio.sleep(0.01)


def test_a_connection_that_the_server_has_closed_is_replaced_before_a_request() -> None:
    """Nothing was sent on it: the request is sent once, on a new one."""

    async def main(server: PlayedServer, one: Upstream) -> None:
        async with one.connected():
            await ask(one, server, "PUT")
            server.close_connections()
            await until(lambda: server.open_now == 0)
            await anyio.sleep(0.05)  # the end of the connection has arrived here
            assert (await ask(one, server, "PUT")).status == 200
        assert (server.connections, len(server.requests)) == (2, 2)

    run(main)


def test_a_connection_idle_for_five_seconds_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may close it at any moment."""
    assert connections.KEPT_SECONDS == 5.0
    monkeypatch.setattr(connections, "KEPT_SECONDS", 0.05)

    async def main(server: PlayedServer, one: Upstream) -> None:
        async with one.connected():
            await ask(one, server)
            await anyio.sleep(0.1)
            await ask(one, server)
        assert server.connections == 2

    run(main)


@pytest.mark.parametrize("fault", ["closed", "answer lost", "cut in the body", "cut in the head"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_request_whose_answer_was_lost_is_not_sent_again(method: str, fault: str) -> None:
    """On a kept connection as on a new one; the next exchange of the block has a new one."""

    async def main(server: PlayedServer, one: Upstream) -> None:
        async with one.connected():
            await ask(one, server)
            server.play(FAULTS[fault])
            with pytest.raises(TransientError) as lost:
                await ask(one, server, method)
            assert lost.value.is_sent
            assert len(server.requests) == 2
            assert (await ask(one, server)).status == 200
        assert (len(server.requests), server.connections) == (3, 2)

    run(main)


def test_a_request_that_is_given_up_leaves_nothing_for_the_next_one() -> None:
    """A late answer must not be taken for the answer to another request."""

    async def main(server: PlayedServer, _: Upstream) -> None:
        one = upstream(seconds=0.3)
        async with one.connected():
            await ask(one, server)
            server.play(FAULTS["silent"])
            with pytest.raises(TransientError, match="did not answer completely"):
                await ask(one, server)
            assert (await ask(one, server)).body == b"{}"
        assert server.connections == 2

    run(main)


def test_bytes_are_counted_for_each_exchange() -> None:
    """Three answers of the largest size on one connection, and none that is larger."""
    largest = threading.Event()

    def answer(asked: Asked) -> Answer:
        return Answer(200, b" " * (LARGEST_BODY_BYTES + largest.is_set()))

    async def main(server: PlayedServer, one: Upstream) -> None:
        async with one.connected():
            for _ in range(3):
                assert len((await ask(one, server)).body) == LARGEST_BODY_BYTES
            assert server.connections == 1
            server.play(FAULTS["flood of 1xx"])
            with pytest.raises(TransientError, match="more than 128 KiB"):
                await ask(one, server)
            largest.set()
            with pytest.raises(TransientError, match="256 KiB"):
                await ask(one, server)

    run(main, answer=answer)


def test_no_cookie_is_kept_with_a_connection() -> None:
    """What one answer sets is not sent with the next request."""

    async def main(server: PlayedServer, one: Upstream) -> None:
        async with one.connected():
            for _ in range(2):
                await ask(one, server)
        assert [request.headers.get("cookie") for request in server.requests] == [None, None]
        assert server.connections == 1

    run(main, answer=lambda asked: Answer(200, b"{}", {"Set-Cookie": "session=obviously-fake; Path=/"}))


def test_a_block_without_an_exchange_opens_and_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most writes find that nothing has changed."""
    monkeypatch.setattr(client, "import_client", lambda: pytest.fail("imported"))
    monkeypatch.setattr(client, "_imported", False)

    async def main() -> None:
        runtime = ProviderRuntime(Reachable(), clock=StandingClock(1_700_000_000), threads=ThreadPool(1))
        async with runtime.connected():
            pass
        assert runtime._upstream is None

    anyio.run(main)


def test_a_runtime_keeps_the_connection_of_its_exchanges() -> None:
    """From the first one in the block to the block's end, and not beyond."""

    async def main() -> None:
        with anyio.fail_after(SECONDS):
            async with served() as server:
                runtime = ProviderRuntime(Reachable(), clock=StandingClock(1_700_000_000), threads=ThreadPool(1))
                request = UpstreamRequest("GET", server.url)
                async with runtime.connected():
                    for _ in range(3):
                        await runtime.exchange(request)
                assert server.connections == 1
                await until(lambda: server.open_now == 0)
                await runtime.exchange(request)
                assert server.connections == 2

    anyio.run(main)
