"""Counters of attempts and sink writes: plain numbers, cheap to increment. The metrics endpoint reads them."""

from collections import Counter, defaultdict


class Counters:
    """Counts since the daemon's start, by token (and sink)."""

    def __init__(self) -> None:
        self.refreshes: Counter[tuple[str, str]] = Counter()  # (token, result)
        self.refresh_errors: Counter[tuple[str, str]] = Counter()  # (token, reason)
        self.refresh_seconds: defaultdict[str, float] = defaultdict(float)
        self.refresh_samples: Counter[str] = Counter()
        self.sink_writes: Counter[tuple[str, str, str]] = Counter()  # (token, sink, result)
        self.sink_repairs: Counter[tuple[str, str]] = Counter()  # (token, sink)
        self.sink_drifts: Counter[tuple[str, str]] = Counter()  # (token, sink)
        self.sink_seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.sink_samples: Counter[tuple[str, str]] = Counter()
        self.reports: Counter[tuple[str, str]] = Counter()  # (token, reason)
        self.login_retries: Counter[str] = Counter()

    def refreshed(self, token: str, result: str) -> None:
        """Count a successful attempt; ``result`` is ``success``, or ``unchanged`` for the same token again."""
        self.refreshes[token, result] += 1

    def failed(self, token: str, reason: str) -> None:
        """Count an attempt that failed."""
        self.refreshes[token, "failure"] += 1
        self.refresh_errors[token, reason] += 1

    def took(self, token: str, seconds: float) -> None:
        """Add the duration of a successful attempt."""
        self.refresh_seconds[token] += seconds
        self.refresh_samples[token] += 1

    def wrote(self, token: str, sink: str, result: str) -> None:
        """Count a write of a sink; ``result`` is ``success``, ``unchanged`` or ``failure``."""
        self.sink_writes[token, sink, result] += 1

    def sink_took(self, token: str, sink: str, seconds: float) -> None:
        """Add the duration of a write that succeeded, without the wait for its lock."""
        self.sink_seconds[token, sink] += seconds
        self.sink_samples[token, sink] += 1

    def drifted(self, token: str, sink: str) -> None:
        """Count a target that a look has found changed by others, once for each change."""
        self.sink_drifts[token, sink] += 1

    def repaired(self, token: str, sink: str) -> None:
        """Count a target that was written again because another program had changed it."""
        self.sink_repairs[token, sink] += 1

    def reported(self, token: str, reason: str) -> None:
        """Count a report of a client; ``reason`` is ``unauthorized`` or ``other``."""
        self.reports[token, reason] += 1

    def login_retried(self, token: str) -> None:
        """Count a refresh token that is sent again because an answer was lost."""
        self.login_retries[token] += 1
