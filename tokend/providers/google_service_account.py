"""Kind ``google-service-account``: access and ID tokens for a service account's JSON key (docs/vendors.md)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NoReturn, Self
from urllib.parse import urlencode, urlsplit

from pydantic import BeforeValidator, field_validator, model_validator

from tokend.plugin.bearer_reply import bearer_token
from tokend.plugin.field_roles import Role
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.provider import Runtime
from tokend.plugin.response_status import refuse, retry_after
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import HeldSettings, NetworkSettings
from tokend.plugin.settings_base import Strings
from tokend.plugin.signing_time import refuse_signed
from tokend.plugin.strict_json import parse_object, try_object
from tokend.plugin.token_expiry import MISSING
from tokend.plugin.vendor_words import with_words
from tokend.signing.jwt import key_fault, sign
from tokend.values.errors import AttemptError, RateLimitedError, RejectedError, SecretError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token
from tokend.values.url import host_of, is_confidential, is_loopback, same_origin, validate_base_url

ALGORITHM = "RS256"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# Google's limit for the JWT; its tokens live as long.
JWT_SECONDS = 3600
DEFAULT_LIFE_SECONDS = 3600.0
DEFAULT_URL = "https://oauth2.googleapis.com"
# The hosts that Google's key files have named over the years.
GOOGLE = (DEFAULT_URL, "https://accounts.google.com", "https://www.googleapis.com")
# Codes that mean the account, its key, or what it asks for. Google's page names them; the others are RFC 6749's.
REFUSALS = frozenset(
    {"invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type", "access_denied",
     "admin_policy_enforced", "disabled_client", "org_internal"}
)  # fmt: skip
RATE_LIMITS = frozenset({"slow_down", "rate_limit_exceeded"})
# RFC 6749, appendix A.4.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+", re.ASCII)
_LINE = re.compile(r"[\x21-\x7e]{1,2048}", re.ASCII)


def _split(value: object) -> object:
    """Return the scopes of a text: Google's pages show them in one line."""
    return value.split() if isinstance(value, str) else value


