"""What every provider and every sink can be told: the common keys, as frozen models whose fields *are* TOML keys.

A kind subclasses one of these, adds its own fields, and needs no factory and no schema besides. Reload is ``==``.
"""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationInfo

from tokend.sources import SecretSource

_DURATION = re.compile(r"([1-9][0-9]*)(ms|s|m|h|d)", re.ASCII)
_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_PERCENTAGE = re.compile(r"([1-9][0-9]?)%", re.ASCII)
# Ten years: longer is a typing error, and far below what timedelta can hold.
LONGEST_DURATION = timedelta(days=3660)


class Percentage(float):
    """A share of a token's life, 0.01 to 0.99, written ``"20%"``."""


def parse_duration(text: str) -> timedelta:
    """Read ``[1-9][0-9]*(ms|s|m|h|d)``; raises ValueError with a message that shows the form."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError('a duration is a whole number with a unit: "500ms", "30s", "15m", "12h", "1d"')
    number, unit = match.groups()
    if len(number) > 12 or (duration := timedelta(seconds=int(number) * _UNIT_SECONDS[unit])) > LONGEST_DURATION:
        raise ValueError("a duration is at most ten years")
    return duration


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError('a duration is a string with a unit: "500ms", "30s", "15m", "12h", "1d"')  # noqa: TRY004
    return parse_duration(value)


def _lead(value: Any) -> timedelta | Percentage:
    if isinstance(value, str) and (match := _PERCENTAGE.fullmatch(value)):
        return Percentage(int(match[1]) / 100)
    if isinstance(value, Percentage):
        return value
    try:
        return _duration(value)
    except ValueError as error:
        raise ValueError(f'{error}; or a percentage of the life: "20%"') from None


def _anchored(value: Any, info: ValidationInfo) -> Any:
    """Resolve a relative path against the directory of the file it stands in (validation context)."""
    return Path((info.context or {}).get("directory", ".")) / value if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Lead = Annotated[timedelta | Percentage, PlainValidator(_lead)]
AnchoredPath = Annotated[Path, BeforeValidator(_anchored)]
Strings = Annotated[tuple[str, ...], Field(strict=False)]


class Settings(BaseModel):
    """Strict, frozen, no unknown keys, and no input quoted in errors (it may be a secret)."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True
    )


class Access(Settings):
    """Who may read a token: a peer passes if any of these matches. Root and the daemon's uid always pass."""

    users: Strings = ()
    groups: Strings = ()
    units: Strings = ()


class ProviderSettings(Settings):
    """The keys that every provider takes."""

    kind: str
    required: bool = True
    timeout: Duration = timedelta(seconds=30)
    headers: dict[str, str] = Field(default_factory=dict)
    access: Access | None = None

    def secrets(self) -> dict[str, SecretSource]:
        """The fields that hold secrets and are set, by name."""
        values = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: value for name, value in values if isinstance(value, SecretSource)}

    def optional_secrets(self) -> frozenset[str]:
        """The names among `secrets` that may be absent at their place without that being an error."""
        return frozenset()

    def request_fields(self) -> frozenset[str]:
        """The keys that enter the request or the signature: a fetch follows when one of them changes."""
        return frozenset(type(self).model_fields) - NOT_IN_THE_REQUEST


class HeldSettings(ProviderSettings):
    """The keys of a token that tokend holds: fetched or minted ahead of time.

    ``account_fields`` are the keys that say whose token it is: where one of their values changes, the old token
    belongs to somebody else. ``local`` kinds make no request and have no floor. ``minimum_lead_seconds`` and
    ``request_interval_seconds`` are the vendor's. ``upstream`` names the host whose rate limit counts, or None.
    """

    account_fields: ClassVar[frozenset[str]]
    local: ClassVar[bool] = False
    minimum_lead_seconds: ClassVar[float] = 0.0
    # After a success the next scheduled request comes at least this much later.
    request_interval_seconds: ClassVar[float] = 1.0

    refresh_before: Lead | None = None
    on_expiry: Literal["keep", "remove"] = "keep"

    @property
    def upstream(self) -> str | None:
        """``host:port`` whose Retry-After binds us, None for local kinds."""
        return None

    def fresh_life_seconds(self) -> float | None:
        """The life of a fresh token where the settings alone tell it, else None."""
        return None


class OnDemandSettings(ProviderSettings):
    """The keys of a token that is issued per query: nothing is prefetched, cached or written."""

    @property
    def upstream(self) -> str | None:
        """``host:port`` whose Retry-After binds us, None for local kinds."""
        return None


class NetworkSettings(Settings):
    """The keys of a kind that talks to an upstream: how to reach it. A mixin beside one of the above."""

    base_url: str
    ca_file: AnchoredPath | None = None
    client_cert: AnchoredPath | None = None
    client_key: AnchoredPath | None = None
    proxy: str | None = None


class SinkSettings(Settings):
    """The keys that every sink takes."""

    kind: str
    required: bool = True

    @property
    def target(self) -> str:
        """What the sink writes to, for status and messages: a path, or another name without secrets."""
        raise NotImplementedError


# These keys change how a token is kept and shown, not what is sent or signed: no fetch when they change.
NOT_IN_THE_REQUEST = frozenset(
    {"required", "timeout", "headers", "access", "refresh_before", "on_expiry", "initial_token", "refresh"}
    | {"ca_file", "client_cert", "client_key", "proxy"}
)
