"""Blocking calls, away from the loop: a bounded number of threads, and a thread that hangs is given up."""

import threading
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
        self._lock = threading.Lock()  # the counts are changed by the loop and by the threads
        self._running = 0
        self._stuck = 0

    @property
    def running(self) -> int:
        """Calls that have not ended, given up or not. The interpreter cannot end while there is one."""
        return self._running

    @property
    def stuck(self) -> int:
        """Calls that nobody waits for any more and that have not ended."""
        return self._stuck

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        """Run ``call`` in a thread. Raises TimeoutError after ``seconds``; the call may still end later.

        TimeoutError also where no thread can be had: the machine is out of them, or too many hang.
        """
        if self._stuck >= MOST_STUCK:
            raise TimeoutError(f"{self._stuck} threads hang already")
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._size)
        began = ended = given_up = False

        def tracked() -> T:
            nonlocal began, ended
            with self._lock:
                began = True
                self._running += 1
            try:
                return call()
            finally:
                with self._lock:
                    ended = True
                    self._running -= 1
                    self._stuck -= given_up

        async with self._limiter:
            # The limiter is ours, so that waiting for a free thread does not count as the call's own time.
            try:
                with anyio.move_on_after(seconds):
                    return await anyio.to_thread.run_sync(
                        tracked, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
                    )
            except RuntimeError as error:
                if not began:
                    raise TimeoutError(f"no thread can be started: {error}") from None
                raise
            finally:
                # Out of time, or the caller was cancelled. (A call that has ended, by its own error too, is none.)
                with self._lock:
                    given_up = began and not ended
                    self._stuck += given_up
        raise TimeoutError
