"""Attempts at the hosts of stores: all sinks of a host pause together, and come back one after another.

A host that cannot be used gets a pause, which grows, or the pause that it asked for. After the pause one attempt is
made; the other sinks wait for its end. A host that answers gets more attempts at a time with each answer, so that a
thousand sinks neither wait for long nor arrive at once.
"""

import random as random_module
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tokend.engine.policy.sink_failure import LONGEST_REMOTE_PAUSE_SECONDS, pause_seconds
from tokend.machine.clock import Clock
from tokend.machine.event import Event
from tokend.values.errors import SinkError, SinkUnavailableError
from tokend.values.instant import Instant

# Attempts at a time: at a host of which nothing is known yet, and at most.
FIRST_AT_ONCE = 4
MOST_AT_ONCE = 32
# A store cannot ask for more.
LONGEST_ASKED_SECONDS = 3600.0


@dataclass(slots=True, eq=False)
class HostAttempt:
    """One attempt at a host. Without ``answered`` or a failure nothing was learned about the host."""

    host: str | None
    outages_before: int = 0
    answered: bool = False
    error: SinkError | None = None

    def failed(self, error: SinkError) -> bool:
        """Note a failure, which may begin a pause of the host. Returns whether that is the only pause that follows.

        Where the connection ended without an answer, the sink pauses as well: its own request may be what ends it.
        """
        is_hosts = isinstance(error, SinkUnavailableError)
        if self.host is None or not (is_hosts or error.is_unanswered):
            return False
        self.error = error
        return is_hosts

    @property
    def is_about_host(self) -> bool:
        """Whether the failure is about the host. An answer to an earlier request shows that the host is not away."""
        error = self.error
        return error is not None and not (error.is_unanswered and self.answered)


@dataclass(frozen=True, slots=True)
class StoreHostPause:
    """A pause of a store's host: its end, and whether the host ``asked`` for it."""

    until: Instant
    asked: bool


@dataclass(slots=True, eq=False)
class _Host:
    """``outages`` counts the pauses; ``until`` is the end of the present one, ``asked`` whether the host set it."""

    at_once: int = FIRST_AT_ONCE
    running: int = 0
    failures: int = 0
    outages: int = 0
    until: Instant | None = None
    asked: bool = False
    waiting: deque[Event] = field(default_factory=deque)

    def wait_seconds(self, now: Instant) -> float:
        return 0.0 if self.until is None else max(0.0, now.until(self.until))

    def wake(self) -> None:
        """Let the first in the queue look again."""
        if self.waiting:
            self.waiting[0].set()


class HostBackoff:
    """The hosts of all stores of one daemon."""

    def __init__(self, clock: Clock, random: random_module.Random) -> None:
        self._clock = clock
        self._random = random
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def attempt(self, host: str | None) -> AsyncIterator[HostAttempt]:
        """Wait until one more attempt may be made at ``host``, and make it: the body of the block. None: at once."""
        if host is None:
            yield HostAttempt(None)
            return
        there = self._hosts.setdefault(host, _Host())
        await self._turn(there)
        there.running += 1
        there.wake()
        attempt = HostAttempt(host, there.outages)
        try:
            yield attempt
        finally:
            there.running -= 1
            self._ended(there, attempt)
            there.wake()

    def pause(self, host: str | None) -> StoreHostPause | None:
        """Return the pause during which nothing is sent to ``host``; None if there is none now."""
        there, now = None if host is None else self._hosts.get(host), self._clock.instant()
        if there is None or (seconds := there.wait_seconds(now)) <= 0:
            return None
        return StoreHostPause(now.after(seconds), there.asked)

    def try_now(self, host: str | None) -> None:
        """End the pause of a host, unless the host asked for it: a person asked for an attempt now."""
        there = None if host is None else self._hosts.get(host)
        if there is not None and not there.asked:
            there.until = None
            there.wake()

    async def _turn(self, there: _Host) -> None:
        """Return when one more attempt may begin: in the order of arrival, as many at a time as the host takes."""
        if not there.waiting and self._may_begin(there, self._clock.instant()):
            return
        me = Event()
        there.waiting.append(me)
        try:
            while there.waiting[0] is not me or not self._may_begin(there, now := self._clock.instant()):
                # Only the first waits for the end of a pause. The end of an attempt wakes it, and so it has no timer
                # while as many are under way as the host takes.
                pause = there.wait_seconds(now) if there.waiting[0] is me else 0.0
                await self._clock.wait(now.after(pause) if pause > 0 else None, me)
                if me.is_set():
                    place = there.waiting.index(me)
                    me = there.waiting[place] = Event()
        finally:
            there.waiting.remove(me)
            there.wake()

    def _may_begin(self, there: _Host, now: Instant) -> bool:
        return there.running < there.at_once and there.wait_seconds(now) <= 0

    def _ended(self, there: _Host, attempt: HostAttempt) -> None:
        is_late = attempt.outages_before != there.outages  # it began before the present pause
        if attempt.error is not None and attempt.is_about_host:
            self._failed(there, attempt.error, is_late=is_late)
        elif attempt.answered and not is_late:
            there.failures, there.until, there.asked = 0, None, False
            there.at_once = min(there.at_once + 1, MOST_AT_ONCE)

    def _failed(self, there: _Host, error: SinkError, *, is_late: bool) -> None:
        retry_after = error.retry_after if isinstance(error, SinkUnavailableError) else None
        now, asked = self._clock.instant(), min(retry_after or 0.0, LONGEST_ASKED_SECONDS)
        there.at_once = 1
        pause = asked
        if not is_late:
            there.failures, there.outages = there.failures + 1, there.outages + 1
            own = pause_seconds(there.failures, longest=LONGEST_REMOTE_PAUSE_SECONDS, draw=self._random.random())
            pause = max(asked, own)
        if pause > there.wait_seconds(now):
            there.until, there.asked = now.after(pause), pause == asked
