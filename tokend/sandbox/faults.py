"""Faults on request: what goes wrong, at which vendor, for how many requests. How a fault looks is the vendor's."""

import random
import threading
from dataclasses import dataclass, replace

MODES = ("reject", "rate_limit", "error", "garbage", "slow", "redirect", "truncated", "reset", "lost")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One way to misbehave, for requests whose path starts with ``path``; ``count`` None lasts until it is changed.

    ``code`` is the vendor's own for `reject` and an HTTP status for `error`; ``retry_after`` goes out verbatim, so
    that broken values can be played; ``delay`` (seconds) is for `slow`, ``location`` for `redirect`. `lost` carries
    the request out and closes the connection without an answer; `reset` closes it before anything happens.
    """

    mode: str
    code: int | str | None = None
    count: int | None = None
    retry_after: str | None = None
    delay: float = 5.0
    location: str = "http://127.0.0.1:9/"
    path: str = "/"


class Faults:
    """Hold the current behaviour of each vendor, and the rate of random failures. Safe to use from many threads."""

    def __init__(self, *, fail_rate: float = 0.0, seed: int | None = None) -> None:
        self._lock = threading.Lock()
        self._behaviours: dict[str, Behaviour] = {}
        self._fail_rate = fail_rate
        self._dice = random.Random(seed)  # noqa: S311 - a reproducible die, not a secret

    def set(self, vendor: str, behaviour: Behaviour | None) -> None:
        """Replace a vendor's behaviour; None ends it."""
        with self._lock:
            self._behaviours.pop(vendor, None)
            if behaviour is not None:
                self._behaviours[vendor] = behaviour

    def draw(self, vendor: str, path: str) -> Behaviour | None:
        """Say what goes wrong with this request, and count it; None where nothing does."""
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
