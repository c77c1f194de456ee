"""Names in ``{…}`` that need no declaration: parts of the request, the moment of an attempt, unique texts."""

import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from tokend.plugin.declared.placeholders import Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# What the request is made of, as it is sent.
REQUEST_PARTS = ("method", "path", "query", "host", "body")
# Nanoseconds of one count.
COUNTERS = MappingProxyType({"counter_ms": 1_000_000, "counter_us": 1000, "counter_ns": 1})


def unix_nanoseconds(moment: datetime) -> int:
    """Return an aware moment as whole nanoseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def next_counter(name: str, last: int, moment: datetime) -> int:
    """Return the next value of a ``counter_*``: the present time in its unit, or one more than the last value."""
    return max(last + 1, unix_nanoseconds(moment) // COUNTERS[name])


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rfc1123(moment: datetime) -> str:
    utc = moment.astimezone(UTC)
    return f"{_DAYS[utc.weekday()]}, {utc.day:02} {_MONTHS[utc.month - 1]} {utc:%Y %H:%M:%S} GMT"


_TIMES: Mapping[str, Callable[[datetime], Value]] = {
    "now_s": lambda moment: unix_nanoseconds(moment) // 1_000_000_000,
    "now_ms": lambda moment: unix_nanoseconds(moment) // 1_000_000,
    "now_us": lambda moment: unix_nanoseconds(moment) // 1000,
    "now_ns": unix_nanoseconds,
    "now_iso": _iso,
    "now_rfc1123": _rfc1123,
}
BUILT_IN = (*REQUEST_PARTS, *_TIMES, *COUNTERS, "uuid", "random_hex")


@dataclass(frozen=True, slots=True)
class Moment:
    """What is the same throughout one request, and in the headers that are made with its answer.

    ``now`` is the instant of the attempt, aware, by the upstream's clock: its requests have the same. ``counters`` has
    the value of each ``counter_*`` that the request uses.
    """

    now: datetime
    counters: Mapping[str, int] = field(default_factory=dict)
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    random_hex: str = field(default_factory=lambda: secrets.token_hex(16))

    def value(self, name: str) -> Value:
        """Return the value of a built-in name that is no part of the request. Raises KeyError for any other name."""
        if name in _TIMES:
            return _TIMES[name](self.now)
        if name in COUNTERS:
            return self.counters[name]
        return {"uuid": self.uuid, "random_hex": self.random_hex}[name]
