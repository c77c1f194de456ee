"""Event bus: one subscription to the engine, distributed to long polls and streams of server-sent events."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from tokend.api.serializers import row
from tokend.engine.context.contract import Engine

# Last-Event-ID reaches this far back; a client that was away longer gets the present state instead.
EVENTS_KEPT = 1024
# Comments in a quiet stream detect dead peers and keep proxies' idle timers from firing.
HEARTBEAT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event: ``kind`` is token, state or config; ``name`` is the token's, None for config."""

    number: int
    kind: str
    name: str | None
    data: dict[str, Any]

    def encode(self) -> bytes:
        """Encode as a server-sent event."""
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (self.number, self.kind.encode(), orjson.dumps(self.data))


class EventBus:
    """Distribute changes of tokens and of the configuration; the ids of events follow ``last_event``."""

    def __init__(self, engine: Engine, *, last_event: int = 0, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._engine = engine
        self._first = self._number = last_event
        self._heartbeat_seconds = heartbeat_seconds
        self._kept: deque[StreamEvent] = deque(maxlen=EVENTS_KEPT)
        # The last announced generation, state and validity of each token.
        self._announced = {name: _summary(row(entry.status())) for name, entry in engine.entries.items()}
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
        """Yield encoded events after ``last``; the present state instead of events that are no longer kept."""
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
        # The id is from another run or another daemon, or more happened at once than is kept.
        if not oldest <= last <= self._number:
            yield from self._present(may_see)
            return
        for event in self._kept:
            if event.number > last and (event.name is None or may_see(event.name)):
                yield event.encode()

    def _present(self, may_see: Callable[[str], bool]) -> Iterator[bytes]:
        for name, entry in sorted(self._engine.entries.items()):
            if may_see(name):
                self._number += 1  # no number twice, even if the event is for one stream only
                yield StreamEvent(self._number, "token", name, row(entry.status())).encode()

    def _changed(self, name: str) -> None:
        entry = self._engine.entries.get(name)
        if entry is None:
            self._announced.pop(name, None)
            self._wake(name)
            return
        before, now = self._announced.get(name), row(entry.status())
        self._announced[name] = new = _summary(now)
        if before is None or before[0] != new[0]:
            self._add("token", name, now)
        if before is not None and before[1:] != new[1:]:
            self._add("state", name, now)
        self._wake(name)

    def _add(self, kind: str, name: str | None, data: dict[str, Any]) -> None:
        self._number += 1
        self._kept.append(StreamEvent(self._number, kind, name, data))
        self._wake(None)

    def _wake(self, name: str | None) -> None:
        for event in self._waiting.get(name, ()):
            event.set()


def _summary(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["generation"], row["state"], row["valid"]
