"""Logins as values: a `Login` as tokend keeps it, and what a server `Granted`.

A login outlives access tokens, `forget`, their expiry and a changed table. Its refresh token is sent only to the origin
that issued it; it is in no answer, sink, template, event, metric or log. A login for which the server gave no refresh
token ends with its access token.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from tokend.values.errors import AttemptError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import Token

_NOTHING: Mapping[str, Secret] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class LoginClient:
    """The client that a login belongs to: the kind, the token URL or issuer as configured, and the client's id.

    A login of another client than the table's is set aside.
    """

    kind: str
    server: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Login:
    """A refresh token, and what is known of it. Its repr shows no secret.

    ``refresh_token`` is None where the server gave none: then ``ends_at`` is the end of the access token. ``origin`` is
    the scheme, host and port that issued the refresh token (``https://login.example:443``); None for an initial refresh
    token for which no server has granted anything: it goes to the token URL. ``obtained_at`` is when a person logged
    in, or when the initial refresh token was first used; ``refreshed_at`` is when this refresh token came, or when its
    end was moved last. Else ``ends_at`` is the refresh token's own end, None where none is known.
    ``subject`` is the account as the server names it. ``scopes`` are the granted ones, None where the server has not
    named them. ``parameters`` are values of the login that a refresh may have to repeat (``code_verifier``,
    ``redirect_uri``), as the kind names them. ``was_accepted``: the server has accepted this very refresh token before.
    """

    refresh_token: Secret | None
    client: LoginClient
    origin: str | None
    obtained_at: Instant
    refreshed_at: Instant
    ends_at: Instant | None = None
    subject: str | None = None
    scopes: tuple[str, ...] | None = None
    parameters: Mapping[str, Secret] = field(default_factory=lambda: _NOTHING)
    was_accepted: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """A server's answer that grants: to a refresh, to the exchange of a code, or to a device's poll.

    ``token`` is None where the access token or its expiry is unusable; then ``fault`` says why, and the attempt fails
    with it after the login is saved. ``refresh_token`` is None where the answer brings none: the one that was sent
    stays. ``refresh_ends_at`` is the end of the refresh token that counts from now on, by the answer or by the settings
    (``login_lifetime``); where it is None, a new refresh token has no known end, and one that stays keeps its own.
    ``subject`` and ``scopes`` are None where the answer does not say: those that are known stay. ``origin`` is that of
    the URL that was asked. ``parameters`` are kept with a login that a person has begun.
    """

    origin: str
    answered_at: Instant
    token: Token | None = None
    fault: AttemptError | None = None
    refresh_token: Secret | None = None
    refresh_ends_at: Instant | None = None
    subject: str | None = None
    scopes: tuple[str, ...] | None = None
    parameters: Mapping[str, Secret] = field(default_factory=lambda: _NOTHING)
