"""Settings of providers and sinks: the common keys, as frozen models whose fields *are* TOML keys.

A kind inherits from one of these and adds its own fields; it needs no factory and no schema besides. A reload compares
two tables by ``==``. `field_roles` says what a change of one field means.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from tokend.plugin import field_roles
from tokend.plugin.field_roles import Role
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings_base import Duration, Headers, Lead, Settings, Strings
from tokend.plugin.sink import Content, SinkRuntime
from tokend.plugin.upstream_settings import UpstreamSettings
from tokend.values.tokens import Lease


class Access(Settings):
    """Who may read a token: a peer passes if any of these matches. Root and the daemon's uid always pass."""

    users: Strings = ()
    groups: Strings = ()
    units: Strings = ()


class ProviderSettings(Settings):
    """The keys that every provider takes."""

    # Without an upstream: no request, no rate limit, no interval between two attempts.
    local: ClassVar[bool] = True

    kind: str
    required: Annotated[bool, Role.HANDLING] = True
    timeout: Annotated[Duration, Role.CONNECTION] = timedelta(seconds=30)
    headers: Annotated[Headers, Role.HANDLING] = Field(default_factory=dict)
    access: Annotated[Access | None, Role.HANDLING] = None

    @field_validator("headers")
    @classmethod
    def _once_each(cls, value: dict[str, str]) -> dict[str, str]:
        if len({name.lower() for name in value}) != len(value):
            raise ValueError("a header stands here twice: upper and lower case do not make two of it")
        return value

    @property
    def upstream(self) -> str | None:
        """``host:port`` whose rate limit counts; None for kinds that make no request."""
        return None

    def secrets(self) -> dict[str, SecretSource]:
        """The fields that hold secrets and are set, by name."""
        # The model's fields as they stand in it: to ask for each by name takes five times as long. isinstance takes ten
        # times as long with a model's class, and a reload asks ten thousand providers.
        return {name: value for name, value in self.__dict__.items() if type(value) is SecretSource}

    def optional_secrets(self) -> frozenset[str]:
        """The names of secrets that may be absent at their place without that being an error."""
        return _fields_of(type(self)).absent

    def missing_secrets(self, unreadable: frozenset[str]) -> frozenset[str]:
        """Those of the ``unreadable`` secrets without which no token can be had: configuration errors."""
        return unreadable - self.optional_secrets()

    @classmethod
    def request_fields(cls) -> frozenset[str]:
        """The keys that enter the request or the signature: a fetch follows when one of them changes."""
        return _fields_of(cls).request

    def goes_the_way_of(self, other: "ProviderSettings") -> bool:
        """Return whether the upstream is reached as under ``other``: another way may end a failure."""
        keys = _fields_of(type(self)).connection | _fields_of(type(other)).connection
        return all(getattr(self, key, None) == getattr(other, key, None) for key in keys)


class HeldSettings(ProviderSettings):
    """The keys of a token that tokend holds: fetched or minted before it is asked for.

    ``minimum_lead_seconds`` and ``request_interval_seconds`` are the vendor's.
    """

    minimum_lead_seconds: ClassVar[float] = 0.0
    # After a success the next scheduled request comes at least this much later.
    request_interval_seconds: ClassVar[float] = 1.0
    # The vendor counts that interval per account: providers that share one ask one after another.
    interval_is_the_accounts: ClassVar[bool] = False
    # Each use of the login replaces it (a refresh token that rotates): what is lost then is lost for good.
    rotates: ClassVar[bool] = False

    refresh_before: Annotated[Lead | None, Role.HANDLING] = None
    on_expiry: Annotated[Literal["keep", "remove"], Role.HANDLING] = "keep"

    @property
    def account_fields(self) -> frozenset[str]:
        """The keys that say whose token it is: if one of their values changes, the old token is somebody else's."""
        return _fields_of(type(self)).account

    def fresh_life_seconds(self) -> float | None:
        """The life of a fresh token if it follows from the settings alone, else None."""
        return None


class OnDemandSettings(ProviderSettings):
    """The keys of a token that is issued per query: nothing is prefetched, cached or written."""


class NetworkSettings(UpstreamSettings, ProviderSettings):
    """The keys of a kind that asks an upstream: a mixin beside `HeldSettings` or `OnDemandSettings`.

    A kind that declares nothing more is safe: ``base_url`` is checked, its host's rate limit counts for all providers
    that ask there, and another ``base_url`` is another account.
    """

    local: ClassVar[bool] = False

    # The meaning of a lifetime of 0 in an answer.
    zero_means: Annotated[Literal["expired", "never"], Role.HANDLING] = "expired"


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
        # isinstance takes ten times as long with a model's class, and a reload asks ten thousand file sinks.
        return {name: value for name, value in self.__dict__.items() if type(value) is SecretSource}

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


class _Fields:
    """The names of a class's fields by role. Made once: ten thousand providers are compared at a reload."""

    def __init__(self, model: type[ProviderSettings]) -> None:
        self.request = field_roles.request_fields(model)
        self.account = field_roles.account_fields(model)
        self.connection = field_roles.fields_in_role(model, Role.CONNECTION)
        self.absent = field_roles.fields_that_may_be_absent(model)


@cache
def _fields_of(model: type[ProviderSettings]) -> _Fields:
    return _Fields(model)
