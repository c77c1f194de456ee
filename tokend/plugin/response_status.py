"""Meaning of an HTTP status without knowledge of the vendor, and the check of a token's text."""

import re
from collections.abc import Iterable
from typing import Any, NoReturn

from tokend.plugin.http_date import http_date
from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.vendor_words import with_words
from tokend.values.errors import (
    AttemptError,
    ClockError,
    RateLimitedError,
    RejectedError,
    RejectedTwiceError,
    TransientError,
)
from tokend.values.secret import Secret

# Limits of a `Retry-After`: a shorter pause does not help the upstream, a longer one is usually a mistake.
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 3600.0
# Largest clock offset at which a 401 is about the credentials: signatures and JWTs tolerate a minute or more.
FAR_SECONDS = 60.0
RATE_LIMITED = 429
_VSCHAR = re.compile(r"[\x20-\x7e]+", re.ASCII)


def refuse(reply: UpstreamReply, host: str, *, secrets: Iterable[Secret] | None = None) -> NoReturn:
    """Raise the `AttemptError` for the status of a reply without a token.

    ``secrets`` are all secrets that the request was made of: with them the error has the vendor's words.
    """
    try:
        _raise_for_status(reply, host)
    except AttemptError as error:
        raise with_words(error, reply, secrets) from None


def _raise_for_status(reply: UpstreamReply, host: str) -> NoReturn:
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


def asks_to_wait(status: int) -> bool:
    """Return whether a status says that the server cannot answer now: 429, or 5xx."""
    return status == RATE_LIMITED or status >= 500


def raise_unauthorized(reply: UpstreamReply, message: str) -> NoReturn:
    """Raise `RejectedError`; `ClockError` if the clocks differ by so much that they may be the reason."""
    if abs(reply.offset) > FAR_SECONDS:
        raise ClockError(f"{message}; its clock differs from ours by {reply.offset:.0f} s", offset=reply.offset)
    raise RejectedError(message)


def refused_twice(error: RejectedError, earlier: str) -> RejectedTwiceError:
    """Return the error of credentials that were refused a second time in one attempt; ``earlier`` names the first."""
    final = RejectedTwiceError(f"{error.detail}; {earlier} was refused, too")
    final.said = error.said
    return final


def retry_after(reply: UpstreamReply) -> float | None:
    """Return the pause in seconds that `Retry-After` asks for; None if the header is missing or not usable.

    The header is a number of seconds or a date (RFC 9110, 10.2.3). A date counts from the reply's own `Date`, so that
    our clock does not matter. The result is between `SHORTEST_PAUSE_SECONDS` and `LONGEST_PAUSE_SECONDS`.
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
    """Return a reply's token if it is visible ASCII (RFC 6749, A.12) without outer spaces.

    Raises `TransientError` for any other value; the message does not quote the value.
    """
    if not isinstance(value, str) or not value.strip():
        raise TransientError(f"{host} answered without a token")
    if not _VSCHAR.fullmatch(value):
        raise TransientError(f"{host} answered with a token that holds control or non-ASCII characters: discarded")
    if value != value.strip():
        # HTTP strips outer spaces of a header's value, or a server refuses the header.
        raise TransientError(f"{host} answered with a token that begins or ends with a space: discarded")
    return Secret(value)
