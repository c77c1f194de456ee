"""What changed, for those who wait: one subscription to the engine, spread to long polls and event streams."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from tokend.api.views import row
from tokend.interfaces import Engine

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


class Changes:
    """The stream of changes. Numbers continue from the wall clock in milliseconds, so they rise across restarts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._number = int(engine.clock.instant().wall.timestamp() * 1000)
        self._first = self._number
        self._kept: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._rows = {name: row(entry.status()) for name, entry in engine.entries.items()}
        self._waiting: set[asyncio.Event] = set()
        self._stop: Callable[[], None] = engine.subscribe(self._changed)

    def close(self) -> None:
        """Stop listening to the engine; waiters are not woken any more."""
        self._stop()

    @contextmanager
    def signal(self) -> Iterator[asyncio.Event]:
        """Give an event that is set at each change; the caller clears it before looking."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            yield event
        finally:
            self._waiting.discard(event)

    def config_changed(self, data: dict[str, Any]) -> None:
        """Announce that a configuration was applied or refused."""
        self._add("config", None, data)

    async def follow(self, last: int | None, may_see: Callable[[str], bool]) -> AsyncGenerator[bytes, None]:
        """Yield encoded events, from after ``last`` on; the present state first where that is too long ago."""
        with self.signal() as changed:
            opening, position = b": tokend\n\n", self._number
            if last is not None:
                oldest = self._kept[0].number - 1 if self._kept else self._first
                if oldest <= last <= self._number:
                    position = last
                else:
                    opening += b"".join(self._present(may_see))
                    position = self._number
            yield opening
            while True:
                changed.clear()
                fresh = [event for event in self._kept if event.number > position]
                position = self._number
                if text := b"".join(e.encode() for e in fresh if e.name is None or may_see(e.name)):
                    yield text
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        await changed.wait()
                except TimeoutError:
                    yield b": still here\n\n"

    def _present(self, may_see: Callable[[str], bool]) -> Iterator[bytes]:
        for name, entry in sorted(self._engine.entries.items()):
            if may_see(name):
                self._number += 1  # never the same number twice, also where the event is for one stream only
                yield Event(self._number, "token", name, row(entry.status())).encode()

    def _changed(self, name: str) -> None:
        entry = self._engine.entries.get(name)
        if entry is None:
            self._rows.pop(name, None)
            self._wake()
            return
        before, now = self._rows.get(name), row(entry.status())
        self._rows[name] = now
        if before is None or before["generation"] != now["generation"]:
            self._add("token", name, now)
        if before is not None and (before["state"], before["valid"]) != (now["state"], now["valid"]):
            self._add("state", name, now)
        self._wake()

    def _add(self, kind: str, name: str | None, data: dict[str, Any]) -> None:
        self._number += 1
        self._kept.append(Event(self._number, kind, name, data))
        self._wake()

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()
