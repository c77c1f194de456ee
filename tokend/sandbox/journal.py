"""What was asked of whom: a bounded record for tests and the demo. It never holds a query, a header or a body."""

import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

# Enough for any test to look back on, and an hour-long demo still cannot fill memory.
LONGEST = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One request: ``path`` with secrets left out, ``time`` in Unix seconds, ``status`` 0 where none was sent."""

    vendor: str
    method: str
    path: str
    time: float
    status: int


class Journal:
    """Remember the latest requests, and count all of them per vendor. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=LONGEST)
        self._counts: Counter[str] = Counter()

    def add(self, entry: Entry) -> None:
        """Record one request."""
        with self._lock:
            self._entries.append(entry)
            self._counts[entry.vendor] += 1

    def entries(self, vendor: str | None = None) -> list[Entry]:
        """Give the latest requests, oldest first, of one vendor or of all."""
        with self._lock:
            return [entry for entry in self._entries if vendor in (None, entry.vendor)]

    def report(self, vendor: str | None = None) -> dict[str, Any]:
        """Give counts since the start and the latest requests, ready for JSON."""
        with self._lock:
            counts = dict(self._counts)
        return {"version": 1, "counts": counts, "requests": [asdict(entry) for entry in self.entries(vendor)]}
