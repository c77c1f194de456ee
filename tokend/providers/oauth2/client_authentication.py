"""Client authentication: what a request needs that proves the client (RFC 6749, 2.3; RFC 7523; RFC 8705)."""

import base64
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus

from tokend.plugin.provider import Runtime
from tokend.plugin.text import text_of
from tokend.providers.oauth2.endpoints import Endpoints
from tokend.providers.oauth2.settings import OAuth2Settings
from tokend.providers.oauth2.words import BY_CERTIFICATE, JWT_BEARER_CLIENT, ClientAuth
from tokend.signing.jwt import sign
from tokend.signing.keys import private_key
from tokend.values.errors import SecretError
from tokend.values.secret import Secret

# RFC 10070: an assertion for the issuer alone says what it is.
FOR_ISSUER = "client-authentication+jwt"
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


@dataclass(frozen=True, slots=True)
class Proof:
    """What is added to a request. ``signed_at`` is when its times were signed here, in Unix seconds; None: never."""

    parameters: dict[str, str | Secret] = field(default_factory=dict)
    headers: dict[str, str | Secret] = field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    signed_at: float | None = None


async def prove_client(settings: OAuth2Settings, runtime: Runtime, server: Endpoints) -> Proof:
    """Return what proves the client to the server. Raises `SecretError`."""
    method = settings.method_of_client or _by_metadata(server)
    name: dict[str, str | Secret] = {} if settings.client_id is None else {"client_id": settings.client_id}
    if method in BY_CERTIFICATE or method == "none":
        return Proof(name)
    if method == "private_key_jwt" and settings.client_assertion is not None:
        assertion = await runtime.reveal(settings.client_assertion)
        return Proof({**name, **_assertion(text_of(assertion, "client_assertion"))}, secrets=(assertion,))
    key_field = "private_key" if method == "private_key_jwt" else "client_secret"
    source = settings.private_key if method == "private_key_jwt" else settings.client_secret
    assert source is not None and settings.client_id is not None  # noqa: S101  (`consistency`)
    secret = await runtime.reveal(source)
    if method in {"private_key_jwt", "client_secret_jwt"}:
        now = runtime.upstream_now()
        signed = _client_jwt(settings, secret, now, server)
        return Proof({**name, **_assertion(signed)}, secrets=(secret, Secret(signed)), signed_at=now.timestamp())
    text = text_of(secret, key_field)
    if method == "client_secret_post":
        return Proof({**name, "client_secret": secret}, secrets=(secret,))
    pair = f"{quote_plus(settings.client_id)}:{quote_plus(text)}"
    basic = Secret("Basic " + base64.b64encode(pair.encode()).decode())
    return Proof({}, {"Authorization": basic}, secrets=(secret, basic))


def _by_metadata(server: Endpoints) -> ClientAuth:
    """Return Basic, unless the metadata say that the server takes the secret in the body alone."""
    takes = server.auth_methods
    in_body = takes is not None and "client_secret_basic" not in takes and "client_secret_post" in takes
    return "client_secret_post" if in_body else "client_secret_basic"


def _assertion(signed: str) -> dict[str, str | Secret]:
    return {"client_assertion_type": JWT_BEARER_CLIENT, "client_assertion": Secret(signed)}


def _client_jwt(settings: OAuth2Settings, secret: Secret, now: datetime, server: Endpoints) -> str:
    audience, is_issuer = assertion_audience(settings, server)
    header = {"typ": FOR_ISSUER} if is_issuer else {}
    claims: dict[str, Any] = {"iss": settings.client_id, "sub": settings.client_id, "aud": audience}
    return signed_assertion(settings, secret, claims, now, header=header)


def signed_assertion(
    settings: OAuth2Settings, secret: Secret, claims: dict[str, Any], now: datetime, *, header: dict[str, Any]
) -> str:
    """Sign claims with a life of ``assertion_lifetime`` and an id. Raises `SecretError`."""
    issued = int(now.timestamp())
    times = {"iat": issued, "exp": issued + max(1, int(settings.assertion_lifetime.total_seconds()))}
    header = dict(header)
    if settings.private_key_id is not None:
        header["kid"] = settings.private_key_id
    whole = {"jti": secrets.token_urlsafe(24), **claims, **times}
    return sign(whole, secret, algorithm=algorithm_of(settings, secret), header=header)


def assertion_audience(settings: OAuth2Settings, server: Endpoints) -> tuple[str, bool]:
    """Return the audience of an assertion, and whether it is the issuer."""
    wanted = settings.assertion_audience
    if wanted in {None, "issuer"} and server.issuer is not None:
        return server.issuer, True
    return (server.token_url if wanted in {None, "issuer", "token_url"} else str(wanted)), False


def algorithm_of(settings: OAuth2Settings, secret: Secret) -> str:
    """Return the algorithm of assertions: the configured one, or the usual one for a key."""
    if settings.assertion_algorithm is not None:
        return settings.assertion_algorithm
    if settings.private_key is None:
        return "HS256"
    try:
        key = private_key(secret, "RS256", prove=False)  # the signature proves it
    except SecretError:
        return "EdDSA"  # a seed; of anything else the signature says what is wrong
    if (curve := getattr(getattr(key, "curve", None), "name", None)) is not None:
        return _CURVES.get(curve, "ES256")
    return "RS256" if hasattr(key, "key_size") else "EdDSA"
