"""Meaning of an HTTP status if the vendor says nothing better, and checks of a token's text."""

import re
from typing import Any, NoReturn

from tokend.plugin.http_date import http_date
from tokend.plugin.http_exchange import UpstreamReply
from tokend.values.errors import ClockError, RateLimitedError, RejectedError, TransientError
from tokend.values.secret import Secret

# A pause below the shortest interval helps nobody; one above an hour is more often a mistake than a wish.
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 3600.0
# Signatures and JWTs allow for a minute or more; a 401 with a clock further off may be the clock's fault.
FAR_SECONDS = 60.0
RATE_LIMITED = 429
_VSCHAR = re.compile(r"[\x20-\x7e]+", re.ASCII)


def refuse(reply: UpstreamReply, host: str) -> NoReturn:
    """Raise what a reply that brought no token means by its status alone."""
    status = reply.status
    if status == RATE_LIMITED:
        raise RateLimitedError(f"{host} answered 429: too many requests", retry_after=retry_after(reply))
    if status == 401:
        raise_unauthorized(reply, f"{host} answered 401: the credentials are not accepted")
    if status >= 500:
        raise TransientError(f"{host} answered {status}", retry_after=retry_after(reply), repeatable=True)
    if 300 <= status < 400:
        raise TransientError(f"{host} answered {status}: redirects are refused, they would carry secrets elsewhere")
    raise TransientError(f"{host} answered {status} without a token")


def raise_unauthorized(reply: UpstreamReply, message: str) -> NoReturn:
    """Raise `RejectedError`, or `ClockError` if the clocks are far apart and may be the reason."""
    if abs(reply.offset) > FAR_SECONDS:
        raise ClockError(f"{message}; its clock differs from ours by {reply.offset:.0f} s", offset=reply.offset)
    raise RejectedError(message)


def retry_after(reply: UpstreamReply) -> float | None:
    """The pause in seconds that `Retry-After` asks for, in both its forms; None where it is not usable.

    A date is relative to the reply's own `Date` (RFC 9110, 10.2.3), so that no clock of ours matters.
    """
    value = reply.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        seconds = float(value)
    else:
        if (moment := http_date(value)) is None:
            return None
        seconds = (moment - (reply.date or reply.sent_at.wall)).total_seconds()
    return None if seconds <= 0 else min(max(seconds, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)


def token_value(value: Any, host: str) -> Secret:
    """Believe a token: visible ASCII (RFC 6749, A.12), no outer spaces. Raises `TransientError` without an echo."""
    if not isinstance(value, str) or not value.strip():
        raise TransientError(f"{host} answered without a token")
    if not _VSCHAR.fullmatch(value):
        raise TransientError(f"{host} answered with a token that holds control or non-ASCII characters: discarded")
    if value != value.strip():
        # `Authorization` would lose them on its way, or be refused.
        raise TransientError(f"{host} answered with a token that begins or ends with a space: discarded")
    return Secret(value)
