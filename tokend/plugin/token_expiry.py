"""End of a fresh token: absolute fields, relative fields, the JWT's own `exp`, the vendor's default. Pure.

The earliest of these ends counts. An impossible end (already past, no lifetime, more than 400 days) makes the whole
reply invalid: accepting it would cause endless requests, or a token that is never renewed.
"""

import base64
import json
import math
import re
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

from tokend.plugin.http_date import http_date
from tokend.plugin.http_exchange import UpstreamReply
from tokend.values.errors import TransientError
from tokend.values.instant import Instant
from tokend.values.secret import Secret

LONGEST_LIFE_SECONDS = 400 * 86400.0
# A shorter lifetime counts as expired: an instant has a resolution of a microsecond.
SHORTEST_LIFE_SECONDS = 0.001
# Stands for a field that the reply does not have. A field with the value null is an error.
MISSING: Any = object()
_NUMBER = re.compile(r"[0-9]{1,25}(\.[0-9]{1,12})?", re.ASCII)


def expiry(
    reply: UpstreamReply,
    token: Secret,
    *,
    host: str,
    absolute: Any = MISSING,
    relative: Any = MISSING,
    unit_seconds: float = 1.0,
    default_seconds: float | None = None,
    zero_means: Literal["expired", "never"] = "expired",
    zone: tzinfo = UTC,
    longest_seconds: float | None = None,
) -> Instant | None:
    """Return the earliest end that the reply gives; lifetimes count from the sending of the request.

    ``absolute`` and ``relative`` are the reply's fields as they came, or `MISSING`. ``unit_seconds`` is the unit of
    ``relative``. Absolute times are corrected by the offset of the upstream's clock. ``default_seconds`` counts if the
    reply gives no end. A relative 0 means an expired token; with ``zero_means`` "never" that field gives no end, and
    the default does not count. ``zone`` is that of absolute times that name none. ``longest_seconds`` cuts a life that
    is longer, or has no end; without it a life of more than 400 days is impossible. Returns None if there is no end.
    Raises `TransientError` if a field is no time (null, a list, ``"3600abc"``) or an impossible one.
    """
    said = []
    for value, read in ((absolute, _absolute), (relative, _relative)):
        if value is not MISSING:
            seconds = read(value, reply, unit_seconds, zone)
            if seconds is None:
                raise TransientError(f"{host} answered with an expiry that is no time")
            if seconds == 0 and read is _relative and zero_means == "never":
                default_seconds = None
                continue
            if longest_seconds is None:
                _refuse_absurd(seconds, host)
            said.append(seconds)
    exp = jwt_expiry(token)
    if exp is not None:
        said.append(_since_sent(exp, reply))
    if not said and default_seconds is not None:
        said.append(default_seconds)
    if longest_seconds is not None:
        said.append(longest_seconds)
    if not said:
        return None
    life = min(said)
    if life < SHORTEST_LIFE_SECONDS:
        raise TransientError(f"{host} answered with a token that has expired already: discarded")
    _refuse_absurd(life, host)
    return reply.sent_at.after(life)


def jwt_expiry(token: Secret) -> float | None:
    """Return the JWT's `exp` claim in Unix seconds, unverified; None if the token is no JWT or has no `exp`."""
    parts = token.reveal().split(".")
    claims = jwt_part(parts[1]) if len(parts) == 3 else None
    exp = None if claims is None else _number(claims.get("exp"))
    return None if exp is None else _by_magnitude(exp)


def jwt_part(text: str) -> dict[str, Any] | None:
    """Return the JSON object of a JWT's header or claims; None if the text is none."""
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _by_magnitude(number: float) -> float:
    """Return a Unix time in seconds. The unit (s, ms, µs or ns) follows from the number's magnitude."""
    for limit, divisor in ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6)):
        if number < limit:
            return number / divisor
    return number / 1e9


def _absolute(value: Any, reply: UpstreamReply, _: float, zone: tzinfo) -> float | None:
    if (number := _number(value)) is not None:
        return _since_sent(_by_magnitude(number), reply)
    if not isinstance(value, str):
        return None
    moment = _moment(value.strip(), zone)
    return None if moment is None else _since_sent(moment.timestamp(), reply)


def _moment(text: str, zone: tzinfo) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return http_date(text)
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment


def _relative(value: Any, _: UpstreamReply, unit_seconds: float, __: tzinfo) -> float | None:
    number = _number(value)
    return None if number is None else number * unit_seconds


def _number(value: Any) -> float | None:
    """Return the value of a finite number, or of text that is one; None for anything else (bool, ``3600abc``)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    return None


def _since_sent(unix_seconds: float, reply: UpstreamReply) -> float:
    """Return the seconds from the sending of the request, by the upstream's clock, to ``unix_seconds``."""
    return unix_seconds - (reply.sent_at.wall.timestamp() + reply.offset)


def _refuse_absurd(seconds: float, host: str) -> None:
    if seconds > LONGEST_LIFE_SECONDS:
        raise TransientError(
            f"{host} answered with a life of more than 400 days: discarded (milliseconds for seconds?)"
        )
