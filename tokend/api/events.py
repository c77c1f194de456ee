"""What changed, for those who wait: one subscription to the engine, spread to long polls and event streams."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from tokend.api.serializers import row
from tokend.engine.context.contract import Engine

# How far back Last-Event-ID reaches; who was away longer is sent the present state instead.
EVENTS_KEPT = 1024
# Comments in a quiet stream: they find dead peers and keep proxies' idle timers from firing.
HEARTBEAT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Event:
    """One event: ``kind`` is token, state or config; ``name`` is the token's, None for config."""

    number: int
    kind: str
    name: str | None
    data: dict[str, Any]

    def encode(self) -> bytes:
        """Lay it out as a server-sent event."""
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (self.number, self.kind.encode(), orjson.dumps(self.data))


class EventBus:
    """The stream of changes; the ids of events follow ``last_event`` (`event_ids`)."""

    def __init__(self, engine: Engine, *, last_event: int = 0, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._engine = engine
        self._first = self._number = last_event
        self._heartbeat_seconds = heartbeat_seconds
        self._kept: deque[Event] = deque(maxlen=EVENTS_KEPT)
        # What was told last of each: generation, state, and whether it is valid.
        self._told = {name: _told(row(entry.status())) for name, entry in engine.entries.items()}
        # By the token that is waited for; None: for whatever changes.
        self._waiting: dict[str | None, set[asyncio.Event]] = {}
        self._stop: Callable[[], None] = engine.subscribe(self._changed)

    def close(self) -> None:
        """Stop listening to the engine; waiters are not woken any more."""
        self._stop()

    @contextmanager
    def signal(self, name: str | None = None) -> Iterator[asyncio.Event]:
        """Give an event that is set at each change, or at each of one token; the caller clears it before looking."""
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
        """Announce that a configuration was applied or refused. It may have hidden any token from who waits for it."""
        self._add("config", None, data)
        for name in list(self._waiting):
            self._wake(name)

    async def follow(self, last: int | None, may_see: Callable[[str], bool]) -> AsyncGenerator[bytes, None]:
        """Yield encoded events, from after ``last`` on; the present state instead of what is not known any more."""
        with self.signal() as changed:
            text, position = b": tokend\n\n", self._number if last is None else last
            while True:
                changed.clear()
                text += b"".join(self._since(position, may_see))
                position = self._number
                if text:
                    yield text
                text = b""
                try:
                    async with asyncio.timeout(self._heartbeat_seconds):
                        await changed.wait()
                except TimeoutError:
                    text = b": still here\n\n"

    def _since(self, last: int, may_see: Callable[[str], bool]) -> Iterator[bytes]:
        oldest = self._kept[0].number - 1 if len(self._kept) == EVENTS_KEPT else self._first
        # An id of another life of the daemon, or of another daemon; or more happened at once than is kept.
        if not oldest <= last <= self._number:
            yield from self._present(may_see)
            return
        for event in self._kept:
            if event.number > last and (event.name is None or may_see(event.name)):
                yield event.encode()

    def _present(self, may_see: Callable[[str], bool]) -> Iterator[bytes]:
        for name, entry in sorted(self._engine.entries.items()):
            if may_see(name):
                self._number += 1  # never the same number twice, also where the event is for one stream only
                yield Event(self._number, "token", name, row(entry.status())).encode()

    def _changed(self, name: str) -> None:
        entry = self._engine.entries.get(name)
        if entry is None:
            self._told.pop(name, None)
            self._wake(name)
            return
        before, now = self._told.get(name), row(entry.status())
        self._told[name] = told = _told(now)
        if before is None or before[0] != told[0]:
            self._add("token", name, now)
        if before is not None and before[1:] != told[1:]:
            self._add("state", name, now)
        self._wake(name)

    def _add(self, kind: str, name: str | None, data: dict[str, Any]) -> None:
        self._number += 1
        self._kept.append(Event(self._number, kind, name, data))
        self._wake(None)

    def _wake(self, name: str | None) -> None:
        for event in self._waiting.get(name, ()):
            event.set()


def _told(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["generation"], row["state"], row["valid"]
