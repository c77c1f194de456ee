"""SIGTERM and SIGINT: the first one ends the daemon in order, a second one at once.

Python's own handlers count the signals. An event loop may report one signal twice where many arrive at once: uvloop
takes the numbers both from its pipe and from a handler.
"""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import anyio

from tokend.machine.command import kill_commands

NUMBERS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def end_signals(stop: anyio.Event) -> Iterator[None]:
    """Set ``stop`` at the first signal; end the process at the second. For the main thread, within a running loop.

    The second signal ends the process with 128 and its number. That is safe, because all writes are atomic.
    """
    loop, count = asyncio.get_running_loop(), 0

    def received(number: int, _: FrameType | None) -> None:
        nonlocal count
        count += 1
        # In the loop: a handler may interrupt code that holds a lock.
        loop.call_soon_threadsafe(*((stop.set,) if count == 1 else (_end_now, number)))

    before = {number: signal.signal(number, received) for number in NUMBERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_now(number: int) -> None:
    kill_commands()
    os._exit(128 + number)
