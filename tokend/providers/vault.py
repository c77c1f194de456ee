"""Kind ``vault``: a login at HashiCorp Vault or OpenBao (docs/vendors.md, vault)."""

import math
from dataclasses import replace
from typing import Annotated, Any, Literal, NoReturn, Self
from urllib.parse import quote

import orjson
from pydantic import Field, ValidationInfo, field_validator, model_validator

from tokend.plugin.field_roles import Disclosure, Role
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.provider import Runtime
from tokend.plugin.response_status import refuse, token_value
from tokend.plugin.secret_source import SecretField, SecretSource
from tokend.plugin.settings import HeldSettings, NetworkSettings
from tokend.plugin.strict_json import parse_object, try_object
from tokend.plugin.text import text_of
from tokend.plugin.token_expiry import MISSING, expiry
from tokend.plugin.vault_names import vault_names
from tokend.plugin.vendor_words import LONGEST_READ, cleaned, with_words
from tokend.values.errors import AttemptError, RejectedError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token
from tokend.values.url import host_of

# Where Kubernetes puts the token of a pod's service account.
POD_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105  (a path)
# Replies that are about the login, or about the token that should live on: a login may help.
REFUSED = frozenset({400, 401, 403, 404})
# A remark of the kind's own, which no reader gets.
RENEWABLE = "_renewable"
# The server counts whole seconds.
ROUNDING_SECONDS = 1.0


