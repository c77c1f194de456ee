"""Who is still moving: what the watchdog is fed on (docs/promises.md P8, 70, 72 and 74).

A `Pulse` is one refresher's: it tells whether it works or rests, and until when. `Progress` looks at all of them from
time to time. Time is counted in awake seconds from look to look, never as a difference of clocks: after a suspend, a
step or a freeze everybody is overdue for a moment and nobody has hung.

- A rest ends at its moment, at the latest a tick of the clock later. One that is `REST_SECONDS` overdue has hung.
- Work (comparing secrets, an attempt, saving) is bounded by the timeouts of its steps and by the queue for a thread, in
  which all other providers may stand before it. Work that has had all that time has hung.
- A worker that crashes moves: it is started again, and each start is a beat. It is its own provider's trouble, seen in
  status, and no reason to restart everybody's.
"""

import math
from collections.abc import Iterable
from typing import Protocol

# A tick (15 s) late is allowed (`Clock.wait`), and a busy loop must not be taken for a dead one.
REST_SECONDS = 45.0
# Work: saving (10 s) before and after the request, and the machine's own slowness.
WORK_SECONDS = 60.0
# An attempt may make a few exchanges, each within its timeout.
EXCHANGES = 4
# What each provider may occupy the threads with: secrets from commands and files that hang, each up to its limit.
QUEUE_SECONDS = 15.0


class Pulse:
    """One refresher's sign of life. It works from the start."""

    def __init__(self) -> None:
        self.beats = 0
        self.rests_until: float | None = None  # boot time; None while it works

    def works(self) -> None:
        """Work begins, or the next piece of it."""
        self.beats += 1
        self.rests_until = None

    def rests(self, until: float | None) -> None:
        """A rest begins, to the boot time ``until`` (None: no timer ends it); somebody may end it sooner."""
        self.beats += 1
        self.rests_until = math.inf if until is None else until


class Living(Protocol):
    """What is watched: a `refresher.Refresher`."""

    @property
    def name(self) -> str:
        """The token's."""

    @property
    def pulse(self) -> Pulse:
        """Its own."""

    @property
    def timeout_seconds(self) -> float:
        """What one exchange with its upstream may take."""


class Progress:
    """What was seen of everybody at the last look."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Living, int, float]] = {}  # name: who, beats, awake seconds without a beat

    def look(self, living: Iterable[Living], *, boot: float, seconds: float) -> list[str]:
        """Who has hung, by name; ``seconds`` of awake time after the last look, at boot time ``boot``."""
        every = list(living)
        before, self._seen = self._seen, {}
        hung = []
        for one in every:
            pulse = one.pulse
            who, beats, still = before.get(one.name, (None, -1, 0.0))
            moved = who is not one or beats != pulse.beats
            at_rest = pulse.rests_until is not None and pulse.rests_until >= boot
            still = 0.0 if moved or at_rest else still + seconds
            self._seen[one.name] = (one, pulse.beats, still)
            if still > _allowed_seconds(one, len(every)):
                hung.append(one.name)
        return hung


def _allowed_seconds(one: Living, number: int) -> float:
    """How long ``one`` of so many may work, or be overdue, without a beat."""
    if one.pulse.rests_until is not None:
        return REST_SECONDS
    return WORK_SECONDS + EXCHANGES * one.timeout_seconds + QUEUE_SECONDS * number
