"""When a held provider's next attempt is due: what the timer wants, and the floor that nobody may go below. Pure."""

import math
from dataclasses import dataclass
from datetime import timedelta

from tokend.engine.policy.backoff import FLOOR_SECONDS, LONG_OUTAGE_PAUSE_SECONDS, LONG_OUTAGE_SECONDS
from tokend.engine.policy.rate_limits import HostLimits
from tokend.engine.records.record import Record
from tokend.plugin.settings import HeldSettings
from tokend.plugin.settings_base import Percentage
from tokend.values.instant import Instant
from tokend.values.tokens import Lease, Token
from tokend.values.url import is_loopback

# Without a wish from the operator or the vendor: refresh when a fifth of the life is left.
DEFAULT_LEAD_SHARE = 0.20
# A longer lead would make short-lived tokens be fetched without end.
LONGEST_LEAD_SHARE = 0.50
# Spreads daemons that hold tokens of one age; it only ever makes a refresh earlier.
JITTER_SHARE = 0.05
# Less is drift. More means that files promise a life that has ended: their readers must get a token with true times.
STEPPED_BACK_SECONDS = 60.0
# A wall clock that is set to and fro (docs/promises.md 31) causes a refresh this often.
STEPPED_BACK_PAUSE_SECONDS = 3600.0
# Daemons that start together on many machines must not log in together. Only where nothing valid is held.
START_SPREAD_SECONDS = 3.0


def lead_seconds(token: Token, *, lead: timedelta | Percentage | None, minimum_lead_seconds: float) -> float | None:
    """How long before its end ``token`` is to be replaced; None for a token without an end.

    ``lead`` is the operator's ``refresh_before``, ``minimum_lead_seconds`` the vendor's.
    """
    life = token.life_seconds
    if life is None:
        return None
    if isinstance(lead, Percentage):
        wanted = float(lead) * life
    elif lead is not None:
        wanted = lead.total_seconds()
    else:
        wanted = max(minimum_lead_seconds, DEFAULT_LEAD_SHARE * life)
    return min(wanted, LONGEST_LEAD_SHARE * life)


def refresh_moment(token: Token, *, lead_seconds: float | None, jitter: float) -> Instant | None:
    """When to replace ``token``; None for a token without an end. ``jitter`` is drawn once per token from [0, 1)."""
    if lead_seconds is None or token.expires_at is None:
        return None
    early = jitter * JITTER_SHARE * token.issued_at.until(token.expires_at)
    return token.expires_at.after(-lead_seconds - early)


@dataclass(frozen=True, slots=True)
class SteppedBack:
    """The last attempt that was made because the wall clock was set back: of which generation, and when (boot)."""

    generation: int | None
    boot: float


NEVER_STEPPED_BACK = SteppedBack(None, -math.inf)


def timer_seconds(
    record: Record, now: Instant, *, start_at: Instant, renewable: bool, stepped_back: SteppedBack
) -> float | None:
    """Seconds until the timer wants an attempt (not positive: it is due), None if no timer causes one.

    ``start_at`` is when a provider without a valid token may begin.
    """
    lease = record.lease
    if record.rejected is not None or (lease is not None and not renewable):
        return None
    if record.next_attempt is not None:
        return now.until(record.next_attempt)
    if lease is None or not lease.token.is_valid(now):
        return now.until(start_at)
    if lease.refresh_at is None:
        return None
    # Either line may call: a wall clock that jumped ahead causes one request too many, never one too few.
    wanted = min(now.until(lease.refresh_at), (lease.refresh_at.wall - now.wall).total_seconds())
    if was_stepped_back(lease, now) and lease.generation != stepped_back.generation:
        wanted = min(wanted, stepped_back.boot + STEPPED_BACK_PAUSE_SECONDS - now.boot)
    return wanted


def noticed(record: Record, now: Instant, *, before: SteppedBack) -> SteppedBack:
    """What is remembered of clocks set back when an attempt is made ``now``."""
    if record.lease is None or not was_stepped_back(record.lease, now):
        return before
    return SteppedBack(record.lease.generation, now.boot)


def start_at(settings: HeldSettings, now: Instant, *, valid: bool, draw: float) -> Instant:
    """When a provider that has just been started may begin; ``draw`` from [0, 1) spreads fleets over three seconds."""
    host = settings.upstream
    # A loopback upstream belongs to this machine alone: there is no fleet to spread.
    if valid or settings.local or host is None or is_loopback(host.rpartition(":")[0]):
        return now
    return now.after(draw * START_SPREAD_SECONDS)


def floor_seconds(
    record: Record,
    settings: HeldSettings,
    limits: HostLimits,
    now: Instant,
    *,
    on_demand: bool,
    pace: str | None = None,
) -> float:
    """Seconds during which no attempt may be made, whoever wants it; after a failure or on demand at least 5 s.

    ``pace`` is the account's whose turns count (`identity.pace_of`).
    """
    if settings.local:
        return 0.0
    floor = max(limits.seconds(settings.upstream, now), limits.seconds(pace, now))
    if record.last_attempt is not None:
        pause = settings.request_interval_seconds
        if on_demand or record.failures or record.next_attempt is not None:
            pause = max(pause, FLOOR_SECONDS)
        floor = max(floor, now.until(record.last_attempt) + pause)
    return floor


def long_outage_seconds(record: Record, now: Instant) -> float:
    """Seconds during which readers may cause no attempt because the timer's own fill the hour's budget."""
    since = record.failing_since
    if since is None or record.last_attempt is None or since.until(now) < LONG_OUTAGE_SECONDS:
        return 0.0
    return now.until(record.last_attempt) + record.cost * LONG_OUTAGE_PAUSE_SECONDS


def was_stepped_back(lease: Lease, now: Instant) -> bool:
    """Tell whether the wall clock was set back since ``lease`` was dated: it then seems to live longer than it does."""
    expires = lease.token.expires_at
    if expires is None:
        return False
    return (expires.wall - now.wall).total_seconds() - now.until(expires) > STEPPED_BACK_SECONDS