class Vault(HeldSettings, NetworkSettings):
    """A token of one role. It lives on by ``renew-self`` up to its maximum; then follows another login."""

    kind: Literal["vault"] = "vault"
    base_url: str = Field(alias="address")
    namespace: Annotated[str | None, Role.ACCOUNT] = None
    auth_method: Annotated[Literal["approle", "kubernetes", "jwt"], Role.ACCOUNT]
    # The path of the auth method; None: the method's name.
    mount: Annotated[str | None, Role.ACCOUNT] = None
    role: Annotated[str | None, Role.ACCOUNT] = Field(default=None, min_length=1)
    role_id: Annotated[SecretField | None, Role.ACCOUNT, Disclosure.HARMLESS] = None
    secret_id: SecretField | None = None
    jwt: SecretField | None = None
    # A token of which the server says 0 has no end.
    zero_means: Annotated[Literal["expired", "never"], Role.HANDLING] = "never"

    @model_validator(mode="before")
    @classmethod
    def _token_of_the_pod(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("auth_method") == "kubernetes" and values.get("jwt") is None:
            return {**values, "jwt": {"file": POD_TOKEN}}
        return values

    @field_validator("mount", "namespace")
    @classmethod
    def _names(cls, value: str | None, info: ValidationInfo) -> str | None:
        return None if value is None else vault_names(value, in_header=info.field_name == "namespace")

    @model_validator(mode="after")
    def _keys_of_the_method(self) -> Self:
        wanted = {"approle": ["role_id"], "kubernetes": ["role", "jwt"], "jwt": ["jwt"]}[self.auth_method]
        taken = {"approle": ["role_id", "secret_id"], "kubernetes": ["role", "jwt"], "jwt": ["role", "jwt"]}
        missing = [key for key in wanted if getattr(self, key) is None]
        if missing:
            raise ValueError(f'auth_method = "{self.auth_method}" needs {" and ".join(missing)}')
        others = {"role", "role_id", "secret_id", "jwt"} - set(taken[self.auth_method])
        if foreign := sorted(key for key in others if getattr(self, key) is not None):
            raise ValueError(f'auth_method = "{self.auth_method}" takes no {" and no ".join(foreign)}')
        return self

    @property
    def server_url(self) -> tuple[str, str]:
        """The key ``address`` and its value."""
        return "address", self.base_url

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:
        """Let the token held live on; where that is not possible, or ``max_age`` wants another one, log in."""
        if previous is not None and self.max_age is None and previous.extra.get(RENEWABLE) is True:
            extended = await self._extended(runtime, previous)
            if extended is not None:
                return extended
        return await self._login(runtime)

    async def _extended(self, runtime: Runtime, previous: Token) -> Token | None:
        """Ask for another life as long as the last one. None: log in, because the server gives less, or refuses.

        Raises `TransientError` and `RateLimitedError` where the server cannot be used: a login would fail as well.
        """
        asked, host = previous.life_seconds, host_of(self.base_url)
        body = {} if asked is None else {"increment": f"{math.ceil(asked)}s"}
        headers = self._headers(previous.value)
        reply = await runtime.exchange(
            UpstreamRequest("POST", f"{self.base_url}/v1/auth/token/renew-self", headers, orjson.dumps(body))
        )
        if reply.status != 200:
            if reply.status in REFUSED:
                return None
            try:
                refuse(reply, host)
            except AttemptError as error:
                raise _with_words(error, reply, [previous.value]) from None
        auth = (try_object(reply.body) or {}).get("auth")
        try:
            token = self._token(reply, auth)
        except (TransientError, RejectedError):
            return None
        is_less = token.life_seconds is not None and (asked is None or token.life_seconds < asked - ROUNDING_SECONDS)
        return None if is_less or token.value != previous.value else replace(token, is_extended=True)

    async def _login(self, runtime: Runtime) -> Token:
        sent: dict[str, str] = {} if self.role is None else {"role": self.role}
        secrets = []
        for key, source in self._given():
            secret = await runtime.reveal(source)
            secrets.append(secret)
            sent[key] = text_of(secret, key)
        mount = quote(self.mount or self.auth_method)
        url = f"{self.base_url}/v1/auth/{mount}/login"
        reply = await runtime.exchange(UpstreamRequest("POST", url, self._headers(), orjson.dumps(sent)))
        host = host_of(self.base_url)
        try:
            if reply.status != 200:
                _refuse(reply, host)
            return self._token(reply, parse_object(reply.body, host).get("auth"))
        except AttemptError as error:
            raise _with_words(error, reply, secrets) from None

    def _given(self) -> list[tuple[str, SecretSource]]:
        return [(key, one) for key in ("role_id", "secret_id", "jwt") if (one := getattr(self, key)) is not None]

    def _headers(self, token: Secret | None = None) -> dict[str, str | Secret]:
        headers: dict[str, str | Secret] = {"Content-Type": "application/json", "X-Vault-Request": "true"}
        if self.namespace is not None:
            headers["X-Vault-Namespace"] = self.namespace
        return headers if token is None else {**headers, "X-Vault-Token": token}

    def _token(self, reply: UpstreamReply, auth: Any) -> Token:
        """Make the token of the member ``auth`` of a reply. Raises `TransientError` if it has none."""
        host = host_of(self.base_url)
        if not isinstance(auth, dict):
            raise TransientError(f"{host} answered without a token")
        if auth.get("mfa_requirement"):
            raise RejectedError(f"{host} wants a second factor for this login, which tokend cannot give")
        value = token_value(auth.get("client_token"), host)
        life = auth.get("lease_duration", MISSING)
        expires = expiry(reply, value, host=host, relative=life, zero_means=self.zero_means)
        headers = {"X-Vault-Token": value}
        if self.namespace is not None:
            headers["X-Vault-Namespace"] = Secret(self.namespace)
        return Token(
            value=value,
            token_type="Bearer",  # noqa: S106  (a scheme's name)
            issued_at=reply.sent_at,
            expires_at=expires,
            headers=headers,
            extra={RENEWABLE: auth.get("renewable") is True},
        )


def _refuse(reply: UpstreamReply, host: str) -> NoReturn:
    """Raise the error for a login without a token. The server's own 400 and 403 are about the credentials.

    A 400 or 403 without its ``errors`` is a proxy's.
    """
    if reply.status in {400, 403} and _errors(reply):
        raise RejectedError(f"{host} answered {reply.status}: the login is refused")
    refuse(reply, host)


def _with_words(error: AttemptError, reply: UpstreamReply, secrets: list[Secret]) -> AttemptError:
    """Give an error the words of its reply: those of ``errors``, else the usual ones."""
    if errors := _errors(reply):
        error.said = cleaned("; ".join(errors)[:LONGEST_READ], secrets)
        return error
    return with_words(error, reply, secrets)


def _errors(reply: UpstreamReply) -> list[str]:
    errors = (try_object(reply.body) or {}).get("errors")
    return [text for text in errors if isinstance(text, str)] if isinstance(errors, list) else []
