"""Log lines that stand for several events: at most one line per second and key, with the number of events.

The first event of a key is logged at once. What follows within a second is counted, and logged at the end of that
second; so no count is lost, and no peer fills the log.
"""

from collections.abc import Callable, Hashable
from typing import Any

from anyio.abc import TaskGroup

from tokend.machine.clock import Clock

LINE_SECONDS = 1.0
# Keys with lines of their own at a time. All others share one: a user may have thousands of uids (subuid(5)).
MOST_KEYS = 64

Write = Callable[[int], None]
"""Log one line for so many events."""


class CountedLog:
    """Counts of events by key. A task of ``tasks`` exists for each key that had an event within the last second.

    ``most_keys`` have lines of their own; None where all have.
    """

    def __init__(self, tasks: TaskGroup, clock: Clock, *, most_keys: int | None = MOST_KEYS) -> None:
        self._tasks = tasks
        self._clock = clock
        self._most_keys = most_keys
        # The events of each key since its last line, and how to log them.
        self._waiting: dict[Hashable, tuple[int, Write | None]] = {}

    def line(self, key: Hashable, write: Write) -> None:
        """Log an event now, or count it for the next line. ``write`` is called with the number of events.

        Only the last ``write`` of a line is called: the details of the line are those of its last event.
        """
        if self._most_keys is not None and key not in self._waiting and len(self._waiting) >= self._most_keys:
            key = _OTHERS
        if key in self._waiting:
            self._waiting[key] = self._waiting[key][0] + 1, write
            return
        self._waiting[key] = 0, None
        write(1)
        self._tasks.start_soon(self._follow, key)

    def flush(self) -> None:
        """Log now what is counted."""
        for key, (count, write) in self._waiting.items():
            if write is not None:
                self._waiting[key] = 0, None
                write(count)

    async def _follow(self, key: Hashable) -> None:
        """Log what was counted at the end of each second, until a second has no event."""
        try:
            while True:
                await self._clock.sleep(LINE_SECONDS)
                count, write = self._waiting[key]
                if write is None:
                    return
                self._waiting[key] = 0, None
                write(count)
        finally:
            count, write = self._waiting.pop(key)
            if write is not None:  # the daemon stops
                write(count)


_OTHERS: Any = object()
