"""Turns of the providers that share an account whose requests the vendor counts: the one that ends first goes first.

Takes no time itself. `HostLimits` keeps the account's minimum interval; when it is over, several providers may be due,
and only one of them can send its request.
"""

import math
from dataclasses import dataclass

from tokend.values.instant import Instant

# One that is due and does not go (its secret hangs in a filesystem) holds the others up for no longer.
LONGEST_YIELD_SECONDS = 1.0


@dataclass(frozen=True, slots=True, order=True)
class Urgency:
    """The order of those that are due: by the end of the token (boot time; none: first), then by the last attempt."""

    ends: float
    last_attempt: float

    @classmethod
    def of(cls, ends: Instant | None, last_attempt: Instant | None, *, holds: bool) -> "Urgency":
        """Make it of moments; ``holds`` says whether there is a token, which may have no end."""
        last = -math.inf if last_attempt is None else last_attempt.boot
        if ends is None:
            return cls(math.inf if holds else -math.inf, last)
        return cls(ends.boot, last)


@dataclass(frozen=True, slots=True)
class _Turn:
    due: float  # boot time
    urgency: Urgency


class Turns:
    """The providers of each account that wait, and when each of them is due."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[str, _Turn]] = {}
        self._accounts: dict[str, str] = {}

    def wait(self, account: str | None, name: str, *, due: Instant, urgency: Urgency) -> None:
        """Let ``name`` wait for ``account``, from ``due`` on. An earlier wait of ``name`` is over."""
        self.leave(name)
        if account is not None:
            self._waiting.setdefault(account, {})[name] = _Turn(due.boot, urgency)
            self._accounts[name] = account

    def leave(self, name: str) -> None:
        """End the wait of ``name``: its attempt begins, or none is due any more."""
        if (account := self._accounts.pop(name, None)) is not None:
            del self._waiting[account][name]
            if not self._waiting[account]:
                del self._waiting[account]

    def is_first(self, name: str, now: Instant) -> bool:
        """Return whether none of those that wait with ``name`` and are due is more urgent."""
        if (account := self._accounts.get(name)) is None:
            return True
        waiting = self._waiting[account]
        mine = (waiting[name].urgency, name)
        return all(turn.due > now.boot or (turn.urgency, other) >= mine for other, turn in waiting.items())
