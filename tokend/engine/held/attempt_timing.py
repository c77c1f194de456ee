"""The time of one provider's next attempt: when it is due, and when nobody may make it.

`policy.refresh_timing` computes both. This class keeps what it computes with.
"""

from tokend.engine.context.context import Context
from tokend.engine.held.settings_in_force import SettingsInForce
from tokend.engine.policy import refresh_timing
from tokend.engine.records.record import Record
from tokend.machine.clock import is_plausible
from tokend.values.instant import Instant


class AttemptTiming:
    """Compute when attempts of the provider ``name`` are made."""

    __slots__ = ("_clock_absurd", "_context", "_in_force", "_name", "_start_at", "_stepped_back")

    def __init__(self, name: str, in_force: SettingsInForce, context: Context) -> None:
        self._name = name
        self._in_force = in_force
        self._context = context
        self._start_at = context.clock.instant()
        self._clock_absurd = False  # the last attempt failed because our own clock cannot be believed
        self._stepped_back = refresh_timing.NEVER_STEPPED_BACK
        record, settings = self._record, in_force.settings
        self.block_account(record.last_attempt)
        if settings.interval_is_per_account and (last := record.last_attempt) is not None:
            # Others may name the account in another way: the account of the last token is known without a secret.
            context.limits.block(record.account, last.after(settings.request_interval_seconds))

    def begin(self, *, valid: bool) -> None:
        """Spread the first attempt; ``valid``: a valid token is held."""
        now, draw = self._context.clock.instant(), self._context.random.random()
        self._start_at = refresh_timing.start_at(self._in_force.settings, now, valid=valid, draw=draw)

    def attempt_begins(self, started: Instant) -> None:
        """Note that an attempt begins. The account's other providers wait."""
        self.block_account(started)
        self._clock_absurd = not is_plausible(started.wall)
        self._stepped_back = refresh_timing.stepped_back(self._record, started, before=self._stepped_back)

    def block_account(self, last: Instant | None) -> None:
        """Let the account's other providers wait for the minimum interval after a request at ``last``."""
        if last is not None:
            interval = self._in_force.settings.request_interval_seconds
            self._context.limits.block(self._in_force.account, last.after(interval))

    def seconds_until_due(self, now: Instant, *, wanted: bool, alone: bool = False) -> float | None:
        """Compute the seconds until the next attempt; None if no timer makes one.

        ``wanted``: as soon as one may be made. ``alone``: as if no other provider used the account.
        """
        if wanted or (self._clock_absurd and is_plausible(now.wall)):
            return self.blocked_seconds(now, on_demand=True, alone=alone)
        seconds = refresh_timing.timer_seconds(
            self._record,
            now,
            start_at=self._start_at,
            renewable=self._in_force.renewable,
            stepped_back=self._stepped_back,
        )
        return None if seconds is None else max(seconds, self.blocked_seconds(now, on_demand=False, alone=alone))

    def blocked_seconds(self, now: Instant, *, on_demand: bool, alone: bool = False) -> float:
        """Compute the seconds during which nobody may make an attempt; ``alone``: but for others of the account."""
        account = None if alone else self._in_force.account
        return refresh_timing.blocked_seconds(
            self._record, self._in_force.settings, self._context.limits, now, on_demand=on_demand, account=account
        )

    @property
    def _record(self) -> Record:
        return self._context.store.get(self._name)
