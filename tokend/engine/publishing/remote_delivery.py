"""Adapter of a remote sink to the interface of a pushed sink: skips writes of unchanged values, and limits their time.

The mark of the last success is kept. After a failure the target's state is unknown: the store may have acted on a
request whose answer was lost. The next operation then reads the target first, if the store can be read.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

import anyio

from tokend.engine.publishing.write_timing import WriteHeldBack
from tokend.plugin.kind_bugs import exits_refused
from tokend.plugin.sink import Mark, RemoteSink, SinkRuntime
from tokend.values.errors import (
    NewerGenerationError,
    SinkConflictError,
    SinkError,
    SinkFinalError,
    SinkRejectedError,
    SinkUnavailableError,
)
from tokend.values.tokens import Lease, unix

T = TypeVar("T")

# Time for an operation to end after a cancellation (shutdown, reload): a complete write leaves the store up to date.
LAST_SECONDS = 5.0
# What only a store that answered can say.
ANSWERS = (SinkRejectedError, SinkConflictError, SinkFinalError, NewerGenerationError)


class RemoteDelivery:
    """A `plugin.sink.CombiningSink` that uses the `put`, `remove` and `inspect` of a `RemoteSink`.

    ``known`` is the mark of the last success, None while the target's state is unknown. ``expires_at`` is the end that
    was written with it, in Unix seconds. ``writes`` counts the writes that succeeded. ``save`` is awaited after each
    change of these three, and so before a request that changes the target. ``answered`` is whether the store is known
    to have answered during the last operation. While ``is_held_back`` returns true nothing is put: `WriteHeldBack`.
    """

    __slots__ = ("_save", "_sink", "answered", "expires_at", "is_held_back", "known", "writes")

    def __init__(
        self,
        sink: RemoteSink,
        *,
        save: Callable[[], Awaitable[None]],
        is_held_back: Callable[[], bool] = lambda: False,
    ) -> None:
        self.is_held_back = is_held_back
        self._sink = sink
        self._save = save
        self.answered = False
        self.known: Mark | None = None
        self.expires_at: int | None = None
        self.writes = 0

    async def write(self, runtime: SinkRuntime, lease: Lease) -> bool:
        """Put the token into the store, unless the store holds it. True if a value was sent to the store."""
        return await self.write_all(runtime, lease, {})

    async def write_all(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> bool:
        """Put the content made from these tokens into the store, unless the store holds it. Returns as `write` does."""
        return await self._in_time(lambda: self._write(runtime, lease, others))

    async def remove(self, runtime: SinkRuntime) -> bool:
        """Remove our values from the store. False if the store is known to hold none."""
        return await self._in_time(lambda: self._remove(runtime))

    async def probe(self, runtime: SinkRuntime) -> None:
        """Do nothing: no request is sent to a store before there is a token to write."""

    async def announce(self, runtime: SinkRuntime) -> None:
        """Do nothing: the store itself notifies its readers, and `announcement_timing` of a remote sink is None."""

    async def look(
        self, runtime: SinkRuntime, lease: Lease | None, others: Mapping[str, Lease]
    ) -> tuple[str, Mark | None]:
        """Compare the store with what it must hold, None for nothing.

        Returns the word for `SinkStatus.drift`, and the store's mark.
        """
        return await self._in_time(lambda: self._look(runtime, lease, others))

    async def _look(
        self, runtime: SinkRuntime, lease: Lease | None, others: Mapping[str, Lease]
    ) -> tuple[str, Mark | None]:
        wanted = runtime.mark(None if lease is None else (await self._sink.content(runtime, lease, others)).values)
        found = await self._inspect(runtime)
        if found is None:
            return "unknown: the store cannot be read back", None
        if found.digest == wanted.digest:
            await self._found(found)
            return "none", found
        return "missing" if found.digest is None else "changed", found

    async def _write(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> bool:
        content = await self._sink.content(runtime, lease, others)
        ends = None if content.expires_at is None else unix(content.expires_at.wall)
        was_known = self.known is not None
        known = await self._last_mark(runtime)
        is_same = known is not None and known.digest == runtime.mark(content.values).digest
        # An end that nobody remembers is taken for the right one: the store has the value that was written with it.
        has_end = self.expires_at == ends or (self.expires_at is None and not was_known)
        if is_same and (has_end or not self._sink.writes_end):
            self.expires_at = ends
            await self._found(known)
            return False
        if self.is_held_back():
            raise WriteHeldBack
        await self._forget(end=self.expires_at if is_same else None)
        await self._wrote(self._mark_of("put", await self._sink.put(runtime, content, known)), ends)
        return True

    async def _remove(self, runtime: SinkRuntime) -> bool:
        known = await self._last_mark(runtime)
        if known is not None and known.digest is None:
            await self._found(known)
            return False
        await self._forget()
        await self._wrote(self._mark_of("remove", await self._sink.remove(runtime, known)), None)
        return True

    async def _forget(self, *, end: int | None = None) -> None:
        """Know nothing of the target until an answer arrives, but that its value may still have the older ``end``."""
        self.known, self.expires_at = None, end
        await self._save()

    async def _wrote(self, mark: Mark, expires_at: int | None) -> None:
        self.known, self.expires_at = mark, expires_at
        self.writes += 1
        await self._save()

    async def _found(self, mark: Mark | None) -> None:
        """Note that the target holds what it must."""
        if mark != self.known:
            self.known = mark
            await self._save()

    async def _last_mark(self, runtime: SinkRuntime) -> Mark | None:
        if self.known is not None:
            return self.known
        return await self._inspect(runtime)

    async def _inspect(self, runtime: SinkRuntime) -> Mark | None:
        found: object = await self._sink.inspect(runtime)
        return None if found is None else self._mark_of("inspect", found)

    def _mark_of(self, method: str, found: object) -> Mark:
        """Return what a method returned. Raises `SinkError` if it is no mark: the store's state is unknown then."""
        self.answered = True
        if not isinstance(found, Mark):
            what = f"returned {'no Mark' if found is None else type(found).__name__ + ', a Mark is expected'}"
        elif not all(isinstance(one, str | None) for one in (found.digest, found.version, found.remark)):
            what = "returned a Mark whose members are not all texts or None"  # it could not be read back from the state
        else:
            return found
        raise SinkError(f"{self._sink.target}: kind {self._sink.kind}: {method} {what}")

    async def _in_time(self, operation: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Await an operation for at most the sink's ``timeout``, and for `LAST_SECONDS` more after a cancellation."""
        self.answered = False
        seconds = self._sink.timeout.total_seconds()
        done: list[T] = []
        trouble: list[Exception] = []
        ends = anyio.current_time() + seconds
        async with anyio.create_task_group() as group:
            with anyio.move_on_after(seconds, shield=True) as scope:
                group.start_soon(_shorten_deadline_when_cancelled, scope)
                try:
                    with exits_refused():
                        done.append(await operation())
                except Exception as error:
                    # Raised after the task group, which would wrap the error in a group.
                    trouble.append(error)
            group.cancel_scope.cancel()
        if trouble:
            self.answered = self.answered or isinstance(trouble[0], ANSWERS)
            raise trouble[0]
        if not done:
            shortened = scope.deadline < ends
            within = f"{LAST_SECONDS:g} s at the end of the daemon or of this sink" if shortened else f"{seconds:g} s"
            # The end of the daemon says nothing about the store's host.
            kind = SinkError if shortened else SinkUnavailableError
            raise kind(f"{self._sink.target}: no answer within {within}")
        return done[0]


async def _shorten_deadline_when_cancelled(scope: anyio.CancelScope) -> None:
    """Move the deadline of a shielded operation when the task group around it is cancelled."""
    try:
        await anyio.sleep_forever()
    finally:
        scope.deadline = min(scope.deadline, anyio.current_time() + LAST_SECONDS)
