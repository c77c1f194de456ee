"""Blocking calls, away from the loop: a bounded number of threads, and a thread that hangs is given up."""

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")

# A thread stuck in a hung filesystem cannot be ended, only left behind; this many are left behind at most.
MOST_STUCK = 32


class ThreadPool:
    """Run calls in at most ``size`` threads at a time, besides those that were given up."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._limiter: anyio.CapacityLimiter | None = None
        self.stuck = 0

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        """Run ``call`` in a thread. Raises TimeoutError after ``seconds``; the call may still end later."""
        if self.stuck >= MOST_STUCK:
            raise TimeoutError(f"{self.stuck} threads hang already")
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._size)
        given_up = False

        def tracked() -> T:
            try:
                return call()
            finally:
                if given_up:
                    self.stuck -= 1

        async with self._limiter:
            # The limiter is ours, so that waiting for a free thread does not count as the call's own time.
            try:
                with anyio.fail_after(seconds):
                    return await anyio.to_thread.run_sync(
                        tracked, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
                    )
            except TimeoutError:
                given_up = True
                self.stuck += 1
                raise
