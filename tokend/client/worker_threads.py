"""Calls of a `TokenClient` in threads, for event loops of asyncio and trio."""

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from tokend.client.leases import Lease
from tokend.client.reporting import newer
from tokend.client.tokens import TokenClient

T = TypeVar("T")
# Separate limits instead of the event loop's own: a report may wait 30 s for an upstream. It must delay neither the
# program's other threads (name resolution, for example) nor a read, which takes half a millisecond.
READING_THREADS = 8
REPORTING_THREADS = 8
_reading: RunVar[CapacityLimiter] = RunVar("tokend_client_reading")
_reporting: RunVar[CapacityLimiter] = RunVar("tokend_client_reporting")


async def get(client: TokenClient, name: str) -> Lease:
    """Call `TokenClient.get` in a thread."""
    return await _in_thread(lambda: client.get(name), _reading, READING_THREADS)


async def newer_than(client: TokenClient, lease: Lease) -> Lease | None:
    """Call `reporting.newer` in a thread."""
    return await _in_thread(lambda: newer(client, lease), _reporting, REPORTING_THREADS)


async def _in_thread(call: Callable[[], T], limiter: RunVar[CapacityLimiter], threads: int) -> T:
    try:
        limit = limiter.get()
    except LookupError:
        limit = CapacityLimiter(threads)
        limiter.set(limit)
    return await to_thread.run_sync(call, abandon_on_cancel=True, limiter=limit)
