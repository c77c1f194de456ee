"""End of the token of a declared answer: places, a time of day, the token's own, ``lifetime``. Pure."""

from datetime import UTC, timedelta
from typing import Any

from tokend.plugin.declared.time_zones import DailyTime
from tokend.plugin.declared.token_answer import TokenAnswerSettings, ZeroMeans
from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.token_expiry import MISSING, expiry
from tokend.values.errors import TransientError
from tokend.values.instant import Instant
from tokend.values.secret import Secret


def token_end(
    reply: UpstreamReply,
    token: Secret,
    answer: TokenAnswerSettings,
    *,
    host: str,
    relative: Any,
    absolute: Any,
    zero_means: ZeroMeans,
    max_lifetime: timedelta | None,
) -> Instant | None:
    """Return the earliest end; None if there is none. ``relative`` and ``absolute`` are what the answer says, or None.

    Raises `TransientError` for an impossible end.
    """
    ends = expiry(
        reply,
        token,
        host=host,
        relative=MISSING if relative is None else relative,
        absolute=MISSING if absolute is None else absolute,
        unit_seconds=answer.unit_seconds,
        default_seconds=answer.lifetime_seconds if answer.expires_daily is None else None,
        zero_means=zero_means,
        zone=UTC if answer.timezone is None else answer.timezone.rules,
        longest_seconds=None if max_lifetime is None else max_lifetime.total_seconds(),
    )
    if answer.expires_daily is None:
        return ends
    daily = reply.sent_at.after(_daily_seconds(reply, answer.expires_daily))
    return daily if ends is None else min(ends, daily, key=lambda one: one.boot)


def refresh_end(value: Any, reply: UpstreamReply, unit_seconds: float = 1.0) -> Instant | None:
    """Return the end of a refresh token. 0 means none (Keycloak); what is no life means that none is known."""
    if value is None:
        return None
    try:
        return expiry(reply, Secret(""), host="", relative=value, unit_seconds=unit_seconds, zero_means="never")
    except TransientError:
        return None


def _daily_seconds(reply: UpstreamReply, daily: DailyTime) -> float:
    """Return the seconds from the request to the next such time, by the upstream's clock."""
    sent = reply.sent_at.wall + timedelta(seconds=reply.offset)
    return (daily.next_after(sent) - sent).total_seconds()
