"""Thousands of tasks that are kept running, as one task of a task group."""

import asyncio
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from tokend.machine.clock import Clock
from tokend.machine.logs import get_logger
from tokend.plugin.kind_bugs import bug_behind

# A bug that kills a task at once must not become a busy loop.
RESTART_SECONDS = 5.0

log = get_logger()


class WorkerGroup:
    """Keep workers running until each is cancelled, or the group is; the group ends after its last worker.

    A worker that raises (a bug) is logged and started again; the others go on. An anyio group keeps a handle with an
    event and a scope for each of its tasks: 2 KB. Here a worker is a plain task in one scope. Cancelling the scope
    cancels the worker, so that shields inside it hold as in any task. The loop is not shared with the daemon's own
    loops: one more coroutine for each worker takes 0.5 KB.
    """

    def __init__(self, tasks: TaskGroup, clock: Clock) -> None:
        self._clock = clock
        self._running: dict[asyncio.Task[None], anyio.CancelScope] = {}
        tasks.start_soon(self._end_with_the_group)

    def start(self, name: str | None, body: Callable[[], Awaitable[None]]) -> anyio.CancelScope:
        """Keep ``body`` running until the returned scope is cancelled; ``name`` is the token's, for the log."""
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
                except Exception as error:
                    # Anything that is not a TokendError is a bug; other providers go on.
                    log.exception("worker.crashed", token=name, detail=bug_behind(error))
                await self._clock.sleep(RESTART_SECONDS)

    async def _end_with_the_group(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                while self._running:  # a worker that ends may start another one
                    for scope in self._running.values():
                        scope.cancel()
                    await asyncio.wait(list(self._running))
