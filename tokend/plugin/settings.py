"""What every provider and every sink can be told: the common keys, as frozen models whose fields *are* TOML keys.

A kind subclasses one of these, adds its own fields, and needs no factory and no schema besides. Reload is ``==``.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings_base import AnchoredPath, Duration, Headers, Lead, Settings, Strings
from tokend.plugin.sink import Content, SinkRuntime
from tokend.values.tokens import Lease


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
    headers: Headers = Field(default_factory=dict)
    access: Access | None = None

    @field_validator("headers")
    @classmethod
    def _once_each(cls, value: dict[str, str]) -> dict[str, str]:
        if len({name.lower() for name in value}) != len(value):
            raise ValueError("a header stands here twice: upper and lower case do not make two of it")
        return value

    def secrets(self) -> dict[str, SecretSource]:
        """The fields that hold secrets and are set, by name."""
        # The model's fields as they stand in it: to ask for each by name takes five times as long.
        return {name: value for name, value in self.__dict__.items() if isinstance(value, SecretSource)}

    def optional_secrets(self) -> frozenset[str]:
        """The names among `secrets` that may be absent at their place without that being an error."""
        return frozenset()

    def missing_secrets(self, unreadable: frozenset[str]) -> frozenset[str]:
        """Those of the ``unreadable`` secrets without which there is nothing to begin with: configuration errors."""
        return unreadable - self.optional_secrets()

    def request_fields(self) -> frozenset[str]:
        """The keys that enter the request or the signature: a fetch follows when one of them changes."""
        return frozenset(type(self).model_fields) - NOT_IN_THE_REQUEST

    def goes_the_way_of(self, other: "ProviderSettings") -> bool:
        """Tell whether the upstream is reached as under ``other``: a changed way may mend what failed."""
        return all(getattr(self, key, None) == getattr(other, key, None) for key in WAY_TO_THE_UPSTREAM)


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
    # The vendor counts that interval per account: providers that share one take turns.
    interval_is_the_accounts: ClassVar[bool] = False
    # Each use of the login replaces it (a refresh token that rotates): what is lost then is lost for good.
    rotates: ClassVar[bool] = False

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
    zero_means: Literal["expired", "never"] = "expired"
    ca_file: AnchoredPath | None = None
    client_cert: AnchoredPath | None = None
    client_key: AnchoredPath | None = None
    # It may hold a password.
    proxy: str | None = Field(default=None, repr=False)

    @field_validator("proxy")
    @classmethod
    def _proxy_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port is not None
        except ValueError:
            usable = False
        if not usable or not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError("a proxy is http://host:port or https://host:port")
        return value

    @model_validator(mode="after")
    def _key_with_certificate(self) -> Self:
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("client_key needs client_cert: the certificate that belongs to it")
        return self


class SinkSettings(Settings):
    """The keys that every sink takes.

    ``family`` says which interface of `plugin.sink` the model implements: ``pushed`` (`Sink`, or `CombiningSink` with a
    key ``tokens``), ``remote`` (`RemoteSink`) or ``served`` (`ListeningSink`).
    """

    family: ClassVar[Literal["pushed", "remote", "served"]] = "pushed"

    kind: str
    required: bool = True

    @property
    def target(self) -> str:
        """What the sink writes to, for status and messages: a path, or another name without secrets."""
        raise NotImplementedError

    @property
    def file_path(self) -> Path | None:
        """The file or socket on this machine that is the target; None for any other target."""
        return None

    def exclusive_targets(self) -> frozenset[str]:
        """The names that no other sink may have too: its target, or the `part_of` it that the sink writes."""
        return frozenset({self.target})

    def other_tokens(self) -> tuple[str, ...]:
        """The names of the other tokens that the content is made of: the key ``tokens``, where a kind has it."""
        others: tuple[str, ...] = self.__dict__.get("tokens", ())
        return others

    def secrets(self) -> dict[str, SecretSource]:
        """The fields that hold secrets and are set, by name."""
        return {name: value for name, value in self.__dict__.items() if isinstance(value, SecretSource)}

    def missing_secrets(self, unreadable: frozenset[str]) -> frozenset[str]:
        """Those of the ``unreadable`` secrets without which nothing can be written: configuration errors."""
        return unreadable


class RemoteSinkSettings(SinkSettings):
    """The keys that every sink in a store takes; a subclass implements `plugin.sink.RemoteSink`."""

    family: ClassVar[Literal["pushed", "remote", "served"]] = "remote"

    timeout: Duration = timedelta(seconds=30)

    async def content(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> Content:  # noqa: ARG002
        """Make the wanted content: the raw token."""
        ends = [end for one in (lease, *others.values()) if (end := one.token.expires_at) is not None]
        return Content(lease.token.value, lease.generation, min(ends, key=lambda end: end.boot, default=None))


def part_of(target: str, part: str) -> str:
    """Name a part of a target, for `SinkSettings.exclusive_targets`: sinks may share the target, not the part.

    A sink whose exclusive target is the whole shares it with nobody.
    """
    return f"{target}{PART}{part}"


# No path and no name of a store holds it.
PART = "\0"
WAY_TO_THE_UPSTREAM = frozenset({"ca_file", "client_cert", "client_key", "proxy", "timeout"})
# These keys change how a token is kept and shown, not what is sent or signed: no fetch when they change.
NOT_IN_THE_REQUEST = frozenset(
    {"required", "timeout", "headers", "access", "refresh_before", "on_expiry", "initial_token", "refresh"}
    | {"zero_means"}
    | WAY_TO_THE_UPSTREAM
)
