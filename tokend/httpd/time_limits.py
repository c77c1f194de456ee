"""Enforcement of the time limits of HTTP connections."""

import asyncio
from typing import Protocol

from tokend.httpd.listener import Listener
from tokend.httpd.places import OpenConnection
from tokend.httpd.request_parser import Limits

# A client has at most this much longer than its limit.
LONGEST_PAUSE_SECONDS = 0.5


class LimitedConnection(OpenConnection, Protocol):
    """An open connection with time limits."""

    def check(self, now: float) -> None:
        """Close the connection if it has used up its time; ``now`` is the loop's time."""


async def enforce_time_limits(listener: Listener[LimitedConnection], limits: Limits) -> None:
    """Check all connections again and again, until cancelled."""
    shortest = min(limits.header_seconds, limits.body_seconds, limits.idle_seconds, limits.write_seconds)
    pause = min(LONGEST_PAUSE_SECONDS, shortest / 4)
    while True:
        await asyncio.sleep(pause)
        now = asyncio.get_running_loop().time()
        for connection in list(listener.connections):
            connection.check(now)
