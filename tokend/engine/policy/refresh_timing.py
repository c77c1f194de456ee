"""The time of a held provider's next attempt: when the timer wants it, and when nobody may make it. Pure."""

import math
from dataclasses import dataclass
from datetime import timedelta

from tokend.engine.policy.backoff import LONG_OUTAGE_PAUSE_SECONDS, LONG_OUTAGE_SECONDS, MINIMUM_INTERVAL_SECONDS
from tokend.engine.policy.login_timing import login_refresh_moment
from tokend.engine.policy.rate_limits import HostLimits
from tokend.engine.records.adrift import seconds_until
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
# A smaller difference is drift. A larger one means that files promise a life that has ended: their readers must get a
# token with true times.
STEPPED_BACK_SECONDS = 60.0
# A wall clock that is set to and fro (docs/promises.md 31) causes a refresh this often.
STEPPED_BACK_PAUSE_SECONDS = 3600.0
# Daemons that start together on many machines must not log in together. Only where nothing valid is held.
START_SPREAD_SECONDS = 3.0


def lead_seconds(token: Token, *, lead: timedelta | Percentage | None, minimum_lead_seconds: float) -> float | None:
    """Compute how long before its end ``token`` is replaced; None for a token without an end.

    ``lead`` is the operator's ``refresh_before``, ``minimum_lead_seconds`` the vendor's. Without the operator's wish
    that of the answer counts (`Token.refresh_in_seconds`).
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
        if token.refresh_in_seconds is not None:
            wanted = max(wanted, life - token.refresh_in_seconds)
    return min(wanted, LONGEST_LEAD_SHARE * life)


def refresh_moment(
    token: Token, *, lead_seconds: float | None, jitter: float, max_age_seconds: float | None = None
) -> Instant | None:
    """Compute when to replace ``token``: at its lead or at its greatest age, whichever is earlier.

    None: it has no end, and there is no greatest age. ``jitter`` from [0, 1) is drawn once per token.
    """
    early, moments = jitter * JITTER_SHARE, []
    if lead_seconds is not None and token.expires_at is not None:
        life = token.issued_at.until(token.expires_at)
        moments.append(token.expires_at.after(-lead_seconds - early * life))
    if max_age_seconds is not None:
        moments.append(token.issued_at.after((1 - early) * max_age_seconds))
    return min(moments, key=lambda moment: moment.boot, default=None)


@dataclass(frozen=True, slots=True)
class SteppedBack:
    """The last attempt that was made because the wall clock was set back: of which generation, and when (boot)."""

    generation: int | None
    boot: float


NEVER_STEPPED_BACK = SteppedBack(None, -math.inf)


def timer_seconds(
    record: Record, now: Instant, *, start_at: Instant, renewable: bool, stepped_back: SteppedBack
) -> float | None:
    """Compute the seconds until the timer wants an attempt (not positive: now); None if no timer makes one.

    ``start_at`` is when a provider without a valid token may begin.
    """
    lease = record.lease
    if record.rejected or record.requires_login or (lease is not None and lease.token.is_valid(now) and not renewable):
        return None
    if record.next_attempt is not None:
        return seconds_until(record.next_attempt, now)
    if lease is None or not lease.token.is_valid(now):
        return now.until(start_at)
    if record.is_outdated:
        return 0.0
    moments = [m for m in (lease.refresh_at, login_refresh_moment(record.login.login, lease)) if m is not None]
    if not moments:
        return None
    # Either line may call: a wall clock that jumped ahead causes one request too many, never one too few.
    wanted = min(min(now.until(moment), (moment.wall - now.wall).total_seconds()) for moment in moments)
    if was_stepped_back(lease, now) and lease.generation != stepped_back.generation:
        wanted = min(wanted, stepped_back.boot + STEPPED_BACK_PAUSE_SECONDS - now.boot)
    return wanted


def stepped_back(record: Record, now: Instant, *, before: SteppedBack) -> SteppedBack:
    """Remember the attempt that is made ``now`` if the wall clock was set back; else return ``before``."""
    if record.lease is None or not was_stepped_back(record.lease, now):
        return before
    return SteppedBack(record.lease.generation, now.boot)


def start_at(settings: HeldSettings, now: Instant, *, valid: bool, draw: float) -> Instant:
    """Compute when a provider that has just been started may begin.

    ``draw`` from [0, 1) spreads the hosts of a fleet over three seconds.
    """
    host = settings.upstream
    # A loopback upstream belongs to this machine alone: there is no fleet to spread.
    if valid or settings.local or host is None or is_loopback(host.rpartition(":")[0]):
        return now
    return now.after(draw * START_SPREAD_SECONDS)


def blocked_seconds(
    record: Record,
    settings: HeldSettings,
    limits: HostLimits,
    now: Instant,
    *,
    on_demand: bool,
    account: str | None = None,
) -> float:
    """Compute the seconds during which nobody may make an attempt: pauses of the host and minimum intervals.

    After a failure, and for attempts that readers want (``on_demand``), the minimum interval is at least 5 s.
    ``account`` is the one whose requests the vendor counts (`fingerprints.rate_limited_account`).
    """
    if settings.local:
        return 0.0
    blocked = max(limits.seconds(settings.upstream, now), limits.seconds(account, now))
    if record.last_attempt is not None:
        interval = settings.request_interval_seconds
        if on_demand or record.failures or record.next_attempt is not None:
            interval = max(interval, MINIMUM_INTERVAL_SECONDS)
        blocked = max(blocked, now.until(record.last_attempt) + interval)
    return max(blocked, login_blocked_seconds(record, now))


def login_blocked_seconds(record: Record, now: Instant) -> float:
    """Compute the seconds until a refresh token whose answer was lost may be sent again; 0 for any other."""
    next_at = record.login.state.next_at
    return 0.0 if next_at is None else max(0.0, seconds_until(next_at, now))


def long_outage_seconds(record: Record, now: Instant) -> float:
    """Compute the seconds during which readers may cause no attempt: the timer's own use up the hour's budget."""
    since = record.attempts.failures.since
    if since is None or record.last_attempt is None or -seconds_until(since, now) < LONG_OUTAGE_SECONDS:
        return 0.0
    return now.until(record.last_attempt) + record.attempts.failures.cost * LONG_OUTAGE_PAUSE_SECONDS


def was_stepped_back(lease: Lease, now: Instant) -> bool:
    """Return whether the wall clock was set back since ``lease`` was dated: its wall end is then too late."""
    expires = lease.token.expires_at
    if expires is None:
        return False
    return (expires.wall - now.wall).total_seconds() - now.until(expires) > STEPPED_BACK_SECONDS
