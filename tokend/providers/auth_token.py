"""A single-use login token for one end user, by an HMAC-signed request (docs/vendors.md, auth-token)."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, NoReturn

import orjson
from pydantic import field_validator

from tokend.errors import InvalidParametersError, TransientError
from tokend.http.client import host_of, validate_base_url
from tokend.http.exchange import Reply, Request
from tokend.http.expiry import expiry
from tokend.http.json import parse_object, try_object
from tokend.http.verdict import raise_unauthorized, refuse, token_value
from tokend.interfaces import Runtime
from tokend.secret import Secret
from tokend.settings import Duration, NetworkSettings, OnDemandSettings
from tokend.signing.request_hash import request_hmac
from tokend.sources import SecretField
from tokend.tokens import JSON, Token

PATH = "/api/v1/generate-auth-token"
LONGEST = {"clientId": 255, "username": 100, "displayName": 100, "ipAddress": 45}
# A vendor's field errors are passed on, but not a page of them.
LARGEST_ERRORS_BYTES = 4096


class AuthToken(OnDemandSettings, NetworkSettings):
    """An on-demand token whose every call creates or updates a user: one call per query."""

    kind: Literal["auth-token"] = "auth-token"
    base_url: str = "https://wdcf.xerve.online"
    client_secret: SecretField
    expiration: Duration = timedelta(minutes=2)

    _base_url = field_validator("base_url")(validate_base_url)

    @field_validator("expiration")
    @classmethod
    def _whole_minutes(cls, value: timedelta) -> timedelta:
        if value % timedelta(minutes=1) or not timedelta(minutes=1) <= value <= timedelta(days=1):
            raise ValueError('it is sent as whole minutes, 1 to 1440: "2m", "1h", "1d"')
        return value

    @property
    def upstream(self) -> str | None:
        """The host whose rate limit counts."""
        return host_of(self.base_url)

    def check(self, parameters: Mapping[str, str]) -> None:
        """All four fields, none too long, and no other: the configuration sets ``expiration``."""
        errors: dict[str, list[str]] = {}
        for name, longest in LONGEST.items():
            value = parameters.get(name, "")
            if not value:
                errors[name] = ["is required"]
            elif len(value) > longest:
                errors[name] = [f"has {len(value)} characters; at most {longest} are allowed"]
        for name in parameters.keys() - LONGEST.keys():
            hint = " (the configuration sets it)" if name == "expiration" else ""
            errors[name] = [f"is unknown{hint}; known are {', '.join(LONGEST)}"]
        if errors:
            raise InvalidParametersError(errors)

    async def issue(self, runtime: Runtime, parameters: Mapping[str, str]) -> Token:
        """Make one call, with a timestamp and a signature of its own."""
        secret = await runtime.reveal(self.client_secret)
        minutes = int(self.expiration.total_seconds()) // 60
        # Compact UTF-8 JSON in the vendor's order: these bytes are signed and sent.
        body = orjson.dumps({**{name: parameters[name] for name in LONGEST}, "expiration": minutes})
        timestamp = int(runtime.upstream_now().timestamp())
        url = self.base_url + PATH
        path = "/" + url.split("://", 1)[1].partition("/")[2]
        headers: dict[str, str | Secret] = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "x-timestamp": str(timestamp),
            "x-signature": request_hmac(secret, method="POST", path=path, timestamp=timestamp, body=body),
        }
        reply = await runtime.exchange(Request("POST", url, headers, body))
        return self._read(reply, secret)

    def _read(self, reply: Reply, secret: Secret) -> Token:
        host = host_of(self.base_url)
        if reply.status != 200:
            _refuse(reply, host, secret)
        answer = parse_object(reply.body, host)
        data = answer.get("data")
        if answer.get("status") != "success" or not isinstance(data, dict):
            raise TransientError(f"{host} answered 200 without success")
        token = token_value(data.get("token"), host)
        expires = expiry(
            reply, token, host=host, absolute=data.get("expiration"), relative=data.get("expiresIn"),
            default_seconds=self.expiration.total_seconds(),
        )  # fmt: skip
        # Everything but the token itself; the link logs its bearer in.
        extra: dict[str, JSON | Secret] = {key: value for key, value in data.items() if key != "token"}
        if "loginLink" in data:
            extra["loginLink"] = token_value(data["loginLink"], host)
        return Token(
            value=token,
            token_type="login",  # noqa: S106  (it is no bearer: there are no headers to send)
            issued_at=reply.sent_at,
            expires_at=expires,
            extra=extra,
        )


def _refuse(reply: Reply, host: str, secret: Secret) -> NoReturn:
    answer = try_object(reply.body)
    if reply.status == 401:
        raise_unauthorized(
            reply, f"{host} answered 401: the signature (client_secret) or the timestamp is not accepted"
        )
    if reply.status == 400 and answer is not None:
        errors = _field_errors(answer, secret)
        if errors:
            raise InvalidParametersError(errors)
    refuse(reply, host)


def _field_errors(answer: dict[str, Any], secret: Secret) -> dict[str, list[str]]:
    """The vendor's own texts by field: control characters removed, our secret masked, 4 KiB at most."""
    data = answer.get("data")
    found = data.get("errors") if isinstance(data, dict) else None
    errors: dict[str, list[str]] = {}
    left = LARGEST_ERRORS_BYTES
    for field, texts in found.items() if isinstance(found, dict) else ():
        name = _clean(str(field), secret)
        for text in texts if isinstance(texts, list) else [texts]:
            line = _clean(text, secret) if isinstance(text, str) else ""
            left -= len(name.encode()) + len(line.encode())
            if line and left >= 0:
                errors.setdefault(name, []).append(line)
    return errors


def _clean(text: str, secret: Secret) -> str:
    return "".join(c for c in text if c.isprintable()).replace(secret.reveal(), "***")
