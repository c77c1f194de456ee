"""A JWT signed on this machine with a secret that a partner shares (docs/vendors.md, jwt)."""

import secrets as secrets_module
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from tokend.interfaces import Runtime
from tokend.secret import Secret
from tokend.settings import Duration, HeldSettings
from tokend.signing.jwt import sign
from tokend.sources import SecretField
from tokend.tokens import Token

# RFC 7518, 3.2: a key of the hash's size or larger.
SHORTEST_HMAC_KEY_BYTES = 32
RESERVED_HEADERS = frozenset({"alg", "typ", "b64", "crit"})

Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]


class Jwt(HeldSettings):
    """A held token that is minted: no request, no floor, a new one as soon as the secret changes."""

    local: ClassVar[bool] = True
    # All that is signed, and the secret.
    account_fields: ClassVar[frozenset[str]] = frozenset(
        {"secret", "algorithm", "ttl", "claims", "header", "nonce", "jti", "time_unit", "backdate"}
    )

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

    @field_validator("ttl")
    @classmethod
    def _at_least_a_second(cls, value: timedelta) -> timedelta:
        if value < timedelta(seconds=1):
            raise ValueError("a token lives at least a second: its times are whole seconds")
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

    def fresh_life_seconds(self) -> float | None:
        """The life of a fresh token."""
        return self.ttl.total_seconds() - (self.backdate.total_seconds() if self.backdate else 0.0)

    def warnings(self, secrets: Mapping[str, Secret]) -> tuple[str, ...]:
        """Say what works but should not be so."""
        secret = secrets.get("secret")
        if secret is None or not self.algorithm.startswith("HS"):
            return ()
        size = len(secret.reveal_bytes())
        if size >= SHORTEST_HMAC_KEY_BYTES:
            return ()
        return (f"the secret has {size} bytes: {self.algorithm} keys should have at least {SHORTEST_HMAC_KEY_BYTES}",)

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:  # noqa: ARG002  (nothing to extend)
        """Sign."""
        secret = await runtime.reveal(self.secret)
        now = runtime.clock.instant()
        # Whole seconds, and the token is dated from the one that has begun: never longer than it says.
        issued = int(now.wall.timestamp()) - int(self.backdate.total_seconds() if self.backdate else 0)
        expires = issued + int(self.ttl.total_seconds())
        factor = 1000 if self.time_unit == "ms" else 1
        claims = {**self.claims, "iat": issued * factor, "exp": expires * factor}
        if self.jti:
            claims["jti"] = str(uuid.uuid4())
        header = {**self.header, **({"nonce": secrets_module.token_hex(16)} if self.nonce else {})}
        value = sign(claims, secret, algorithm=self.algorithm, header=header)
        sent = now.wall.timestamp()
        return Token(
            value=Secret(value),
            token_type="Bearer",  # noqa: S106  (a scheme's name)
            issued_at=now.after(issued - sent) if not self.backdate else now,
            expires_at=now.after(expires - sent),
            headers={"Authorization": Secret(f"Bearer {value}")},
        )
