"""Blocking calls of the adapters in threads, for event loops of asyncio and trio."""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
# Separate limits instead of the event loop's own: a report may wait 30 s for an upstream. It must delay neither the
# program's other threads (name resolution, for example) nor a read, which takes half a millisecond.
READING_THREADS = 8
REPORTING_THREADS = 8
_reading: RunVar[CapacityLimiter] = RunVar("tokend_client_reading")
_reporting: RunVar[CapacityLimiter] = RunVar("tokend_client_reporting")


async def read(call: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Make a call that returns at once."""
    return await _in_thread(_reading, READING_THREADS, call, *arguments)


async def report(call: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Make a call that may wait for an upstream."""
    return await _in_thread(_reporting, REPORTING_THREADS, call, *arguments)


async def _in_thread(limiter: RunVar[CapacityLimiter], threads: int, call: Callable[[*Ts], T], *arguments: *Ts) -> T:
    try:
        limit = limiter.get()
    except LookupError:
        limit = CapacityLimiter(threads)
        limiter.set(limit)
    return await to_thread.run_sync(call, *arguments, abandon_on_cancel=True, limiter=limit)
