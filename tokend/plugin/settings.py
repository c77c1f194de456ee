"""Settings of providers and sinks: the common keys, as frozen models whose fields *are* TOML keys.

A kind inherits from one of these models and adds its own fields; it needs neither a factory nor a schema. A reload
compares two tables by ``==``. `field_roles` defines the effect of a changed field.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from tokend.plugin import field_roles
from tokend.plugin.field_roles import Role
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings_base import Duration, Headers, Lead, Settings, Strings
from tokend.plugin.upstream_settings import UpstreamSettings
from tokend.values.secret import Secret
from tokend.values.tokens import JSON, Token, ready_headers

_NO_FAULTS: Mapping[str, str] = MappingProxyType({})

# Queries of an on-demand kind that calls an upstream, per uid: per second, and at once.
ISSUE_RATE, ISSUE_BURST = 5.0, 20


# A kind that signs here has no minimum interval.
SHORTEST_MAX_AGE = timedelta(seconds=1)


class LoginAccess(Settings):
    """The peers that may log in and out beside the administrators: they decide whose account everybody uses."""

    users: Strings = ()
    groups: Strings = ()


class Access(Settings):
    """The peers that may read a token: a peer passes if any of these matches. `AccessPolicy` has the exemptions.

    Those of ``login`` may log in and out. That alone lets nobody read the token.
    """

    users: Strings = ()
    groups: Strings = ()
    units: Strings = ()
    login: LoginAccess | None = None


class ProviderSettings(Settings):
    """The keys that every provider takes."""

    # True for a kind without an upstream: no request, no rate limit, no interval between two attempts.
    local: ClassVar[bool] = True
    # True for a local kind whose token is what one of its files holds: another content of the file is read at once.
    is_read_from_file: ClassVar[bool] = False
    # Query parameter in which each call to the upstream needs a new id, for kinds with a method `request_id`.
    request_id_parameter: ClassVar[str | None] = None

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
    def signs_here(self) -> bool:
        """Whether tokend makes the tokens itself: no upstream and no other program gives them."""
        return self.local and not self.is_read_from_file

    @property
    def upstream(self) -> str | None:
        """The ``host:port`` whose rate limit applies; None for kinds that send no request."""
        return None

    def secrets(self) -> dict[str, SecretSource]:
        """Return the configured secrets by field name."""
        # A reload calls this for ten thousand providers. Reading each field by name takes five times as long as
        # `__dict__`, and isinstance with a model's class ten times as long as `type`.
        return {name: value for name, value in self.__dict__.items() if type(value) is SecretSource}

    def ready_headers(self, token: Token) -> dict[str, str]:
        """Return the headers to send with each call, in clear: the token's own, then the configured ones on top."""
        return ready_headers(token, self.headers)

    def shown_extra(self, token: Token) -> "Mapping[str, JSON | Secret]":  # noqa: ARG002  # for kinds that declare some
        """Return the further members of a held token that its readers get."""
        return {}

    def optional_secrets(self) -> frozenset[str]:
        """Return the names of the secrets whose absence at their place is no error."""
        return _fields_of(type(self)).absent

    def missing_secrets(self, unreadable: frozenset[str]) -> frozenset[str]:
        """Return the ``unreadable`` secrets that a token needs. Each of them is a configuration error."""
        return unreadable - self.optional_secrets()

    def unusable_secrets(self, secrets: Mapping[str, Secret]) -> Mapping[str, str]:  # noqa: ARG002
        """Return what is wrong with readable ``secrets`` that no token can be got with, by key: errors of a check.

        Blocks, for milliseconds: a reload calls this for thousands of providers. The texts quote no secret.
        """
        return _NO_FAULTS

    @classmethod
    def request_fields(cls) -> frozenset[str]:
        """Return the keys that enter the request or the signature. A change of one of them causes a fetch."""
        return _fields_of(cls).request

    @classmethod
    def connection_fields(cls) -> frozenset[str]:
        """Return the keys that decide how the upstream is reached. A change of one of them may end a failure."""
        return _fields_of(cls).connection

    def connection_files(self) -> frozenset[Path]:
        """Return the files that decide how the upstream is reached. Another content may end a failure."""
        # A reload calls this for ten thousand providers.
        values = self.__dict__
        return frozenset(path for name in _fields_of(type(self)).connection if isinstance(path := values[name], Path))

    def has_connection_of(self, other: "ProviderSettings") -> bool:
        """Return whether all connection keys equal those of ``other``. Another connection may end a failure."""
        keys = _fields_of(type(self)).connection | _fields_of(type(other)).connection
        return all(getattr(self, key, None) == getattr(other, key, None) for key in keys)


