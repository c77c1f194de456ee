"""Fingerprints of the tokens that an admin has dropped with ``forget``: none of them is published again. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tokend.engine.records.adrift import adrift
from tokend.values.instant import Instant
from tokend.values.tokens import Lease

# A state file does not grow without end.
MOST_FORGOTTEN = 16


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A token that was forgotten: its salted fingerprint, and its end (None: it has none)."""

    fingerprint: str
    until: Instant | None

    def is_over(self, now: Instant) -> bool:
        """Return whether the token has ended on both time lines: a clock that is set must not bring it back."""
        return self.until is not None and now.until(self.until) <= 0 and self.until.wall <= now.wall

    def after_reboot(self, saved_at: Instant | None, now: Instant) -> "Forgotten":
        """Give it the boot times of another boot: it is remembered for what was left of its life, at least."""
        if self.until is None:
            return self
        until = adrift(self.until, saved_at=saved_at, now=now, earliest=0.0, latest=math.inf)
        return replace(self, until=Instant(self.until.wall, until.boot))


def remembered(forgotten: tuple[Forgotten, ...], leases: Iterable[Lease | None], now: Instant) -> tuple[Forgotten, ...]:
    """Add the tokens of ``leases``. Above `MOST_FORGOTTEN`, drops those that have ended, and then the oldest.

    A token counts also after its end: an upstream may give it another life.
    """
    new = tuple(Forgotten(lease.fingerprint, lease.token.expires_at) for lease in leases if lease is not None)
    many = len(forgotten) + len(new) > MOST_FORGOTTEN
    return merged(tuple(one for one in forgotten if not (many and one.is_over(now))), new)


def merged(older: tuple[Forgotten, ...], newer: tuple[Forgotten, ...]) -> tuple[Forgotten, ...]:
    """Join two lists; of one token the newer entry counts."""
    return tuple({one.fingerprint: one for one in (*older, *newer)}.values())[-MOST_FORGOTTEN:]
