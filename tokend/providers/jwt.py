"""Kind ``jwt``: a JWT signed on this machine with a secret shared with a partner (docs/vendors.md, jwt)."""

from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, field_validator

from tokend.plugin.jwt_settings import JwtSettings, json_only
from tokend.plugin.provider import Runtime
from tokend.plugin.settings import HeldSettings
from tokend.values.secret import Secret
from tokend.values.tokens import Token


class Jwt(JwtSettings, HeldSettings):
    """A held token that tokend mints: no request, no minimum interval. A change of the secret mints a new token."""

    kind: Literal["jwt"] = "jwt"
    claims: dict[str, Any] = Field(default_factory=dict)

    @field_validator("claims")
    @classmethod
    def _no_times(cls, value: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted({"iat", "exp", "jti"} & value.keys()):
            raise ValueError(
                f"{', '.join(taken)} cannot be written down: tokend adds iat and exp, and jti where jti = true"
            )
        return json_only(value)

    def __eq__(self, other: object) -> bool:
        """Return whether both settings sign the same claims. 1, 1.0 and true are equal in Python but not in JSON."""
        return super().__eq__(other) and isinstance(other, Jwt) and repr(self.claims) == repr(other.claims)

    def fresh_life_seconds(self) -> float | None:
        """Return ``ttl`` without ``backdate``."""
        return (self.ttl - (self.backdate or timedelta())).total_seconds()

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:  # noqa: ARG002  (nothing to extend)
        """Sign a new token."""
        secret = await runtime.reveal(self.secret)
        now = runtime.clock.instant()
        # Whole seconds, in milliseconds too.
        sent = now.wall.timestamp()
        started = int(sent)
        issued, expires = self.times(started)
        value = self.signed({**self.claims, "iat": issued, "exp": expires}, secret)
        factor = 1000 if self.time_unit == "ms" else 1
        return Token(
            value=value,
            token_type="Bearer",  # noqa: S106  (a scheme's name)
            # From the start of the current second, as in the claims: the lease must not outlive exp.
            issued_at=now.after(started - sent),
            expires_at=now.after(expires // factor - sent),
            headers={"Authorization": Secret(f"Bearer {value.reveal()}")},
        )
