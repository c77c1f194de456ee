"""Settings of a kind that signs JWTs on this machine: the key, the algorithm, the times, the header."""

import json
import secrets as secrets_module
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import ProviderSettings
from tokend.plugin.settings_base import Duration
from tokend.signing.jwt import key_fault, sign
from tokend.values.secret import Secret

# RFC 7518, 3.2: an HMAC key has at least the hash's size. This is the size of the smallest hash, SHA-256.
SHORTEST_HMAC_KEY_BYTES = 32
RESERVED_HEADERS = frozenset({"alg", "typ", "b64", "crit"})

Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]


class JwtSettings(ProviderSettings):
    """The keys of what is signed, without the claims."""

    secret: SecretField
    algorithm: Algorithm = "HS256"
    ttl: Duration = timedelta(minutes=15)
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

    @field_validator("header")
    @classmethod
    def _no_reserved(cls, value: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(RESERVED_HEADERS & value.keys()):
            raise ValueError(f"{', '.join(taken)} cannot be set here: the algorithm key decides")
        return json_only(value)

    @model_validator(mode="after")
    def _some_life(self) -> Self:
        if self.backdate is not None and self.backdate >= self.ttl:
            raise ValueError("backdate must be less than ttl: exp is ttl after the backdated iat")
        if self.nonce and "nonce" in self.header:
            raise ValueError("nonce = true makes a fresh one for each token: header cannot hold one, too")
        return self

    def __eq__(self, other: object) -> bool:
        """Return whether both sign the same header. 1, 1.0 and true are equal in Python but not in JSON."""
        return super().__eq__(other) and isinstance(other, JwtSettings) and repr(self.header) == repr(other.header)

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

    def times(self, moment: float) -> tuple[int, int]:
        """Return ``iat`` and ``exp`` in ``time_unit``, for a moment in Unix seconds."""
        factor = 1000 if self.time_unit == "ms" else 1
        life, back = (int(one.total_seconds()) * factor for one in (self.ttl, self.backdate or timedelta()))
        # Rounded down: servers with PyJWT refuse an iat in the future.
        issued = int(moment * factor) - back
        return issued, issued + life

    def signed(self, claims: Mapping[str, Any], secret: Secret) -> Secret:
        """Sign claims, and with ``jti`` and ``nonce`` fresh ones. Raises `SecretError` for a key that does not fit."""
        unique = {"jti": str(uuid.uuid4())} if self.jti else {}
        header = {**self.header, **({"nonce": secrets_module.token_hex(16)} if self.nonce else {})}
        return Secret(sign({**claims, **unique}, secret, algorithm=self.algorithm, header=header))


def json_only(value: dict[str, Any]) -> dict[str, Any]:
    """Return a table that JSON can say. Raises ValueError."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("it holds something that JSON cannot say: write dates as strings, no nan, no inf") from None
    return value
