"""Turns of connections whose clients have sent several requests at once, so that all of them leave time for others."""

import asyncio
from collections import deque
from collections.abc import Callable

# So many are given in one go, of all connections together. A thousand connections with a thousand requests each would
# leave no time for the others.
TURNS_AT_ONCE = 8


class Turns:
    """Calls that are due soon, in the order of their arrival: `TURNS_AT_ONCE` of them in one round of the loop."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], object]] = deque()
        self._are_given = False

    def take(self, go_on: Callable[[], object]) -> None:
        """Call ``go_on`` soon."""
        self._waiting.append(go_on)
        if not self._are_given:
            self._are_given = True
            asyncio.get_running_loop().call_soon(self._give)

    def _give(self) -> None:
        for _ in range(min(TURNS_AT_ONCE, len(self._waiting))):
            self._waiting.popleft()()
        self._are_given = bool(self._waiting)
        if self._are_given:
            asyncio.get_running_loop().call_soon(self._give)
