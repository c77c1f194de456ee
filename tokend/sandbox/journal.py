"""Journal of requests, bounded, for tests and the demo. Holds no query, no header and no body."""

import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

# More than any test needs, and little memory after hours.
LONGEST = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One request: ``path`` without secrets, ``time`` in Unix seconds, ``status`` 0 if no answer was sent."""

    vendor: str
    method: str
    path: str
    time: float
    status: int


class Journal:
    """Latest requests, and the number of all requests per vendor. Thread-safe."""

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
        """Return the latest requests, oldest first, of one vendor or of all."""
        with self._lock:
            return [entry for entry in self._entries if vendor in (None, entry.vendor)]

    def report(self, vendor: str | None = None) -> dict[str, Any]:
        """Return counts since the start and the latest requests, ready for JSON."""
        with self._lock:
            counts = dict(self._counts)
        return {"version": 1, "counts": counts, "requests": [asdict(entry) for entry in self.entries(vendor)]}
