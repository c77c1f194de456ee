"""One HTTP exchange over tokend's Unix socket, by asyncio. `transport` makes the request and reads the answer."""

import asyncio
import socket
from collections.abc import Sequence

from tokend.client.transport import (
    BUSY_SECONDS,
    CHUNK_BYTES,
    LARGEST_ANSWER_BYTES,
    TIMEOUT_SECONDS,
    broken_off,
    check_server,
    no_answer_within,
    parse_answer,
    request_bytes,
    unconnected,
)


async def exchange(
    path: str,
    method: str,
    target: str,
    *,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    timeout: float = TIMEOUT_SECONDS,  # noqa: ASYNC109  (the signature of `transport.exchange`)
) -> tuple[int, dict[str, str], bytes]:
    """Send one request and return (status, {lower-case header: value}, body), all within ``timeout`` seconds.

    Raises `DeniedError`, `WaitTimeoutError`, or `NotRunningError`, also for an answer that is not HTTP or not whole.
    """
    request = request_bytes(method, target, headers, body)
    try:
        async with asyncio.timeout(timeout):
            raw = await _ask(path, request)
            if not raw and method == "GET":
                # The daemon ended while it had our connection. A second GET is harmless, and under socket activation
                # the next daemon answers it.
                raw = await _ask(path, request)
    except TimeoutError:
        raise no_answer_within(timeout, path) from None
    return parse_answer(raw, path)


async def _ask(path: str, request: bytes) -> bytes:
    """Send a request on a new connection and return the answer; empty if the connection closed without one."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.setblocking(False)
        await _connect(connection, path)
        try:
            check_server(connection, path)
            await loop.sock_sendall(connection, request)
            return await _receive(loop, connection)
        except ConnectionError:
            return b""
        except TimeoutError:
            raise
        except OSError as error:
            raise broken_off(error, path) from None


async def _connect(connection: socket.socket, path: str) -> None:
    # Not by `loop.sock_connect`: it takes the EAGAIN of a full queue for a connection that is under way.
    while True:
        try:
            connection.connect(path)
        except BlockingIOError:
            await asyncio.sleep(BUSY_SECONDS)
        except OSError as error:
            raise await asyncio.to_thread(unconnected, error, path) from None
        else:
            return


async def _receive(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> bytes:
    """Read until the other side closes."""
    parts: list[bytes] = []
    size = 0
    while size <= LARGEST_ANSWER_BYTES:
        try:
            chunk = await loop.sock_recv(connection, CHUNK_BYTES)
        except ConnectionError:
            # The daemon closed before it read the whole request: the bytes before that are still an answer.
            if not parts:
                raise
            break
        if not chunk:
            break
        parts.append(chunk)
        size += len(chunk)
    return b"".join(parts)
