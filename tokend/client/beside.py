"""Asking tokend from an event loop, asyncio's or trio's, without blocking it."""

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from tokend.client.reporting import newer
from tokend.client.tokens import Lease, TokenClient

T = TypeVar("T")
# Threads of their own, not the loop's: a report may wait 30 s for an upstream, and must hold up neither the program's
# other threads (resolving names is one of them) nor somebody who only wants to read a token, which takes half a ms.
READING_THREADS = 8
REPORTING_THREADS = 8
_reading: RunVar[CapacityLimiter] = RunVar("tokend_client_reading")
_reporting: RunVar[CapacityLimiter] = RunVar("tokend_client_reporting")


async def get(client: TokenClient, name: str) -> Lease:
    """`TokenClient.get` in a thread."""
    return await _beside(lambda: client.get(name), _reading, READING_THREADS)


async def newer_than(client: TokenClient, lease: Lease) -> Lease | None:
    """`newer` in a thread."""
    return await _beside(lambda: newer(client, lease), _reporting, REPORTING_THREADS)


async def _beside(call: Callable[[], T], limiter: RunVar[CapacityLimiter], threads: int) -> T:
    try:
        room = limiter.get()
    except LookupError:
        room = CapacityLimiter(threads)
        limiter.set(room)
    return await to_thread.run_sync(call, abandon_on_cancel=True, limiter=room)
