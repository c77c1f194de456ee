"""Authentication of the OAuth 2 server's clients (RFC 6749, 7523): one with a secret and perhaps a key, one without."""

import base64
import hmac
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any, TypeGuard
from urllib.parse import unquote_plus

from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.hs256 import verify as verify_hs256
from tokend.sandbox.jwt_parts import BadTokenError, object_of
from tokend.sandbox.key_pairs import verify as verify_key_pair
from tokend.sandbox.messages import Request
from tokend.sandbox.vendors.oauth2_parameters import OAuthError

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_ASSERTION_SECONDS = 3600
_CLOCK_LEEWAY_SECONDS = 60
_MOST_IDS = 10_000  # of assertions, to refuse one that comes twice; the oldest is dropped first


class Clients:
    """The clients. ``credentials`` are those of the vendor; ``method`` is the one method accepted, or any."""

    def __init__(self, clock: SandboxClock, method: str) -> None:
        self._clock = clock
        self._method = method
        self._lock = threading.Lock()
        self._ids: OrderedDict[str, None] = OrderedDict()

    def authenticate(
        self, request: Request, given: Mapping[str, str], credentials: Mapping[str, str], audiences: Collection[str]
    ) -> tuple[str, str]:
        """Return the client's id and its method. Raises `OAuthError`."""
        ways = [
            name
            for name, used in {
                "basic": "authorization" in request.headers,
                "post": "client_secret" in given,
                "assertion": "client_assertion" in given or "client_assertion_type" in given,
            }.items()
            if used
        ]
        if len(ways) > 1:
            raise OAuthError("invalid_request", "two ways of client authentication")
        if ways == ["assertion"]:
            client, method = self._by_assertion(given, credentials, audiences)
        elif ways:
            client, method = _by_secret(request, given, credentials)
        else:
            client, method = given.get("client_id", ""), "none"
            if client != credentials["public_client_id"]:
                raise _invalid("the client must authenticate, or is not known")
        if self._method not in {"any", method}:
            raise _invalid(f"this server accepts {self._method} only")
        return client, method

    def _by_assertion(
        self, given: Mapping[str, str], credentials: Mapping[str, str], audiences: Collection[str]
    ) -> tuple[str, str]:
        if given.get("client_assertion_type") != ASSERTION_TYPE:
            raise OAuthError("invalid_request", "client_assertion_type is not the one of a JWT")
        own = credentials["client_id"]
        claims, method = self.read_assertion(given.get("client_assertion", ""), credentials, audiences)
        if (claims.get("iss"), claims.get("sub")) != (own, own) or given.get("client_id", own) != own:
            raise _invalid("iss and sub must be the client's id")
        self._note_id(claims.get("jti"))
        return own, method

    def read_assertion(
        self, token: str, credentials: Mapping[str, str], audiences: Collection[str]
    ) -> tuple[dict[str, Any], str]:
        """Return the claims of a JWT by the client, and its method: signature, audience and times are checked."""
        try:
            if object_of(token.partition(".")[0]).get("alg") == "HS256":
                method, claims = "client_secret_jwt", verify_hs256(token, credentials["client_secret"].encode())
            else:
                method, claims = "private_key_jwt", verify_key_pair(token, credentials["public_key"])
        except BadTokenError as error:
            raise _invalid(f"the assertion is not acceptable: {error}") from None
        audience = claims.get("aud")
        if isinstance(audience, list) and len(audience) == 1:
            audience = audience[0]
        if audience not in audiences:
            raise _invalid("aud must be this server")
        now, end = self._clock.now(), claims.get("exp")
        if not _is_number(end) or not now < end + _CLOCK_LEEWAY_SECONDS:
            raise _invalid("the assertion has expired, or names no end")
        if end > now + LONGEST_ASSERTION_SECONDS + _CLOCK_LEEWAY_SECONDS:
            raise _invalid("the assertion lives too long")
        for name in ("iat", "nbf"):
            start = claims.get(name, now)
            if not _is_number(start) or start > now + _CLOCK_LEEWAY_SECONDS:
                raise _invalid(f"{name} is in the future")
        return claims, method

    def _note_id(self, given: object) -> None:
        with self._lock:
            if not isinstance(given, str) or given in self._ids:
                raise _invalid("jti must be new")
            self._ids[given] = None
            if len(self._ids) > _MOST_IDS:
                self._ids.popitem(last=False)


def _by_secret(request: Request, given: Mapping[str, str], credentials: Mapping[str, str]) -> tuple[str, str]:
    header = request.headers.get("authorization")
    if header is None:
        method, client, secret = "client_secret_post", given.get("client_id", ""), given["client_secret"]
    else:
        method, (client, secret) = "client_secret_basic", _basic(header)
        if given.get("client_id", client) != client:
            raise OAuthError("invalid_request", "client_id is not the one of the header")
    right = hmac.compare_digest(secret.encode(), credentials["client_secret"].encode())
    if client != credentials["client_id"] or not right:
        raise _invalid("client id or secret is wrong", basic=header is not None)
    return client, method


def _basic(header: str) -> tuple[str, str]:
    """Return id and secret, each form-urlencoded before they were joined (RFC 6749, section 2.3.1)."""
    scheme, _, text = header.partition(" ")
    try:
        client, colon, secret = base64.b64decode(text, validate=True).decode("ascii").partition(":")
        client, secret = (unquote_plus(part, errors="strict") for part in (client, secret))
    except ValueError:
        colon = ""
    if scheme.lower() != "basic" or not colon:
        raise _invalid("the header is not Basic with id and secret", basic=True)
    return client, secret


def _invalid(description: str, *, basic: bool = False) -> OAuthError:
    headers = {"WWW-Authenticate": 'Basic realm="tokend-sandbox"'} if basic else {}
    return OAuthError("invalid_client", description, status=401, headers=headers)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
