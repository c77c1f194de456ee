"""Kind ``request-jwt``: one JWT per payment request, with a hash of the order (docs/vendors.md, request-jwt)."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from tokend.plugin.caller_names import unknown_parameters
from tokend.plugin.provider import Runtime
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import OnDemandSettings
from tokend.plugin.settings_base import Duration
from tokend.plugin.text import header_text, is_text
from tokend.signing.jwt import sign
from tokend.signing.request_hash import json_string_sha256
from tokend.values.errors import InvalidParametersError
from tokend.values.secret import Secret
from tokend.values.tokens import Token

SEPARATOR = "#"
CONTENT_TYPE = "Content-Type"


class RequestJwt(OnDemandSettings):
    """An on-demand token for one request. The query's parameters are ``url`` and the signed fields."""

    kind: Literal["request-jwt"] = "request-jwt"
    key: SecretField
    secret: SecretField
    algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"
    ttl: Duration = timedelta(seconds=60)
    time_unit: Literal["s", "ms"] = "ms"
    signature_fields: Annotated[tuple[str, ...], Field(strict=False)] = ("currency", "amount", "orderId")
    token_header: str = "Authorization"  # noqa: S105  (a header's name)
    token_prefix: str = "Bearer "  # noqa: S105
    key_header: str = "x-auth-key"

    @field_validator("signature_fields")
    @classmethod
    def _no_url(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "url" in value or len(set(value)) != len(value) or not all(value):
            raise ValueError("signature_fields are different names, and url is not one of them: it is always required")
        return value

    @field_validator("token_header", "key_header")
    @classmethod
    def _header_name(cls, value: str) -> str:
        if not value or not all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in value):
            raise ValueError("this is no header name")
        return value

    @field_validator("token_prefix")
    @classmethod
    def _printable(cls, value: str) -> str:
        if not (value.isascii() and (value.isprintable() or not value)):
            raise ValueError("a header's value is one line of ASCII")
        return value

    @model_validator(mode="after")
    def _different_headers(self) -> Self:
        names = [name.lower() for name in (self.token_header, self.key_header, CONTENT_TYPE)]
        if len(set(names)) != len(names):
            raise ValueError(f"token_header, key_header and {CONTENT_TYPE} must be three different headers")
        if self.time_unit == "s" and self.ttl % timedelta(seconds=1):
            raise ValueError('with time_unit = "s" the ttl is whole seconds')
        return self

    def check(self, parameters: Mapping[str, str]) -> None:
        """Check that ``url`` and either all signed fields or none are given, and that no field contains ``#``.

        Raises `InvalidParametersError`.
        """
        errors: dict[str, list[str]] = {}
        given = [name for name in self.signature_fields if parameters.get(name)]
        if not parameters.get("url"):
            errors["url"] = ["is required: the endpoint's path, exactly as it will be called"]
        for name in self.signature_fields:
            if given and name not in given:
                errors[name] = [f"is required together with {', '.join(given)}"]
            elif SEPARATOR in parameters.get(name, ""):
                errors[name] = [f"must not contain {SEPARATOR}: it separates the signed fields"]
        known = ("url", *self.signature_fields)
        errors |= unknown_parameters(parameters, known)
        for name in known:
            if name not in errors and not is_text(parameters.get(name, "")):
                errors[name] = ["is not valid Unicode text"]
        if errors:
            raise InvalidParametersError(errors)

    async def issue(self, runtime: Runtime, parameters: Mapping[str, str]) -> Token:
        """Sign one JWT for the caller's request."""
        key, secret = await runtime.reveal(self.key), await runtime.reveal(self.secret)
        fields = [parameters.get(name, "") for name in self.signature_fields]
        now, upstream_now = runtime.clock.instant(), runtime.upstream_now().timestamp()
        factor = 1000 if self.time_unit == "ms" else 1
        issued = int(upstream_now * factor)
        life = int(self.ttl.total_seconds() * factor)
        key_text = header_text(key, "key")
        claims = {
            "url": parameters["url"],
            "iat": issued,
            "exp": issued + life,
            "key": key_text,
            "signature": json_string_sha256(fields if any(fields) else []),
        }
        value = sign(claims, secret, algorithm=self.algorithm)
        return Token(
            value=Secret(value),
            token_type=self.token_prefix.strip() or "JWT",
            issued_at=now,
            # From the claims' own times, which are rounded down: the lease must not outlive exp.
            expires_at=now.after((issued + life) / factor - upstream_now),
            headers={
                self.token_header: Secret(self.token_prefix + value),
                self.key_header: key,
                CONTENT_TYPE: Secret("application/json"),
            },
        )
