"""Announcing task of one sink: after a change, announce it as the sink is configured; retry. Writes never wait for it.

One announcement covers all changes so far. ``debounce`` waits until no change came for that long, ``splay`` for a
random time once per change: the programs of many hosts should not restart in the same second. ``interval`` is the
shortest time between two announcements.
"""

from collections.abc import Awaitable, Callable
from typing import Literal

from tokend.engine.context.context import Context
from tokend.engine.publishing.sink_health import SinkHealth
from tokend.engine.publishing.sink_runtime import AnnounceRuntime
from tokend.engine.publishing.target_lock import TargetLock
from tokend.machine.event import Event
from tokend.plugin.kind_bugs import exits_refused
from tokend.plugin.settings import AnnouncementTiming, SinkSettings
from tokend.plugin.sink import SinkRuntime
from tokend.values.errors import SinkError
from tokend.values.instant import Instant
from tokend.values.status import HookStatus

# A token that changes again and again delays its announcement by at most this many times the debounce.
MOST_DEBOUNCES = 10

Announce = Callable[[SinkRuntime], Awaitable[None]]


class Announcer:
    """The announcements of one sink; see `run`. ``announce`` is the method of the sink.

    ``last`` is the last announcement of an earlier process.

    ``error`` is the message for the operator while the last announcement failed, else None.
    """

    __slots__ = ("_announce", "_at", "_changed", "_context", "_due_since", "_health", "_last", "_runtime",
                 "_since", "_splay_seconds", "_state", "_timing")  # fmt: skip

    def __init__(
        self,
        name: str,
        sink: SinkSettings,
        announce: Announce,
        timing: AnnouncementTiming,
        *,
        label: str,
        target: TargetLock,
        context: Context,
        last: Instant | None = None,
    ) -> None:
        self._announce = announce
        self._timing = timing
        self._context = context
        self._runtime: SinkRuntime = AnnounceRuntime(sink, target, context, name)
        self._health = SinkHealth(name, sink, label=label, context=context)
        self._changed = Event()
        # The first change that is not announced, and the time of its announcement.
        self._due_since: Instant | None = None
        self._at: Instant | None = None
        self._splay_seconds = 0.0
        # The last announcement that had, or may have had, its effect.
        self._last = last
        self._state: Literal["idle", "running", "failed"] = "idle"
        self._since: Instant | None = None

    @property
    def error(self) -> str | None:
        """The message for the operator while the last announcement failed, else None."""
        return self._health.error

    @property
    def status(self) -> HookStatus:
        """The state of the announcement, and since when it is in that state."""
        return HookStatus(self._state, None if self._since is None else self._since.wall)

    @property
    def is_due(self) -> bool:
        """Whether a change has not been announced to its end. One that waits for the interval is not due."""
        if self._state == "running":
            return True
        return self._due_since is not None and not self._left_of_interval()

    def want(self) -> None:
        """Announce a change of the target, soon."""
        now = self._context.clock.instant()
        if self._due_since is None:
            self._due_since = now
            self._splay_seconds = self._timing.splay_seconds * self._context.random.random()
        quiet = now.after(self._timing.debounce_seconds)
        latest = self._due_since.after(self._timing.debounce_seconds * MOST_DEBOUNCES)
        self._at = min(quiet, latest, key=lambda one: one.boot).after(self._splay_seconds)
        self._changed.set()

    async def run(self) -> None:
        """Announce until cancelled."""
        clock = self._context.clock
        while True:
            now = clock.instant()
            if self._at is None:
                await clock.wait(None, self._changed)
            elif (left := max(now.until(self._at), self._left_of_interval())) > 0:
                await clock.wait(now.after(left), self._changed)
            elif not self._health.may_try(now):
                await clock.wait(self._health.retry_at(now), self._changed)
            else:
                await self._try()
            if self._changed.is_set():
                self._changed = Event()

    async def _try(self) -> None:
        due, at, begun = self._due_since, self._at, self._context.clock.instant()
        # A change from now on needs another announcement: the program may have read the file already.
        self._due_since = self._at = None
        self._enter("running")
        try:
            with exits_refused():
                await self._announce(self._runtime)
        except SinkError as error:
            self._last = begun if error.may_have_acted else self._last
            self._again(due, at)
            self._health.failed(error)
        except Exception:
            # The supervisor logs the bug and starts this task again. Until then the status must show the failure.
            self._again(due, at)
            self._health.crashed()
            raise
        else:
            self._last = begun
            self._enter("idle")
            self._health.succeeded()  # wakes a single run, which waits for it

    def _left_of_interval(self) -> float:
        """Return the seconds until the next announcement is allowed, 0 if it is."""
        if self._last is None:
            return 0.0
        return max(0.0, self._context.clock.instant().until(self._last.after(self._timing.interval_seconds)))

    def _again(self, due: Instant | None, at: Instant | None) -> None:
        """Make the announcement due again, unless a later change has."""
        self._enter("failed")
        if self._due_since is None:
            self._due_since, self._at = due, at

    def _enter(self, state: Literal["idle", "running", "failed"]) -> None:
        self._state, self._since = state, self._context.clock.instant()
