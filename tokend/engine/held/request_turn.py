"""The wait of one provider that is due: for more urgent providers of its account, then for a slot of the daemon.

`policy.turns` orders the providers of an account, and `policy.rate_limits.RequestRate` gives the slots.
"""

from tokend.engine.context.context import Context
from tokend.engine.policy.turns import LONGEST_YIELD_SECONDS, Urgency
from tokend.engine.records.record import Record
from tokend.values.instant import Instant


class RequestTurn:
    """Compute how long an attempt of the provider ``name`` waits for other providers."""

    __slots__ = ("_context", "_name", "_slot", "_yields_until")

    def __init__(self, name: str, context: Context) -> None:
        self._name = name
        self._context = context
        self._slot: Instant | None = None  # in the daemon's request rate
        self._yields_until: Instant | None = None  # to a more urgent provider of the account

    def wait(self, account: str | None, record: Record, due: Instant | None) -> None:
        """Show the others of the ``account`` when this provider is due; None: no timer makes an attempt."""
        if account is None or due is None:
            self.leave()
            return
        ends = None if record.lease is None else record.lease.token.expires_at
        urgency = Urgency.of(ends, record.last_attempt, holds=record.lease is not None)
        self._context.turns.wait(account, self._name, due=due, urgency=urgency)

    def leave(self) -> None:
        """Wait for the account no longer: the attempt begins, or none is due."""
        self._context.turns.leave(self._name)

    def reset(self) -> None:
        """Drop the slot, and the end of the wait for the account: the next attempt gets others."""
        self._slot = self._yields_until = None

    def seconds_left(self, now: Instant, *, needs_slot: bool) -> float:
        """Compute how long an attempt that is due still waits; 0: it begins now.

        Without ``needs_slot`` it waits for its account only.
        """
        seconds = self._seconds_until_first(now)
        return self._seconds_until_slot(now) if seconds == 0 and needs_slot else seconds

    def _seconds_until_first(self, now: Instant) -> float:
        if self._context.turns.is_first(self._name, now):
            return 0.0
        self._yields_until = self._yields_until or now.after(LONGEST_YIELD_SECONDS)
        return max(0.0, now.until(self._yields_until))

    def _seconds_until_slot(self, now: Instant) -> float:
        self._slot = self._slot or self._context.request_rate.next_slot(now)
        return now.until(self._slot)
