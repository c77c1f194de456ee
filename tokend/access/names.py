"""Numbers of the users and groups that ``access`` and ``admins`` name.

A directory service may take seconds for a name, or never answer. So a daemon looks names up in threads and ahead of
time (`NamesAhead`): a decision takes the last answer. `NamesInPlace` looks up at once, for programs without a loop.
"""

import asyncio
import grp
import pwd
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Protocol

from tokend.machine.thread_pool import Threads

# A change of the user database is noticed after this time; a lookup per request would overload LDAP.
KEPT_SECONDS = 30.0
# A name that the machine does not know may be made any moment, and somebody waits for it then.
UNKNOWN_SECONDS = 5.0
# After this time a lookup's thread is given up; its answer still counts when it comes.
LOOKUP_SECONDS = 10.0


class Kind(Enum):
    """What a name is the name of."""

    USER = "user"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Name:
    """A user or group by name."""

    kind: Kind
    text: str


class Names(Protocol):
    """Names to numbers. A numeric name is its own number unless there is such a name."""

    def number(self, name: Name) -> int | None:
        """Return the uid or gid; None for an unknown name, and for one that was not answered yet. Must not block."""

    @property
    def any_unanswered(self) -> bool:
        """Whether any name that decides was never answered."""

    def unanswered(self, names: Iterable[Name]) -> Collection[Name]:
        """Return those of ``names`` that were never answered."""

    async def wait(self, names: Collection[Name], *, seconds: float) -> None:
        """Wait until all of ``names`` are answered, for at most ``seconds``."""


class NamesInPlace:
    """Look up names when they are needed, in the calling thread. Blocks."""

    def __init__(self) -> None:
        self._known: dict[Name, tuple[float, int | None]] = {}

    def number(self, name: Name) -> int | None:
        """Return the number of a name, kept for a short while."""
        now = time.monotonic()
        until, number = self._known.get(name, (0.0, None))
        if now >= until:
            number = _look_up(name)
            self._known[name] = (now + KEPT_SECONDS, number)
        return number

    any_unanswered = False

    def unanswered(self, names: Iterable[Name]) -> Collection[Name]:  # noqa: ARG002  # the protocol's signature
        """Return nothing: each name is answered at once."""
        return ()

    async def wait(self, names: Collection[Name], *, seconds: float) -> None:
        """Return at once."""


class NamesAhead:
    """Look up names in ``threads``: at `follow`, when they are needed for the first time, and again and again."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._followed: frozenset[Name] = frozenset()
        self._answers: dict[Name, int | None] = {}
        self._running: dict[Name, asyncio.Task[None]] = {}

    def follow(self, names: Iterable[Name]) -> None:
        """Keep the answers of these names fresh, and of no others. Looks up the new ones."""
        self._followed = frozenset(names)
        for name in [name for name in self._answers if name not in self._followed]:
            del self._answers[name]
        for name in self.unanswered(self._followed):
            self._begin(name)

    def number(self, name: Name) -> int | None:
        """Return the last answer. A numeric name is its own number until it is answered."""
        if name not in self._answers:
            self._begin(name)
            return _as_number(name)
        return self._answers[name]

    @property
    def any_unanswered(self) -> bool:
        """Whether a followed name was never answered."""
        return not self._followed <= self._answers.keys()

    def unanswered(self, names: Iterable[Name]) -> Collection[Name]:
        """Return those of ``names`` that were never answered."""
        return [name for name in names if name not in self._answers]

    async def wait(self, names: Collection[Name], *, seconds: float) -> None:
        """Wait until all of ``names`` are answered, for at most ``seconds``."""
        for name in names:
            self._begin(name)
        if waited := [self._running[name] for name in names if name in self._running]:
            await asyncio.wait(waited, timeout=seconds)

    async def keep_fresh(self) -> None:
        """Look up all followed names again and again. Runs until cancelled."""
        rounds = max(1, round(KEPT_SECONDS / UNKNOWN_SECONDS))
        while True:
            for number in range(rounds):
                await asyncio.sleep(UNKNOWN_SECONDS)
                for name in self._followed:
                    if number == rounds - 1 or self._answers.get(name) is None:
                        self._begin(name)

    def _begin(self, name: Name) -> None:
        if name not in self._running:
            self._running[name] = task = asyncio.get_running_loop().create_task(self._run(name))
            task.add_done_callback(lambda _: self._running.pop(name))

    async def _run(self, name: Name) -> None:
        try:
            await self._threads.run(partial(self._answer, name), seconds=LOOKUP_SECONDS)
        except (TimeoutError, OSError):
            return  # the last answer serves meanwhile

    def _answer(self, name: Name) -> None:
        """Look up a name, in a thread. An answer that comes after its time counts, too."""
        self._answers[name] = _look_up(name)


def _look_up(name: Name) -> int | None:
    try:
        return pwd.getpwnam(name.text).pw_uid if name.kind is Kind.USER else grp.getgrnam(name.text).gr_gid
    except (KeyError, OSError, ValueError):
        return _as_number(name)


def _as_number(name: Name) -> int | None:
    return int(name.text) if name.text.isascii() and name.text.isdigit() else None
