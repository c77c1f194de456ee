"""Waiting by the thousand: what an event and a timer take while somebody rests on them.

`anyio.Event` takes 1 KB each, a cancel scope with a deadline as much again; of ten thousand providers that would be
twenty megabytes. Here an event takes 56 bytes, and one who waits a future and a timer. Whoever waits can be cancelled
by anyio's scopes as anywhere.
"""

import asyncio
import math

import anyio.lowlevel


class Event:
    """`anyio.Event`: set once, seen by all who wait."""

    __slots__ = ("_is_set", "_waiters")

    def __init__(self) -> None:
        self._is_set = False
        # None, one, or several: as a rule it is one.
        self._waiters: tuple[asyncio.Future[None], ...] = ()

    def set(self) -> None:
        """Let everybody who waits go on, in the order in which they came."""
        self._is_set = True
        waiters, self._waiters = self._waiters, ()
        for waiter in waiters:
            _release(waiter)

    def is_set(self) -> bool:
        """Tell whether it was set."""
        return self._is_set

    async def wait(self) -> None:
        """Return when it is set."""
        if self._is_set:
            await anyio.lowlevel.checkpoint()
            return
        waiter = asyncio.get_running_loop().create_future()
        self.add(waiter)
        try:
            await waiter
        finally:
            self.discard(waiter)

    def add(self, waiter: "asyncio.Future[None]") -> None:
        """Have ``waiter`` released when it is set; it must not be set yet."""
        self._waiters += (waiter,)

    def discard(self, waiter: "asyncio.Future[None]") -> None:
        """Forget ``waiter``, if it is still there."""
        if waiter in self._waiters:
            self._waiters = tuple(other for other in self._waiters if other is not waiter)


class Waiters:
    """All who wait for an event or a moment; `release` lets them look again, the most urgent first."""

    def __init__(self) -> None:
        # With the boot time at which what each is about ends.
        self._ends: dict[asyncio.Future[None], float] = {}

    async def wait(self, event: Event, *, seconds: float, ends: float) -> None:
        """Return when ``event`` is set, ``seconds`` of the loop's time have passed, or `release` was called."""
        if event.is_set() or seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        timer = None if seconds == math.inf else loop.call_later(seconds, _release, waiter)
        event.add(waiter)
        self._ends[waiter] = ends
        try:
            await waiter
        finally:
            del self._ends[waiter]
            event.discard(waiter)
            if timer is not None:
                timer.cancel()

    def release(self) -> None:
        """Let everybody look at the clocks again, those first whose matter ends first."""
        for waiter in sorted(self._ends, key=self._ends.__getitem__):
            _release(waiter)


def _release(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
