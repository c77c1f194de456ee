"""Kind ``jwt``: a JWT signed on this machine with a secret shared with a partner (docs/vendors.md, jwt)."""

import json
import secrets as secrets_module
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tokend.plugin.provider import Runtime
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import HeldSettings
from tokend.plugin.settings_base import Duration
from tokend.signing.jwt import key_fault, sign
from tokend.values.secret import Secret
from tokend.values.tokens import Token

# RFC 7518, 3.2: an HMAC key has at least the hash's size. This is the size of the smallest hash, SHA-256.
SHORTEST_HMAC_KEY_BYTES = 32
RESERVED_HEADERS = frozenset({"alg", "typ", "b64", "crit"})

Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]


class Jwt(HeldSettings):
    """A held token that tokend mints: no request, no minimum interval. A change of the secret mints a new token."""

    kind: Literal["jwt"] = "jwt"
    secret: SecretField
    algorithm: Algorithm = "HS256"
    ttl: Duration = timedelta(minutes=15)
    claims: dict[str, Any] = Field(default_factory=dict)
    header: dict[str, Any] = Field(default_factory=dict)
    nonce: bool = False
    jti: bool = False
    time_unit: Literal["s", "ms"] = "s"
    backdate: Duration | None = None

    @field_validator("ttl", "backdate")
    @classmethod
    def _whole_seconds(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value % timedelta(seconds=1):
            raise ValueError('it is whole seconds, as the token\'s times are: "90s", "15m"')
        return value

    @field_validator("claims", "header")
    @classmethod
    def _json(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise ValueError(
                "it holds something that JSON cannot say: write dates as strings, no nan, no inf"
            ) from None
        return value

    @field_validator("claims")
    @classmethod
    def _no_times(cls, value: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted({"iat", "exp", "jti"} & value.keys()):
            raise ValueError(
                f"{', '.join(taken)} cannot be written down: tokend adds iat and exp, and jti where jti = true"
            )
        return value

    @field_validator("header")
    @classmethod
    def _no_reserved(cls, value: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(RESERVED_HEADERS & value.keys()):
            raise ValueError(f"{', '.join(taken)} cannot be set here: the algorithm key decides")
        return value

    @model_validator(mode="after")
    def _some_life(self) -> Self:
        if self.backdate is not None and self.backdate >= self.ttl:
            raise ValueError("backdate must be less than ttl: exp is ttl after the backdated iat")
        if self.nonce and "nonce" in self.header:
            raise ValueError("nonce = true makes a fresh one for each token: header cannot hold one, too")
        return self

    def __eq__(self, other: object) -> bool:
        """Return whether both settings sign the same claims. 1, 1.0 and true are equal in Python but not in JSON."""
        return super().__eq__(other) and isinstance(other, Jwt) and self._exact_repr() == other._exact_repr()

    def _exact_repr(self) -> str:
        return repr((self.claims, self.header))

    def fresh_life_seconds(self) -> float | None:
        """Return ``ttl`` without ``backdate``."""
        return (self.ttl - (self.backdate or timedelta())).total_seconds()

    def warnings(self, secrets: Mapping[str, Secret]) -> tuple[str, ...]:
        """Return warnings about the readable secrets: an HMAC key that is shorter than RFC 7518 demands."""
        secret = secrets.get("secret")
        if secret is None or not self.algorithm.startswith("HS"):
            return ()
        size = len(secret.reveal_bytes())
        if size >= SHORTEST_HMAC_KEY_BYTES:
            return ()
        return (f"the secret has {size} bytes: {self.algorithm} keys should have at least {SHORTEST_HMAC_KEY_BYTES}",)

    def unusable_secrets(self, secrets: Mapping[str, Secret]) -> Mapping[str, str]:
        """Return the fault of a key that does not fit the algorithm."""
        secret = secrets.get("secret")
        if secret is None or self.algorithm.startswith("HS"):
            return {}
        fault = key_fault(secret, self.algorithm)
        return {} if fault is None else {"secret": fault}

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:  # noqa: ARG002  (nothing to extend)
        """Sign a new token."""
        secret = await runtime.reveal(self.secret)
        now = runtime.clock.instant()
        # Whole seconds, rounded down: servers with PyJWT refuse an iat in the future.
        sent = now.wall.timestamp()
        started = int(sent)
        issued = started - int((self.backdate or timedelta()).total_seconds())
        expires = issued + int(self.ttl.total_seconds())
        factor = 1000 if self.time_unit == "ms" else 1
        claims = {**self.claims, "iat": issued * factor, "exp": expires * factor}
        if self.jti:
            claims["jti"] = str(uuid.uuid4())
        header = {**self.header, **({"nonce": secrets_module.token_hex(16)} if self.nonce else {})}
        value = sign(claims, secret, algorithm=self.algorithm, header=header)
        return Token(
            value=Secret(value),
            token_type="Bearer",  # noqa: S106  (a scheme's name)
            # From the start of the current second, as in the claims: the lease must not outlive exp.
            issued_at=now.after(started - sent),
            expires_at=now.after(expires - sent),
            headers={"Authorization": Secret(f"Bearer {value}")},
        )
