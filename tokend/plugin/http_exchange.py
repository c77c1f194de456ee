"""The values of one HTTP exchange. Their repr shows neither headers nor bodies: both hold secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tokend.values.instant import Instant
from tokend.values.secret import Secret


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """What is sent: the very bytes that were signed. A header's value may be a `Secret`."""

    method: str
    url: str
    headers: "Mapping[str, str | Secret]" = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class UpstreamReply:
    """A complete answer. ``headers`` have lower-case names; ``date`` is the `Date` header in aware UTC, if usable.

    ``sent_at`` is the moment before the request left (a relative lifetime counts from it), ``offset`` the upstream's
    clock minus ours in seconds where it is off by more than a few, else 0.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    sent_at: Instant
    date: datetime | None
    offset: float
