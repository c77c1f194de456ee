"""Kind ``auth-token``: a single-use login token for one end user, by an HMAC-signed request.

The vendor's interface: docs/vendors.md, auth-token.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, NoReturn, Self

import orjson
from pydantic import field_validator, model_validator

from tokend.plugin.caller_names import unknown_parameters
from tokend.plugin.echoed_fields import field_errors
from tokend.plugin.field_roles import Role
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.provider import Runtime
from tokend.plugin.request_signing import CallToSign, SigningSettings
from tokend.plugin.response_status import refuse, token_value
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import NetworkSettings, OnDemandSettings
from tokend.plugin.settings_base import Duration, parse_duration
from tokend.plugin.signing_time import refuse_signed
from tokend.plugin.strict_json import parse_object, try_object
from tokend.plugin.text import is_text
from tokend.plugin.token_expiry import MISSING, expiry
from tokend.plugin.vendor_words import with_words
from tokend.signing.request_hash import request_hmac, sorted_query
from tokend.values.errors import AttemptError, InvalidParametersError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import JSON, Token
from tokend.values.url import host_of, path_of

PATH = "/api/v1/generate-auth-token"
EXPIRATION = "expiration"
LONGEST = {"clientId": 255, "username": 100, "displayName": 100, "ipAddress": 45}


class AuthToken(OnDemandSettings, NetworkSettings, SigningSettings):
    """An on-demand login token. One call per query, because each call creates or updates a user at the vendor."""

    kind: Literal["auth-token"] = "auth-token"
    base_url: str = "https://wdcf.xerve.online"
    client_secret: SecretField
    expiration: Duration = timedelta(minutes=2)
    # The longest life that a caller may ask for; None: that of ``expiration``.
    expiration_max: Annotated[Duration | None, Role.HANDLING] = None

    @field_validator("expiration", "expiration_max")
    @classmethod
    def _sent_as_minutes(cls, value: timedelta | None) -> timedelta | None:
        return None if value is None else _whole_minutes(value)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.expiration_max is not None and self.expiration_max < self.expiration:
            raise ValueError("expiration_max is below expiration, which counts where a caller asks for nothing")
        return self

    def check(self, parameters: Mapping[str, str]) -> None:
        """Check that all four parameters are given, none is too long, and that there are no others but ``expiration``.

        ``expiration`` is a duration in whole minutes, up to ``expiration_max``. Raises `InvalidParametersError`.
        """
        errors: dict[str, list[str]] = {}
        for name, longest in LONGEST.items():
            value = parameters.get(name, "")
            if not value:
                errors[name] = ["is required"]
            elif len(value) > longest:
                errors[name] = [f"has {len(value)} characters; at most {longest} are allowed"]
            elif not is_text(value):
                errors[name] = ["is not valid Unicode text"]
        errors |= unknown_parameters(parameters, (*LONGEST, EXPIRATION))
        try:
            self._life(parameters)
        except ValueError as error:
            errors[EXPIRATION] = [str(error)]
        if errors:
            raise InvalidParametersError(errors)

    async def issue(self, runtime: Runtime, parameters: Mapping[str, str]) -> Token:
        """Make one signed call with a fresh timestamp."""
        secret = await runtime.reveal(self.client_secret)
        life = self._life(parameters)
        minutes = life // timedelta(minutes=1)
        # Compact UTF-8 JSON in the vendor's order. The same bytes are signed and sent.
        body = orjson.dumps({**{name: parameters[name] for name in LONGEST}, "expiration": minutes})
        timestamp = int(runtime.upstream_now().timestamp())
        url = self.base_url + PATH
        headers: dict[str, str | Secret] = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            **_signature(secret, method="POST", path=path_of(url), timestamp=timestamp, payload=body),
        }
        reply = await runtime.exchange(UpstreamRequest("POST", url, headers, body))
        if reply.status != 200:
            _refuse(reply, host_of(self.base_url), secret=secret, signed_at=timestamp)
        return self._token_of(reply, life, secret)

    async def sign(self, runtime: Runtime, call: CallToSign) -> Mapping[str, Secret | str]:
        """Sign a call to another endpoint of the vendor, such as the balance.

        The payload of a GET is its query, sorted by name; that of any other call is its body. Raises
        `InvalidParametersError` for a body of a GET and a query of another call: the signature would not cover them.
        """
        in_the_query = call.method in ("GET", "HEAD")
        uncovered, where = ("body", call.body) if in_the_query else ("query", call.query)
        if where:
            sent = "in the query" if in_the_query else "in the body"
            text = f"is not covered by the signature of a {call.method}: send the parameters {sent}"
            raise InvalidParametersError({uncovered: [text]})
        secret = await runtime.reveal(self.client_secret)
        payload = sorted_query(call.query).encode() if in_the_query else call.body
        timestamp = int(runtime.upstream_now().timestamp())
        headers = _signature(secret, method=call.method, path=call.path, timestamp=timestamp, payload=payload)
        return headers if in_the_query else {"Content-Type": "application/json", **headers}

    def _life(self, parameters: Mapping[str, str]) -> timedelta:
        """Return the life to ask for. Raises ValueError for a caller's ``expiration`` that is wrong or too long."""
        if EXPIRATION not in parameters:
            return self.expiration
        text = parameters[EXPIRATION]
        if text.isascii() and text.isdigit():
            raise ValueError(f'is a duration: write "{text[:4]}m" for so many minutes')
        asked = _whole_minutes(parse_duration(text))
        longest = self.expiration if self.expiration_max is None else self.expiration_max
        if asked > longest:
            raise ValueError(f"is at most {longest // timedelta(minutes=1)}m (expiration_max of the provider)")
        return asked

    def _token_of(self, reply: UpstreamReply, life: timedelta, secret: Secret) -> Token:
        host = host_of(self.base_url)
        answer = parse_object(reply.body, host)
        data = answer.get("data")
        if answer.get("status") != "success" or not isinstance(data, dict):
            raise with_words(TransientError(f"{host} answered 200 without success"), reply, [secret])
        token = token_value(data.get("token"), host)
        expires = expiry(
            reply, token, host=host, absolute=data.get("expiration", MISSING), relative=data.get("expiresIn", MISSING),
            default_seconds=life.total_seconds(), zero_means=self.zero_means,
        )  # fmt: skip
        # All members but the token. The login link is a secret: it logs its holder in.
        extra: dict[str, JSON | Secret] = {key: value for key, value in data.items() if key != "token"}
        if data.get("loginLink") is not None:
            extra["loginLink"] = token_value(data["loginLink"], host)
        return Token(
            value=token,
            token_type="login",  # noqa: S106  (it is no bearer: there are no headers to send)
            issued_at=reply.sent_at,
            expires_at=expires,
            extra=extra,
        )


def _whole_minutes(value: timedelta) -> timedelta:
    if value % timedelta(minutes=1) or not timedelta(minutes=1) <= value <= timedelta(days=1):
        raise ValueError('it is sent as whole minutes, 1 to 1440: "2m", "1h", "1d"')
    return value


def _signature(secret: Secret, *, method: str, path: str, timestamp: int, payload: bytes) -> dict[str, str | Secret]:
    signature = request_hmac(secret, method=method, path=path, timestamp=timestamp, body=payload)
    return {"x-timestamp": str(timestamp), "x-signature": signature}


def _refuse(reply: UpstreamReply, host: str, *, secret: Secret, signed_at: int) -> NoReturn:
    if reply.status == 401:
        message = f"{host} answered 401: the signature (client_secret) or the timestamp is not accepted"
        try:
            refuse_signed(reply, message, signed_at=signed_at)
        except AttemptError as error:
            raise with_words(error, reply, [secret]) from None
    if reply.status == 400:
        answer = try_object(reply.body)
        data = None if answer is None else answer.get("data")
        if errors := field_errors(data.get("errors") if isinstance(data, dict) else None, secrets=[secret]):
            raise InvalidParametersError(errors)
    refuse(reply, host, secrets=[secret])
