"""Faults on request: which one, at which vendor, for how many requests. The vendors decide how a fault looks."""

import random
import threading
from dataclasses import dataclass, replace

MODES = ("reject", "rate_limit", "error", "garbage", "slow", "redirect", "truncated", "reset", "lost", "hang")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One fault, for ``count`` requests whose path starts with ``path``; without ``count``, until it is changed.

    ``code`` is the vendor's own code for `reject` and an HTTP status for `error`. ``retry_after`` is sent verbatim, so
    that broken values are possible. ``delay`` (seconds) is for `slow`, ``location`` for `redirect`. `lost` executes the
    request and closes the connection without an answer; `reset` closes the connection before anything happens; `hang`
    never answers. With ``executed`` the vendor executes the request first, and the fault replaces or delays its answer.
    """

    mode: str
    code: int | str | None = None
    count: int | None = None
    retry_after: str | None = None
    delay: float = 5.0
    location: str = "http://127.0.0.1:9/"
    path: str = "/"
    executed: bool = False


class Faults:
    """Current behaviour of each vendor, and the rate of random failures. Thread-safe."""

    def __init__(self, *, fail_rate: float = 0.0, seed: int | None = None) -> None:
        self._lock = threading.Lock()
        self._behaviours: dict[str, Behaviour] = {}
        self._changed: dict[str, threading.Event] = {}
        self._fail_rate = fail_rate
        self._dice = random.Random(seed)  # noqa: S311  (reproducible chance, no secret)

    def set(self, vendor: str, behaviour: Behaviour | None) -> None:
        """Replace the behaviour of a vendor; None removes it. Answers that are held back go out."""
        with self._lock:
            if (waiting := self._changed.pop(vendor, None)) is not None:
                waiting.set()
            self._behaviours.pop(vendor, None)
            if behaviour is not None:
                self._behaviours[vendor] = behaviour

    def changed(self, vendor: str) -> threading.Event:
        """Return an event that the next change of the vendor's behaviour sets."""
        with self._lock:
            return self._changed.setdefault(vendor, threading.Event())

    def draw(self, vendor: str, path: str) -> Behaviour | None:
        """Return the fault of this request and count it; None if the vendor answers normally."""
        with self._lock:
            behaviour = self._behaviours.get(vendor)
            if behaviour is not None and path.startswith(behaviour.path):
                if behaviour.count is not None:
                    self._count_down(vendor, behaviour, behaviour.count)
                return behaviour
            if self._fail_rate and self._dice.random() < self._fail_rate:
                return Behaviour("error", code=503)
            return None

    def _count_down(self, vendor: str, behaviour: Behaviour, count: int) -> None:
        if count > 1:
            self._behaviours[vendor] = replace(behaviour, count=count - 1)
        else:
            del self._behaviours[vendor]
