"""Tokens as values: a `Token` as a provider returns it, a `Lease` as tokend holds and publishes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TypeAlias

from tokend.values.instant import Instant
from tokend.values.secret import Secret

JSON: TypeAlias = "str | int | float | bool | list[JSON] | dict[str, JSON] | None"

_NOTHING: Mapping[str, Secret] = MappingProxyType({})
# A member of `Token.extra` that no reader gets, as all that begin with _.
REFRESH_IN = "_refresh_in"


@dataclass(frozen=True, slots=True)
class Token:
    """The result of one successful attempt. Its repr shows no secret.

    ``issued_at`` is when the request was sent or the signature made. ``expires_at`` is the earliest expiry that the
    answer contains, corrected by the server's clock; None for a token without an end. ``headers`` are ready to send:
    ``{"Authorization": "Bearer …"}`` and others that each call needs. ``extra`` has the other members of the answer
    (loginLink, user, …); a member that grants access is a `Secret`. ``is_extended``: the upstream itself has given
    the token held another end, which counts from ``issued_at``; never true in a lease. The last field is a refresh
    token, if the scheme has one.
    """

    value: Secret
    token_type: str
    issued_at: Instant
    expires_at: Instant | None
    headers: Mapping[str, Secret] = field(default_factory=lambda: _NOTHING)
    extra: "Mapping[str, JSON | Secret]" = field(default_factory=lambda: _NOTHING)
    is_extended: bool = False
    renewal: Secret | None = None

    @property
    def life_seconds(self) -> float | None:
        """The seconds between issue and expiry; None for a token without an end."""
        return None if self.expires_at is None else self.issued_at.until(self.expires_at)

    @property
    def refresh_in_seconds(self) -> float | None:
        """The seconds from the issue after which the upstream wants a newer token fetched; None if it does not say."""
        seconds = self.extra.get(REFRESH_IN)
        return seconds if isinstance(seconds, float) else None

    def is_valid(self, now: Instant) -> bool:
        """Return whether the token is unexpired. Boot time decides: a stepped wall clock expires nothing."""
        return self.expires_at is None or now.until(self.expires_at) > 0


@dataclass(frozen=True, slots=True)
class Lease:
    """A token under its name, as it is stored, served and written to sinks.

    ``generation`` rises with every new token of the name and is never reused. ``refresh_at`` is the planned moment
    of the next refresh (jitter included), None if there is none. ``fingerprint`` is salted; anybody may see it.
    """

    name: str
    token: Token
    generation: int
    refresh_at: Instant | None
    fingerprint: str


def ready_headers(token: Token, configured: Mapping[str, str]) -> dict[str, str]:
    """Return the headers to send with each call, in clear: the token's own, then the configured ones on top.

    Names are compared without case.
    """
    merged = {name.lower(): (name, value.reveal()) for name, value in token.headers.items()}
    merged.update({name.lower(): (name, value) for name, value in configured.items()})
    return dict(merged.values())


def utc(moment: datetime) -> str:
    """Write an aware time as RFC 3339 UTC in whole seconds (rounded down), ending in Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def unix(moment: datetime) -> int:
    """Write an aware time as Unix seconds, rounded down like `utc`."""
    return int(moment.timestamp() // 1)


def native(lease: Lease) -> dict[str, JSON]:
    """Return a lease as the native JSON object (docs/sinks.md). It holds the token in clear, and no other secret.

    ``extra`` is there if the token has further members for readers.
    """
    token = lease.token
    extra = {name: value for name, value in shown_extra(token).items() if not isinstance(value, Secret)}
    return {
        "version": 1,
        "name": lease.name,
        "access_token": token.value.reveal(),
        "token_type": _scheme(token.token_type),
        "issued_at": utc(token.issued_at.wall),
        "expires_at": None if token.expires_at is None else utc(token.expires_at.wall),
        "expires_at_unix": None if token.expires_at is None else unix(token.expires_at.wall),
        "refresh_at": None if lease.refresh_at is None else utc(lease.refresh_at.wall),
        "generation": lease.generation,
        "fingerprint": lease.fingerprint,
        **({"extra": extra} if extra else {}),
    }


def shown_extra(token: Token) -> "Mapping[str, JSON | Secret]":
    """Return the further members for readers. A name that begins with _ is a kind's own remark."""
    return {name: value for name, value in token.extra.items() if not name.startswith("_")}


def _scheme(token_type: str) -> str:
    """Spell ``bearer`` as `Authorization` headers do: readers join type and token, and some upstreams compare case."""
    return "Bearer" if token_type.lower() == "bearer" else token_type
