"""A remote sink under the interface of a pushed one: marks decide what is sent, and each operation has a deadline.

The mark of the last success is kept in memory. After a failure nothing is known of the target: a request whose answer
was lost may have had its effect. The store is then asked first, where it can be read.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import anyio

from tokend.plugin.sink import Content, Mark, RemoteSink, SinkRuntime
from tokend.values.errors import SinkError
from tokend.values.tokens import Lease

T = TypeVar("T")

# An exchange that has begun may end at a shutdown or a reload: the store then holds what the next start expects.
LAST_SECONDS = 5.0


class RemoteDelivery:
    """Implement `plugin.sink.CombiningSink` by a `RemoteSink`'s `put`, `remove` and `inspect`."""

    __slots__ = ("_known", "_sink")

    def __init__(self, sink: RemoteSink) -> None:
        self._sink = sink
        self._known: Mark | None = None

    async def write(self, runtime: SinkRuntime, lease: Lease) -> bool:
        """Put the token into the store, unless the store holds it. True if something was sent to be stored."""
        return await self.write_all(runtime, lease, {})

    async def write_all(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> bool:
        """Put what is made of these tokens into the store, unless the store holds it."""
        return await self._in_time(lambda: self._write(runtime, lease, others))

    async def remove(self, runtime: SinkRuntime) -> bool:
        """Take our values out of the store. False where it is known that none are there."""
        return await self._in_time(lambda: self._remove(runtime))

    async def probe(self, runtime: SinkRuntime) -> None:
        """Do nothing: a start asks no store before there is something to write."""

    async def announce(self, runtime: SinkRuntime) -> None:
        """Do nothing: the store's readers learn of a new value from the store."""

    async def _write(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> bool:
        content = await self._sink.content(runtime, lease, others)
        wanted = runtime.mark(content.values)
        known = await self._last_mark(runtime)
        if known is not None and known.digest == wanted.digest:
            self._known = known
            return False
        self._known = await self._put(runtime, content, known)
        return True

    async def _put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        self._known = None  # until the answer says otherwise
        return await self._sink.put(runtime, content, known)

    async def _remove(self, runtime: SinkRuntime) -> bool:
        known = await self._last_mark(runtime)
        if known is not None and known.digest is None:
            self._known = known
            return False
        self._known = None
        self._known = await self._sink.remove(runtime, known)
        return True

    async def _last_mark(self, runtime: SinkRuntime) -> Mark | None:
        return self._known if self._known is not None else await self._sink.inspect(runtime)

    async def _in_time(self, operation: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Await an operation for at most the sink's ``timeout``, and for `LAST_SECONDS` more after a cancellation."""
        seconds = self._sink.timeout.total_seconds()
        done: list[T] = []
        trouble: list[Exception] = []
        async with anyio.create_task_group() as group:
            with anyio.move_on_after(seconds, shield=True) as scope:
                group.start_soon(_hasten, scope)
                try:
                    done.append(await operation())
                except Exception as error:
                    # A task group would wrap it.
                    trouble.append(error)
            group.cancel_scope.cancel()
        if trouble:
            raise trouble[0]
        if not done:
            raise SinkError(f"{self._sink.target}: no answer within {seconds:g} s")
        return done[0]


async def _hasten(scope: anyio.CancelScope) -> None:
    """Move the deadline of a shielded operation when the task group around it is cancelled."""
    try:
        await anyio.sleep_forever()
    finally:
        scope.deadline = min(scope.deadline, anyio.current_time() + LAST_SECONDS)
