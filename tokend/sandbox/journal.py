"""Journal of requests, bounded, for tests and the demo. Holds no query, no header and no body."""

import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

# More than any test needs, and little memory after hours.
LONGEST = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One request: ``path`` without secrets, ``time`` in Unix seconds, ``status`` 0 if no answer was sent.

    ``fault`` is the mode that was played. ``detail`` is what the vendor says of the request, without secrets.
    """

    vendor: str
    method: str
    path: str
    time: float
    status: int
    fault: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


class Journal:
    """Latest requests, and the number of all requests per vendor. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=LONGEST)
        self._counts: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._most_open: Counter[str] = Counter()

    @contextmanager
    def arrived(self, vendor: str) -> Iterator[None]:
        """Count a request as open until the block ends, when its answer is ready."""
        with self._lock:
            self._open[vendor] += 1
            self._most_open[vendor] = max(self._most_open[vendor], self._open[vendor])
        try:
            yield
        finally:
            with self._lock:
                self._open[vendor] -= 1

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
        """Return counts since the start and the latest requests, ready for JSON.

        ``open`` is the number of requests without an answer now, ``most_open`` the highest that it has been.
        """
        with self._lock:
            counts, now, most = dict(self._counts), dict(self._open), dict(self._most_open)
        requests = [asdict(entry) for entry in self.entries(vendor)]
        return {"version": 1, "counts": counts, "open": now, "most_open": most, "requests": requests}
