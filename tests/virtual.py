"""A virtual event loop and clock: months pass in milliseconds, in the same order for the same seed."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio

from tokend.machine.event import Event, Waiters
from tokend.values.instant import Instant

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
BOOT = 1000.0


class _Jumping(selectors.SelectSelector):
    """Instead of waiting for the next timer, jump to it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("everybody waits for something that no timer brings")
        self.now += max(timeout, 0.0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose time is only its timers'."""

    def __init__(self) -> None:
        self.jumping = _Jumping()
        super().__init__(self.jumping)
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.jumping.now


class VirtualClock:
    """`tokend.clock.Clock` on the virtual loop, with a wall clock that can be stepped and a machine that sleeps."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._step = 0.0
        self._suspended = 0.0
        # Many look at one moment: it is made once.
        self._reading: tuple[float, float] | None = None
        self._now = Instant(EPOCH, BOOT)
        self._waiters = Waiters()

    def instant(self) -> Instant:
        elapsed = self._loop.time() + self._suspended
        if (elapsed, self._step) != self._reading:
            self._reading = (elapsed, self._step)
            self._now = Instant(EPOCH + timedelta(seconds=elapsed + self._step), BOOT + elapsed)
        return self._now

    async def wait(self, until: Instant | None, wake: Event, *, ends: Instant | None = None) -> None:
        now = self.instant()
        left = float("inf") if until is None else min(now.until(until), (until.wall - now.wall).total_seconds())
        # Real time passes while one looks at it; a virtual one needs a grain, or rounding would stop it.
        ends_at = float("inf") if ends is None else ends.boot
        await self._waiters.wait(wake, seconds=max(0.001, left), ends=ends_at)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    def step(self, seconds: float) -> None:
        """NTP or a person sets the wall clock."""
        self._step += seconds
        self._waiters.release()

    def suspend(self, seconds: float) -> None:
        """The machine sleeps: boot time and wall time go on, timers do not."""
        self._suspended += seconds
        self._waiters.release()


def run_virtually(main: Callable[[VirtualClock], Awaitable[None]]) -> None:
    """Run ``main`` to its end on a virtual loop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        runner.run(_call(main, VirtualClock(loop)))


async def _call(main: Callable[[VirtualClock], Awaitable[None]], clock: VirtualClock) -> None:
    await main(clock)


async def until(condition: Callable[[], bool], *, seconds: float) -> None:
    """Return as soon as ``condition`` holds; raise TimeoutError if it does not within so many virtual seconds."""
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110  (there is no event)
            await anyio.sleep(0.1)
