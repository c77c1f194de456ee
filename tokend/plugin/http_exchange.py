"""Request and reply of one HTTP exchange. Their repr shows neither headers nor bodies: both contain secrets."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tokend.values.instant import Instant
from tokend.values.secret import Secret


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """A request. ``body`` is sent byte for byte, so that a signature fits. A header's value may be a `Secret`."""

    method: str
    url: str
    headers: "Mapping[str, str | Secret]" = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class UpstreamReply:
    """A complete reply. ``headers`` have lower-case names.

    ``sent_at`` is the moment before the request was sent; a relative lifetime counts from this moment. ``date`` is the
    `Date` header in aware UTC, None if it is missing or not usable. ``offset`` is the upstream's clock minus ours in
    seconds; differences of a few seconds count as 0. ``cookies`` are the ``Set-Cookie`` headers, one by one.
    ``repeated`` are the names of headers that stood more than once: their values are joined by a comma.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    sent_at: Instant
    date: datetime | None
    offset: float
    cookies: tuple[str, ...] = field(default=(), repr=False)
    repeated: frozenset[str] = frozenset()


def repeated(names: Iterable[str]) -> frozenset[str]:
    """Return the names that stand more than once, as those of headers in lower case."""
    return frozenset(name for name, times in Counter(names).items() if times > 1)
