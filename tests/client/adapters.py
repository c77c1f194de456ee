"""Each HTTP library with tokend's adapter in it, behind one way to make requests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
import anyio
import httpx
import requests

from tokend.client import TokenClient
from tokend.client.aiohttp import TokendAuth as AiohttpAuth
from tokend.client.httpx import TokendAuth as HttpxAuth
from tokend.client.requests import TokendAuth as RequestsAuth

PATIENCE_SECONDS = 40


@dataclass(frozen=True)
class Call:
    """One request to make. ``pieces`` are sent from a generator."""

    url: str
    method: str = "GET"
    body: bytes | None = None
    pieces: tuple[bytes, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Got:
    """What came of it in the end."""

    status: int
    body: bytes


class Adapter(Protocol):
    """Makes calls at once, or (``in_turn``) one after another. ``auth`` are further options of `TokendAuth`."""

    __name__: str

    def __call__(
        self, socket: str, calls: list[Call], /, *, name: str = "tt", in_turn: bool = False, **auth: Any
    ) -> list[Got]: ...


def httpx_sync(socket: str, calls: list[Call], /, *, name: str = "tt", in_turn: bool = False, **auth: Any) -> list[Got]:
    """One Client, many threads."""
    added = HttpxAuth(name, client=TokenClient(socket), **auth)
    with httpx.Client(
        auth=added, follow_redirects=True, trust_env=False, timeout=PATIENCE_SECONDS, limits=_MANY
    ) as http:

        def one(call: Call) -> Got:
            content = iter(call.pieces) if call.pieces else call.body
            done = http.request(call.method, call.url, content=content, headers=call.headers)
            return Got(done.status_code, done.content)

        return _each(one, calls, in_turn)


def httpx_async(
    socket: str, calls: list[Call], /, *, name: str = "tt", in_turn: bool = False, backend: str = "asyncio", **auth: Any
) -> list[Got]:
    """One AsyncClient, many tasks."""

    async def main() -> list[Got]:
        added = HttpxAuth(name, client=TokenClient(socket), **auth)
        found: dict[int, Got] = {}
        async with httpx.AsyncClient(
            auth=added, follow_redirects=True, trust_env=False, timeout=PATIENCE_SECONDS, limits=_MANY
        ) as http:

            async def one(number: int, call: Call) -> None:
                content = _drip(call.pieces) if call.pieces else call.body
                done = await http.request(call.method, call.url, content=content, headers=call.headers)
                found[number] = Got(done.status_code, done.content)

            for number, call in enumerate(calls if in_turn else ()):
                await one(number, call)
            async with anyio.create_task_group() as group:
                for number, call in enumerate(() if in_turn else calls):
                    group.start_soon(one, number, call)
        return [found[number] for number in range(len(calls))]

    return anyio.run(main, backend=backend)


def requests_session(
    socket: str, calls: list[Call], /, *, name: str = "tt", in_turn: bool = False, **auth: Any
) -> list[Got]:
    """One Session, many threads."""
    with requests.Session() as session:
        session.trust_env = False
        session.auth = RequestsAuth(name, client=TokenClient(socket), **auth)

        def one(call: Call) -> Got:
            data: Any = iter(call.pieces) if call.pieces else call.body
            done = session.request(call.method, call.url, data=data, headers=call.headers, timeout=PATIENCE_SECONDS)
            return Got(done.status_code, done.content)

        return _each(one, calls, in_turn)


def aiohttp_session(
    socket: str, calls: list[Call], /, *, name: str = "tt", in_turn: bool = False, **auth: Any
) -> list[Got]:
    """One ClientSession, many tasks."""

    async def main() -> list[Got]:
        added = AiohttpAuth(name, client=TokenClient(socket), **auth)
        async with aiohttp.ClientSession(middlewares=[added]) as session:

            async def one(call: Call) -> Got:
                data = _drip(call.pieces) if call.pieces else call.body
                async with session.request(call.method, call.url, data=data, headers=call.headers) as done:
                    return Got(done.status, await done.read())

            if in_turn:
                return [await one(call) for call in calls]
            return list(await asyncio.gather(*map(one, calls)))

    return asyncio.run(main())


ADAPTERS: list[Adapter] = [httpx_sync, httpx_async, requests_session, aiohttp_session]
_MANY = httpx.Limits(max_connections=None)


def _each(one: Callable[[Call], Got], calls: list[Call], in_turn: bool) -> list[Got]:
    if in_turn:
        return list(map(one, calls))
    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))


async def _drip(pieces: tuple[bytes, ...]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