class HeldSettings(ProviderSettings):
    """The keys of a token that tokend holds: fetched or minted before a client asks for the token.

    ``minimum_lead_seconds`` and ``request_interval_seconds`` are the vendor's limits.
    """

    minimum_lead_seconds: ClassVar[float] = 0.0
    # Minimum interval between a success and the next scheduled request.
    request_interval_seconds: ClassVar[float] = 1.0
    # True if the vendor counts that interval per account: providers of one account send requests one after another.
    interval_is_per_account: ClassVar[bool] = False
    # True if each use of the login replaces it (a refresh token that rotates): a lost login cannot be recovered.
    rotates: ClassVar[bool] = False
    # True for a kind whose `Provider.fetch` gets a `RememberingRuntime`, as that of a kind with logins does.
    keeps_documents: ClassVar[bool] = False

    refresh_before: Annotated[Lead | None, Role.HANDLING] = None
    max_age: Annotated[Duration | None, Role.HANDLING] = None
    on_expiry: Annotated[Literal["keep", "remove"], Role.HANDLING] = "keep"

    @field_validator("max_age")
    @classmethod
    def _whole_life(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value < SHORTEST_MAX_AGE:
            raise ValueError('a token is replaced once per second at most: "1s" or more')
        return value

    @property
    def max_age_seconds(self) -> float | None:
        """The age at which a token is replaced although its end is far; None for no such age."""
        return None if self.max_age is None else self.max_age.total_seconds()

    @property
    def account_fields(self) -> frozenset[str]:
        """The keys that identify the account. If one of them changes, the old token belongs to another account."""
        return _fields_of(type(self)).account

    def remark_on(self, token: Token) -> str | None:  # noqa: ARG002  # for kinds that have one
        """Return a lasting remark on the token held, for the operator, or None."""
        return None

    def account_part(self, key: str, secret: Secret) -> Secret:  # noqa: ARG002
        """Return the part of the secret ``key`` that says whose token it is: by default all of it.

        A kind whose secret names its account and holds a key, too, returns the name: a new key is no other account.
        """
        return secret

    def fresh_life_seconds(self) -> float | None:
        """Return the lifetime of a fresh token if the settings alone determine it, else None."""
        return None


class OnDemandSettings(ProviderSettings):
    """The keys of a token that is issued per query. No token is prefetched, cached or written.

    ``issue_rate`` queries per second and ``issue_burst`` at once are allowed per uid and provider. A kind that signs
    locally has no limit unless one of them is set.
    """

    issue_rate: Annotated[float | None, Role.HANDLING] = Field(default=None, gt=0, le=10_000, allow_inf_nan=False)
    issue_burst: Annotated[int | None, Role.HANDLING] = Field(default=None, ge=1, le=100_000)

    @property
    def issue_limit(self) -> tuple[float, int] | None:
        """The queries per second and at once that each uid may make; None for no limit."""
        if self.local and self.issue_rate is None and self.issue_burst is None:
            return None
        return self.issue_rate or ISSUE_RATE, self.issue_burst or ISSUE_BURST


class NetworkSettings(UpstreamSettings, ProviderSettings):
    """The keys of a kind that sends requests to an upstream: a mixin for `HeldSettings` or `OnDemandSettings`.

    A kind that declares nothing more is safe: ``base_url`` is checked, all providers of one host share its rate limit,
    and another ``base_url`` means another account.
    """

    local: ClassVar[bool] = False

    # The meaning of a lifetime of 0 in a reply.
    zero_means: Annotated[Literal["expired", "never"], Role.HANDLING] = "expired"


@dataclass(frozen=True, slots=True)
class AnnouncementTiming:
    """When a sink announces a change: after ``debounce_seconds`` without another, and a random part of ``splay``.

    ``interval_seconds`` is the shortest time between two announcements, also where the first may have failed.
    """

    debounce_seconds: float = 0.0
    splay_seconds: float = 0.0
    interval_seconds: float = 0.0


AT_ONCE = AnnouncementTiming()


@dataclass(frozen=True, slots=True)
class PlaceFinding:
    """Something odd about the place of a sink's target: the key concerned, a stable code, and the operator's sentence.

    With ``is_error`` it is an error of a check and of a reload, and a warning at a start.
    """

    key: str
    code: str
    message: str
    is_error: bool = False


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
        """The target's name for status and messages: a path, or another name without secrets."""
        raise NotImplementedError

    @property
    def file_path(self) -> Path | None:
        """The file or socket on this machine that is the target; None for any other target."""
        return None

    def exclusive_targets(self) -> frozenset[str]:
        """Return the names that no other sink may use: the target, or the parts of the target that the sink writes.

        See `part_of`.
        """
        return frozenset({self.target})

    def writes_below(self, path: str) -> bool:  # noqa: ARG002  # for targets that are directories
        """Return whether the sink writes the file at ``path``, a real path, in the directory that is its target."""
        return False

    @property
    def sharing(self) -> str:
        """What sinks that share a target must have in common: by default the kind."""
        return self.kind

    def other_tokens(self) -> tuple[str, ...]:
        """Return the names of the other tokens that the content also contains: the key ``tokens``, if there is one."""
        others: tuple[str, ...] = self.__dict__.get("tokens", ())
        return others

    def placed_templates(self) -> Iterable[tuple[tuple[str, ...], str]]:
        """Return the templates to check with the configuration, each with the path of its key below the table."""
        return ()

    def quota_warning(self, life_seconds: float) -> str | None:  # noqa: ARG002  # for remote sinks
        """Return a warning if tokens of this life are written more often than the target allows, else None."""
        return None

    def interval_warning(self, life_seconds: float) -> str | None:  # noqa: ARG002  # for remote sinks
        """Return a warning if tokens of this life end before the next one may be written, else None."""
        return None

    def is_read_by(self, argv: tuple[str, ...]) -> bool:  # noqa: ARG002  # for kinds whose stores have a program
        """Return whether a command prints what this sink writes, as far as its words say."""
        return False

    def removal_fault(self) -> str | None:
        """Return the error for ``on_expiry = "remove"``, where the settings lack what a removal needs, else None."""
        return None

    def announcement_timing(self) -> AnnouncementTiming | None:
        """Return when a pushed sink announces its changes; None if it has nothing to announce."""
        return AT_ONCE

    def secrets(self) -> dict[str, SecretSource]:
        """Return the configured secrets by field name."""
        # See `ProviderSettings.secrets`: a reload calls this for ten thousand file sinks.
        return {name: value for name, value in self.__dict__.items() if type(value) is SecretSource}

    def place_findings(self) -> Iterable[PlaceFinding]:
        """Return what is odd about the place of the target. Blocks; called for thousands of sinks in a row."""
        return ()

    def exposure(self) -> str | None:
        """Return a warning if every user may read the target; None if not, or if the settings say so. Blocks."""
        return None

    def missing_secrets(self, unreadable: frozenset[str]) -> frozenset[str]:
        """Return the ``unreadable`` secrets that a write needs. Each of them is a configuration error."""
        return unreadable

    @classmethod
    def own_faults(cls) -> list[str]:
        """Return the faults of this class as a kind that its family's base class knows. See `plugin.kind_check`."""
        return []


def part_of(target: str, *parts: str) -> str:
    """Return the name of one part of a target, for `SinkSettings.exclusive_targets`.

    A part may lie within another: then ``parts`` begins with the other's. Sinks may share a target if their parts are
    apart, and if their `SinkSettings.sharing` is equal. A sink whose exclusive target is the whole target shares it
    with no other sink.
    """
    return PART.join((target, *parts))


# The separator of target and part: no path and no store's name contains it.
PART = "\0"


class _Fields:
    """The names of a class's fields by role. Cached per class: a reload compares ten thousand providers."""

    def __init__(self, model: type[ProviderSettings]) -> None:
        self.request = field_roles.request_fields(model)
        self.account = field_roles.account_fields(model)
        self.connection = field_roles.fields_in_role(model, Role.CONNECTION)
        self.absent = field_roles.fields_that_may_be_absent(model)


@cache
def _fields_of(model: type[ProviderSettings]) -> _Fields:
    return _Fields(model)