class GoogleServiceAccount(HeldSettings, NetworkSettings):
    """A token of one service account, or of the person ``subject`` for whom it may act."""

    kind: Literal["google-service-account"] = "google-service-account"
    # Where the key's token_uri may lead, besides Google's own hosts and this machine.
    base_url: str = DEFAULT_URL
    key: Annotated[SecretField, Role.ACCOUNT]
    scope: Annotated[Strings, BeforeValidator(_split, json_schema_input_type=list[str] | str)] = ()
    subject: Annotated[str | None, Role.ACCOUNT] = None
    audience: Annotated[str | None, Role.ACCOUNT] = None

    @field_validator("scope")
    @classmethod
    def _are_scopes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(_SCOPE.fullmatch, value)):
            raise ValueError(
                'a scope is written as on Google\'s pages: "https://www.googleapis.com/auth/cloud-platform"'
            )
        return value

    @field_validator("subject", "audience")
    @classmethod
    def _is_one_word(cls, value: str | None) -> str | None:
        if value is not None and not _LINE.fullmatch(value):
            raise ValueError("it is one line of ASCII without spaces: an address, a URL or a client id")
        return value

    @model_validator(mode="after")
    def _one_sort_of_token(self) -> Self:
        if bool(self.scope) == (self.audience is not None):
            found = "both" if self.scope else "neither"
            raise ValueError(f"either scope (an access token) or audience (an ID token) is needed: found {found}")
        return self

    def unusable_secrets(self, secrets: Mapping[str, Secret]) -> Mapping[str, str]:
        """Return the fault of a file that is no service account's key."""
        try:
            if (key := secrets.get("key")) is not None:
                _parsed(key, self.base_url)
        except SecretError as error:
            return {"key": error.detail}
        return {}

    def warnings(self, secrets: Mapping[str, Secret]) -> tuple[str, ...]:
        """Return a warning about a key whose token_uri is plain http."""
        key = secrets.get("key")
        found = None if key is None else try_object(key.reveal_bytes())
        uri = None if found is None else found.get("token_uri")
        if not isinstance(uri, str) or not uri.startswith("http://") or not is_confidential(uri):
            return ()
        return ("token_uri of the key is plain http: while nothing listens on this port, any user of this machine can",)

    def account_part(self, key: str, secret: Secret) -> Secret:
        """Return the e-mail address in the JSON key: a new key of the same account is no other account."""
        email = (try_object(secret.reveal_bytes()) or {}).get("client_email") if key == "key" else None
        return Secret(email) if isinstance(email, str) else secret

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:  # noqa: ARG002  (nothing to extend)
        """Exchange a JWT for a token."""
        secret = await runtime.reveal(self.key)
        now = runtime.upstream_now().timestamp()
        try:
            key = _parsed(secret, self.base_url)
            assertion = Secret(self._assertion(key, int(now)))
        except SecretError as error:
            raise SecretError(f"key: {self.key}: {error.detail}") from None
        body = urlencode({"grant_type": GRANT, "assertion": assertion.reveal()}).encode()
        headers: dict[str, str | Secret] = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        reply = await runtime.exchange(UpstreamRequest("POST", key.token_uri, headers, body))
        try:
            return self._token(reply, host_of(key.token_uri), signed_at=now)
        except AttemptError as error:
            raise with_words(error, reply, [assertion, secret, key.private_key]) from None

    def _assertion(self, key: "_Key", now: int) -> str:
        claims: dict[str, Any] = {"iss": key.client_email}
        if self.scope:
            claims["scope"] = " ".join(self.scope)
        else:
            claims["target_audience"] = self.audience
        if self.subject is not None:
            claims["sub"] = self.subject
        claims |= {"aud": key.token_uri, "iat": now, "exp": now + JWT_SECONDS}
        header = {} if key.private_key_id is None else {"kid": key.private_key_id}
        return sign(claims, key.private_key, algorithm=ALGORITHM, header=header)

    def _token(self, reply: UpstreamReply, host: str, *, signed_at: float) -> Token:
        answer = try_object(reply.body) or {}
        if reply.status != 200 or "error" in answer:
            _refuse(reply, answer.get("error"), host, signed_at)
        answer = parse_object(reply.body, host)
        return bearer_token(
            reply, answer.get("id_token" if self.audience is not None else "access_token"), host=host,
            expires_in=answer.get("expires_in", MISSING), default_seconds=DEFAULT_LIFE_SECONDS,
            zero_means=self.zero_means,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Key:
    """What the JSON file of a service account holds, as far as it is used."""

    client_email: str
    private_key: Secret
    private_key_id: str | None
    token_uri: str


def _parsed(secret: Secret, base_url: str) -> _Key:
    """Read a JSON key. Raises `SecretError`, which quotes nothing of it."""
    found = try_object(secret.reveal_bytes())
    if found is None:
        raise SecretError("it is not the JSON file of a service account's key")
    if found.get("type", "service_account") != "service_account":
        raise SecretError('it is not the key of a service account: "type" is another one')
    email, private_key, key_id = (found.get(name) for name in ("client_email", "private_key", "private_key_id"))
    if not isinstance(email, str) or not _LINE.fullmatch(email):
        raise SecretError('"client_email" is missing in the key, or is no address')
    if not isinstance(private_key, str) or not private_key:
        raise SecretError('"private_key" is missing in the key')
    if key_id is not None and (not isinstance(key_id, str) or not _LINE.fullmatch(key_id)):
        raise SecretError('"private_key_id" of the key is no id')
    if (fault := key_fault(Secret(private_key), ALGORITHM)) is not None:
        raise SecretError(f'"private_key": {fault}')
    return _Key(email, Secret(private_key), key_id, _token_uri(found.get("token_uri", f"{base_url}/token"), base_url))


def _token_uri(value: object, base_url: str) -> str:
    """Check the URL that the signed JWT is sent to: over https to Google, to this machine, or to ``base_url``."""
    try:
        validate_base_url(value if isinstance(value, str) else "")
    except ValueError as error:
        raise SecretError(f'"token_uri" of the key: {error}') from None
    uri = str(value)
    if same_origin(base_url, uri):
        return uri
    known = any(same_origin(one, uri) for one in GOOGLE) or is_loopback(urlsplit(uri).hostname or "")
    if base_url == DEFAULT_URL and known:
        return uri
    where = "is not one of Google's hosts" if base_url == DEFAULT_URL else "is not the host of base_url"
    raise SecretError(f'"token_uri" of the key leads to {host_of(uri)}, which {where}: set base_url if it is meant')


def _refuse(reply: UpstreamReply, code: object, host: str, signed_at: float) -> NoReturn:
    """Raise the error for an answer without a token. Only known codes are named."""
    if reply.status >= 500:
        refuse(reply, host)
    if code == "invalid_grant":
        message = f"{host} answered invalid_grant: the key, the account, subject or the time is not accepted"
        refuse_signed(reply, message, signed_at=signed_at)
    if isinstance(code, str) and code in REFUSALS:
        raise RejectedError(f"{host} answered {code}: scope, audience, subject or the account is not accepted")
    if isinstance(code, str) and code in RATE_LIMITS:
        raise RateLimitedError(f"{host} answered {code}: too many requests", retry_after=retry_after(reply))
    if reply.status == 401:
        refuse_signed(reply, f"{host} answered 401: the credentials are not accepted", signed_at=signed_at)
    if reply.status == 200:
        raise TransientError(f"{host} answered 200 with an error and without a token")
    refuse(reply, host)
