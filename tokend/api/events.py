"""Event bus: one subscription to the engine, distributed to long polls and streams of server-sent events."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from tokend.api.serializers import login_row, row, sink_row
from tokend.engine.context.contract import Engine
from tokend.values.status import ProviderStatus, SinkStatus

# Last-Event-ID reaches this far back; a client that was away longer gets the present state instead.
EVENTS_KEPT = 1024
# Comments in a quiet stream detect dead peers and keep proxies' idle timers from firing.
HEARTBEAT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event: ``kind`` is token, state, login, sink or config; ``name`` is the token's, None for config."""

    number: int
    kind: str
    name: str | None
    data: dict[str, Any]

    def encode(self) -> bytes:
        """Encode as a server-sent event."""
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (self.number, self.kind.encode(), orjson.dumps(self.data))


class EventBus:
    """Distribute changes of tokens and of the configuration.

    Ids of events are the clock's microseconds and rise from ``last_event`` on; ``used`` is called with each. All events
    take their ids from the one clock: the ids that a reader does not see say nothing about tokens that are hidden from
    it.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        last_event: int = 0,
        used: Callable[[int], None] = lambda _: None,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._engine = engine
        self._first = self._number = last_event
        self._used = used
        self._heartbeat_seconds = heartbeat_seconds
        self._kept: deque[StreamEvent] = deque(maxlen=EVENTS_KEPT)
        # The last ids of present states that were sent: a client resumes after one of them.
        self._present_ids: deque[int] = deque(maxlen=EVENTS_KEPT)
        # The last announced generation, state and validity of each token, and the states of its stores.
        self._announced = {
            name: _summary(row(status), status)
            for name, status in ((name, entry.status()) for name, entry in engine.entries.items())
        }
        # Waiters by token; None: waiters for any change.
        self._waiting: dict[str | None, set[asyncio.Event]] = {}
        self._stop: Callable[[], None] = engine.subscribe(self._changed)

    def close(self) -> None:
        """Stop listening to the engine; waiters are not woken any more."""
        self._stop()

    @contextmanager
    def signal(self, name: str | None = None) -> Iterator[asyncio.Event]:
        """Yield an event that is set at each change (of one token); the caller clears it before it looks."""
        event = asyncio.Event()
        waiting = self._waiting.setdefault(name, set())
        waiting.add(event)
        try:
            yield event
        finally:
            waiting.discard(event)
            if not waiting and self._waiting.get(name) is waiting:
                del self._waiting[name]

    def config_changed(self, data: dict[str, Any]) -> None:
        """Announce that a configuration was applied or refused. It may hide tokens, so all waiters look again."""
        self._add("config", None, data)
        for name in list(self._waiting):
            self._wake(name)

    async def follow(self, last: int | None, may_see: Callable[[str], bool]) -> AsyncGenerator[bytes, None]:
        """Yield encoded events after ``last``; the present state instead if the reader cannot know that id."""
        now = asyncio.get_running_loop().time
        with self.signal() as changed:
            text, position = b": tokend\n\n", self._number if last is None else last
            if last is not None and not self._was_sent(last, may_see):
                text += b"".join(self._present(may_see))
                position = self._number
            due = now() + self._heartbeat_seconds
            while True:
                changed.clear()
                text += b"".join(self._since(position, may_see))
                position = self._number
                if text:
                    yield text
                    # An event that the reader does not see must not delay the next comment.
                    due = now() + self._heartbeat_seconds
                text = b""
                try:
                    async with asyncio.timeout_at(due):
                        await changed.wait()
                except TimeoutError:
                    text = b": still here\n\n"

    def _was_sent(self, last: int, may_see: Callable[[str], bool]) -> bool:
        """Return whether the reader may have this id: of an event that is kept and that it may see.

        Any other id gets one answer, whether it was given to a hidden event or never: a reader could find the moments
        of hidden events by trying ids.
        """
        known = next((event for event in self._kept if event.number == last), None)
        if known is not None:
            return known.name is None or may_see(known.name)
        return last == self._first or last in self._present_ids

    def _since(self, last: int, may_see: Callable[[str], bool]) -> Iterator[bytes]:
        oldest = self._kept[0].number - 1 if len(self._kept) == EVENTS_KEPT else self._first
        if last < oldest:  # more happened at once than is kept
            yield from self._present(may_see)
            return
        for event in self._kept:
            if event.number > last and (event.name is None or may_see(event.name)):
                yield event.encode()

    def _present(self, may_see: Callable[[str], bool]) -> Iterator[bytes]:
        shown = [(name, entry) for name, entry in sorted(self._engine.entries.items()) if may_see(name)]
        for name, entry in shown:  # no id twice, even if the event is for one stream only
            yield StreamEvent(self._next(), "token", name, row(entry.status())).encode()
        if shown:  # a reader that got only a part of it needs all of it again
            self._present_ids.append(self._number)

    def _next(self) -> int:
        """Return the id of a new event: the clock's microseconds, if they are above the last id."""
        self._number = max(self._number + 1, int(self._engine.clock.instant().wall.timestamp() * 1_000_000))
        self._used(self._number)
        return self._number

    def _changed(self, name: str) -> None:
        entry = self._engine.entries.get(name)
        if entry is None:
            self._announced.pop(name, None)
            self._wake(name)
            return
        status = entry.status()
        before, now = self._announced.get(name), row(status)
        self._announced[name] = new = _summary(now, status)
        if before is None or before[0] != new[0]:
            self._add("token", name, now)
        if before is not None and before[1] != new[1]:
            self._add("state", name, now)
        if before is not None and before[3] != new[3] and status.login is not None:
            self._add("login", name, {**now, "login": login_row(status.login)})
        if before is not None and before[2] != new[2]:
            for number, sink in enumerate(_of_stores(status)):
                if before[2][number : number + 1] != new[2][number : number + 1]:
                    self._add("sink", name, {**now, "sink": sink_row(sink)})
        self._wake(name)

    def _add(self, kind: str, name: str | None, data: dict[str, Any]) -> None:
        self._kept.append(StreamEvent(self._next(), kind, name, data))
        self._wake(None)

    def _wake(self, name: str | None) -> None:
        for event in self._waiting.get(name, ()):
            event.set()


def _summary(row: dict[str, Any], status: ProviderStatus) -> tuple[Any, Any, tuple[str, ...], Any]:
    """Return what makes an event if it changes: the generation, the state, each store's state and drift, the login.

    Of a login, its state, account and begin, and the notices that persons got; not its end, which refreshes may move.
    """
    stores = tuple(
        sink.state if sink.drift in (None, "none") else f"{sink.state}, {sink.drift}" for sink in _of_stores(status)
    )
    login = status.login
    about = None if login is None else (login.state, login.subject, login.obtained_at, login.notices)
    return row["generation"], (row["state"], row["valid"]), stores, about


def _of_stores(status: ProviderStatus) -> list[SinkStatus]:
    """Return the sinks in stores elsewhere. There may be thousands of files, which are written at each refresh."""
    return [sink for sink in status.sinks if sink.path is None]
