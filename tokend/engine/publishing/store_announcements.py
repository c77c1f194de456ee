"""Announcements of a sink in a store: remembered across restarts, and in turn with all that is sent to its host."""

from collections.abc import Awaitable, Callable

from tokend.engine.context.context import Context
from tokend.engine.publishing.remote_target import RemoteTarget
from tokend.plugin.sink import SinkRuntime
from tokend.values.errors import SinkError
from tokend.values.instant import Instant
from tokend.values.tokens import unix

Announce = Callable[[SinkRuntime], Awaitable[None]]


class StoreAnnouncements:
    """The announcements of one store's sink for an `Announcer`; ``announce`` is the method of the sink.

    An announcement counts as sent from before its request, until it is known that it was not: a daemon that dies in
    between makes no second one within the interval.
    """

    __slots__ = ("_announce", "_context", "_remote", "_upstream")

    def __init__(self, announce: Announce, remote: RemoteTarget, *, upstream: str | None, context: Context) -> None:
        self._announce = announce
        self._remote = remote
        self._upstream = upstream
        self._context = context

    @property
    def last(self) -> Instant | None:
        """The last announcement that may have been heard; None if there was none."""
        if self._remote.announced_at is None:
            return None
        now = self._context.clock.instant()
        # A wall clock that was set back since must not hold the next one back for longer than the interval.
        return now.after(-max(0.0, now.wall.timestamp() - self._remote.announced_at))

    async def announce(self, runtime: SinkRuntime) -> None:
        """Announce what the target is known to hold, as soon as the store's host may be asked. Raises `SinkError`."""
        remote = self._remote
        async with self._context.hosts.attempt(self._upstream) as attempt:
            known, before, covered = remote.delivery.known, remote.announced_at, remote.announced
            await remote.announced_now(unix(self._context.clock.instant().wall), covered)
            try:
                await self._announce(runtime)
            except SinkError as error:
                attempt.answered = not attempt.failed(error) and not error.may_have_acted
                if not error.may_have_acted:
                    await remote.announced_now(before, covered)
                raise
            attempt.answered = True
            await remote.announced_now(remote.announced_at, None if known is None else known.digest)
