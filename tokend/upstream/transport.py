"""Transport under httpx and httpcore: addresses, a connection, TLS, and a limit of bytes.

The libraries' own connections ask libuv for names, count no bytes, and say too little about what failed: see
docs/decisions/0010. Errors are `TransientError`s in words for the operator.
"""

import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import anyio
import httpcore
import httpx

from tokend.upstream import tls
from tokend.upstream.progress import PROGRESS
from tokend.upstream.resolver import Resolver
from tokend.values.errors import TransientError

CONNECT_SECONDS = 5.0
# RFC 8305, section 5: the next address is tried when the one before has not answered after this.
NEXT_ADDRESS_SECONDS = 0.25
# More than a few addresses are a mistake, and the last ones would be tried after the deadline.
MOST_ADDRESSES = 8
# Beside the largest body: more headers than any server sends, and chunks of a reasonable size. The limit of the body
# does not stop a flood of 1xx responses or of one-byte chunks.
LARGEST_HEAD_BYTES = 128 * 1024
# Parsed in one step of the event loop, while no reader is served: 16 KiB of the smallest chunks took 90 ms.
READ_BYTES = 4096


class Transport(httpx.AsyncBaseTransport):
    """`httpx.AsyncHTTPTransport` over a `Network`, with httpcore's own errors: they say more than httpx's."""

    def __init__(
        self,
        network: "Network",
        *,
        context: ssl.SSLContext,
        proxy: httpcore.Proxy | None,
        idle_seconds: float | None = None,
    ) -> None:
        self._network = network
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context, proxy=proxy, network_backend=network, keepalive_expiry=idle_seconds
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; returns the response before its body is read."""
        url = request.url
        answer = await self._pool.handle_async_request(
            httpcore.Request(
                request.method,
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        self._network.head_ended()
        response = httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer.stream))
        try:
            # httpx parses Location even where no redirect is followed, and fails where it is no URL.
            url.join(response.headers.get("location", ""))
        except httpx.InvalidURL:
            del response.headers["location"]
        return response

    async def aclose(self) -> None:
        """Close the connection."""
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class Network(httpcore.AsyncNetworkBackend):
    """Connections whose bytes are counted together, for one exchange at a time. ``host`` is the name in messages."""

    def __init__(self, host: str, resolver: Resolver, largest_body_bytes: int) -> None:
        self._host = host
        self._resolver = resolver
        self._largest_body_bytes = largest_body_bytes
        self.begin()

    def begin(self) -> None:
        """Count the bytes of another exchange, whose head comes first: 1xx responses are parsed one by one."""
        self._allowed = self._left = LARGEST_HEAD_BYTES

    def head_ended(self) -> None:
        """Allow the bytes of a body as well."""
        self._allowed += self._largest_body_bytes
        self._left += self._largest_body_bytes

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109  (httpcore's, as all of them)
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers. Raises `TransientError`, which is repeatable."""
        what = f"the name was not resolved within {CONNECT_SECONDS:g} s: do the servers of /etc/resolv.conf answer?"
        try:
            with anyio.fail_after(CONNECT_SECONDS):
                addresses = await self._resolver.addresses(host, seconds=CONNECT_SECONDS)
                what = f"no connection within {CONNECT_SECONDS:g} s"
                stream = await _first(addresses[:MOST_ADDRESSES], port)
        except TimeoutError as error:
            raise self._trouble(str(error) or what, connected=False) from None
        except OSError as error:
            raise self._trouble(_reason(error), connected=False) from None
        return _Stream(stream, self._host, self._took)

    async def sleep(self, seconds: float) -> None:
        """Sleep between httpcore's retries, which are off."""
        await anyio.sleep(seconds)

    def _took(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise self._trouble(f"its answer has more than {self._allowed // 1024} KiB: not a token")

    def _trouble(self, what: str, *, connected: bool = True) -> TransientError:
        return TransientError(f"{self._host}: {what}", repeatable=not connected, is_sent=connected)


class _Stream(httpcore.AsyncNetworkStream):
    """Connection whose bytes are counted."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, host: str, took: Callable[[int], None]) -> None:
        self._stream = stream
        self._host = host
        self._took = took

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        data = await self._stream.read(min(max_bytes, READ_BYTES), timeout)
        self._took(len(data))
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if (progress := PROGRESS.get()) is not None:
            progress.wrote()
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        try:
            stream = await self._stream.start_tls(ssl_context, server_hostname, CONNECT_SECONDS)
        except httpcore.ConnectTimeout:
            what = f"TLS did not begin within {CONNECT_SECONDS:g} s of the connection"
            raise TransientError(f"{self._host}: {what}", repeatable=True, is_sent=False) from None
        except httpcore.ConnectError as error:
            what = tls.trouble(error) or "it closed the connection during the TLS handshake"
            raise TransientError(f"{self._host}: {what}", is_sent=False) from None
        if (progress := PROGRESS.get()) is not None:
            progress.shook_hands()
        return _Stream(stream, self._host, self._took)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


async def _first(addresses: list[str], port: int) -> httpcore.AsyncNetworkStream:
    """Connect to the address that answers first. Raises the first OSError where all refuse."""
    errors: list[OSError] = []
    won: list[httpcore.AsyncNetworkStream] = []

    async def attempt(address: str, failed: anyio.Event) -> None:
        try:
            stream = await httpcore.AnyIOBackend().connect_tcp(address, port)
        except httpcore.ConnectError as error:
            causes = (cause for cause in tls.causes(error) if isinstance(cause, OSError) and cause.errno)
            errors.append(next(causes, OSError("no connection")))
            failed.set()
            return
        if won:
            await stream.aclose()
        else:
            won.append(stream)
            tasks.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as tasks:
            for address in addresses:
                failed = anyio.Event()
                tasks.start_soon(attempt, address, failed)
                with anyio.move_on_after(NEXT_ADDRESS_SECONDS):
                    await failed.wait()
    except BaseException:
        with anyio.CancelScope(shield=True):
            for stream in won:
                await stream.aclose()
        raise
    if not won:
        raise errors[0]
    return won[0]


def _reason(error: OSError) -> str:
    """Return the system's words: asyncio writes "Connect call failed" for each number. A resolver's are negative."""
    return (os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror or error)).lower()
