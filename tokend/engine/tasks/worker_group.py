"""Tasks by the thousand, in a task group that knows them as one; each is kept running."""

import asyncio
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from tokend.machine.clock import Clock
from tokend.machine.logs import get_logger

# A bug that kills a task at once must not become a busy loop.
RESTART_SECONDS = 5.0

log = get_logger()


class WorkerGroup:
    """Keep workers running until each is cancelled, or the group is; the group ends after the last of them.

    One that dies of a bug is logged and started again; it takes nobody with it. For each of its own tasks an anyio
    group keeps a handle with an event and a scope: 2 KB. Here a worker is a plain task in one scope, which is what
    cancels it, so that shields inside it hold as ever.
    """

    def __init__(self, tasks: TaskGroup, clock: Clock) -> None:
        self._clock = clock
        self._running: dict[asyncio.Task[None], anyio.CancelScope] = {}
        tasks.start_soon(self._end_with_the_group)

    def start(self, name: str | None, body: Callable[[], Awaitable[None]]) -> anyio.CancelScope:
        """Keep ``body`` running until the scope is cancelled that is returned; ``name`` is the token's, for the log."""
        scope = anyio.CancelScope()
        task = asyncio.get_running_loop().create_task(self._keep_running(name, scope, body))
        self._running[task] = scope
        task.add_done_callback(self._running.pop)
        return scope

    async def _keep_running(
        self, name: str | None, scope: anyio.CancelScope, body: Callable[[], Awaitable[None]]
    ) -> None:
        with scope:
            while True:
                try:
                    await body()
                except Exception:
                    # Anything that is not a TokendError is a bug; it stays this provider's own.
                    log.exception("worker.crashed", token=name)
                await self._clock.sleep(RESTART_SECONDS)

    async def _end_with_the_group(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                while self._running:  # one that is ending may start another
                    for scope in self._running.values():
                        scope.cancel()
                    await asyncio.wait(list(self._running))
