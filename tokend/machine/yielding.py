"""Iteration over thousands of things with pauses, so that readers are served in between."""

from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

import anyio.lowlevel

T = TypeVar("T")

# Each takes about 20 µs: readers wait for a millisecond at most.
TOGETHER = 50


async def with_pauses(things: Iterable[T], *, together: int = TOGETHER) -> AsyncIterator[T]:
    """Yield ``things`` one by one. After each ``together`` of them, let other tasks run."""
    for number, thing in enumerate(things, start=1):
        yield thing
        if number % together == 0:
            await anyio.lowlevel.checkpoint()
