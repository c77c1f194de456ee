"""Grants of the OAuth 2 server: what persons have allowed, with the refresh tokens of each and how they rotate.

`strict`: a refresh token works once; used again, it ends its grant (RFC 9700, section 4.14.2). `grace`: for a time, the
previous refresh token gets the same successor again. `none`: the first refresh token stays.
"""

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tokend.sandbox.clock import SandboxClock

Rotation: TypeAlias = Literal["none", "strict", "grace"]
# Grants, and tokens of each kind, that are remembered; the oldest is dropped first.
MOST_GRANTS = 10_000
MOST_TOKENS = 100_000


@dataclass(slots=True)
class Grant:
    """What one person has allowed one client. ``latest`` is the index of its newest refresh token, from 0."""

    number: int
    client: str | None  # None: of the client that uses it first
    subject: str
    scopes: tuple[str, ...]
    begun: float
    ends: float | None
    nonce: str | None = None
    latest: int = -1
    current: str = ""
    rotated: float = 0.0
    ended: str | None = None  # why


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token that was issued: its grant and its index there."""

    grant: Grant
    index: int


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What an access token is good for; ``grant`` is None where no person has granted it."""

    client: str
    subject: str
    scopes: tuple[str, ...]
    ends: float
    grant: Grant | None


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What came of a refresh token: ``answer`` is granted, unknown, ended or reused; ``token`` is the one to send."""

    answer: Literal["granted", "unknown", "ended", "reused"]
    grant: Grant | None = None
    index: int | None = None
    token: str | None = None


class Grants:
    """Grants and tokens in memory. Not thread-safe: the vendor's lock is held around each call."""

    def __init__(
        self, clock: SandboxClock, rotation: Rotation, grace: float, life: float | None, life_from: str
    ) -> None:
        self._clock, self._rotation, self._grace = clock, rotation, grace
        self._life, self._from_login = life, life_from == "login"
        self._grants: OrderedDict[int, Grant] = OrderedDict()
        self._refresh: OrderedDict[str, RefreshToken] = OrderedDict()
        self._access: OrderedDict[str, AccessToken] = OrderedDict()
        self._count = 0

    def begin(
        self,
        client: str | None,
        subject: str,
        scopes: Sequence[str],
        *,
        nonce: str | None = None,
        refresh_token: str | None = None,
    ) -> Grant:
        """Record what a person has allowed, with a first refresh token."""
        self._count += 1
        now = self._clock.now()
        ends = None if self._life is None else now + self._life
        grant = Grant(self._count, client, subject, tuple(scopes), now, ends, nonce)
        _keep(self._grants, grant.number, grant, MOST_GRANTS)
        self._issue(grant, refresh_token)
        return grant

    def refresh(self, text: str, client: str) -> Refreshed:
        """Use a refresh token. A reuse ends its grant."""
        known, now = self._refresh.get(text), self._clock.now()
        if known is None or known.grant.client not in {None, client}:
            return Refreshed("unknown")
        grant, index = known.grant, known.index
        if grant.ended is not None or (grant.ends is not None and grant.ends <= now):
            return Refreshed("ended", grant, index)
        grant.client = client
        if self._rotation == "none":
            return Refreshed("granted", grant, index)
        if index == grant.latest:
            self._issue(grant)
            return Refreshed("granted", grant, index, grant.current)
        if self._rotation == "grace" and index == grant.latest - 1 and now < grant.rotated + self._grace:
            return Refreshed("granted", grant, index, grant.current)
        grant.ended = "reuse"
        return Refreshed("reused", grant, index)

    def _issue(self, grant: Grant, text: str | None = None) -> None:
        now = self._clock.now()
        grant.latest, grant.rotated = grant.latest + 1, now
        grant.current = text or f"sandbox-rt-{secrets.token_urlsafe(24)}"
        if self._life is not None and not self._from_login:
            grant.ends = now + self._life
        _keep(self._refresh, grant.current, RefreshToken(grant, grant.latest), MOST_TOKENS)

    def refresh_token(self, text: str) -> RefreshToken | None:
        """Return what is known of a refresh token, without using it."""
        return self._refresh.get(text)

    def add_access(self, text: str, token: AccessToken) -> None:
        """Remember an access token."""
        _keep(self._access, text, token, MOST_TOKENS)

    def access_token(self, text: str) -> AccessToken | None:
        """Return what an access token is good for now; None if it is not known, has ended, or its grant has."""
        found = self._access.get(text)
        if found is None or found.ends <= self._clock.now():
            return None
        return None if found.grant is not None and found.grant.ended is not None else found

    def revoke(self, text: str, client: str) -> bool:
        """Revoke an access token, or with a refresh token its grant (RFC 7009). False if it is not this client's."""
        access, refresh = self._access.get(text), self._refresh.get(text)
        if access is not None and access.client == client:
            del self._access[text]
            return True
        if refresh is not None and refresh.grant.client in {None, client}:
            refresh.grant.ended = refresh.grant.ended or "revoked"
            return True
        return False

    def end(self, number: int, why: str) -> bool:
        """End a grant. False if there is none of this number."""
        grant = self._grants.get(number)
        if grant is not None:
            grant.ended = grant.ended or why
        return grant is not None

    def report(self) -> list[dict[str, Any]]:
        """Return the grants without their tokens. ``refresh_token`` is the index of the newest one."""
        return [
            {
                "grant": grant.number,
                "client": grant.client,
                "subject": grant.subject,
                "scopes": list(grant.scopes),
                "refresh_token": grant.latest,
                "ends_at": grant.ends,
                "ended": grant.ended,
            }
            for grant in self._grants.values()
        ]


def _keep(memory: "OrderedDict[Any, Any]", key: object, value: object, most: int) -> None:
    memory[key] = value
    if len(memory) > most:
        memory.popitem(last=False)
