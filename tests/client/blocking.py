"""`AsyncTokenClient` behind blocking calls, so that one test serves both clients."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tokend.client import AsyncTokenClient, Lease


class Blocking:
    """Calls each method in a loop of its own: the client keeps nothing between loops."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._client = AsyncTokenClient(*arguments, **options)

    def watch(self, name: str) -> Iterator[Lease]:
        """Iterate in one loop."""
        with asyncio.Runner() as runner:
            leases: AsyncIterator[Lease] = self._client.watch(name)
            while True:
                yield runner.run(anext(leases))  # type: ignore[arg-type]  # an awaitable, which `run` takes

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return lambda *arguments, **options: asyncio.run(method(*arguments, **options))
