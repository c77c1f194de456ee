"""Long ways over thousands of things, with room for others to be served in between."""

from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

import anyio.lowlevel

T = TypeVar("T")

# What is made of each takes some 20 µs: readers wait for a millisecond at most.
TOGETHER = 50


async def with_pauses(things: Iterable[T], *, together: int = TOGETHER) -> AsyncIterator[T]:
    """Give these one by one; whoever has something to do may do it after each ``together`` of them."""
    for number, thing in enumerate(things, start=1):
        yield thing
        if number % together == 0:
            await anyio.lowlevel.checkpoint()
