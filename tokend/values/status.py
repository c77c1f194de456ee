"""Status of one provider and of one sink, as values. They never hold a secret."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tokend.values.login_advice import LoginAdvice


class State(StrEnum):
    """The states of a provider. The validity of its token is a separate field."""

    PENDING = "pending"
    VALID = "valid"
    FAILING = "failing"
    EXPIRED = "expired"
    REJECTED = "rejected"
    LOGIN_REQUIRED = "login_required"
    ON_DEMAND = "on_demand"


@dataclass(frozen=True, slots=True)
class Failure:
    """The last error: its class (`TokendError.reason`), the operator's sentence, and when (aware UTC).

    ``said`` are the vendor's own words, for admins only (`values.errors.AttemptError`).
    """

    reason: str
    detail: str
    at: datetime
    said: str | None = None

    @property
    def whole(self) -> str:
        """The operator's sentence, and what the upstream said."""
        return self.detail if self.said is None else f"{self.detail}; the upstream said: {self.said}"


@dataclass(frozen=True, slots=True)
class StatusWarning:
    """Something that looks wrong and stops nothing: a stable code for programs, and the operator's sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """One plug-in: a file of ``[daemon] plugins``, or an installed package with its ``version``; the other is None.

    ``providers`` and ``sinks`` are kinds. ``error`` says why a file was not loaded, None if it was. ``is_changed``: the
    file has changed since it was loaded, and counts after a restart.
    """

    file: str | None
    package: str | None
    version: str | None
    providers: tuple[str, ...] = ()
    sinks: tuple[str, ...] = ()
    error: str | None = None
    is_changed: bool = False


@dataclass(frozen=True, slots=True)
class ConfigStatus:
    """The configuration in force: when it was loaded (aware UTC), and why a newer one was refused, or None.

    ``restart_needed`` has the keys whose values in the file count only after a restart, as in ``daemon.socket``.
    ``plugins`` are those that it uses. ``left_out`` names the required providers that the start went on without, or
    without one of their sinks: their kinds could not be loaded.
    """

    loaded_at: datetime
    error: str | None
    restart_needed: tuple[str, ...] = ()
    plugins: tuple[PluginStatus, ...] = ()
    left_out: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ClientReports:
    """Reports of clients that an upstream refused this token.

    ``reason`` is ``unauthorized`` or ``other``; it, ``last_at`` (aware UTC) and ``uid`` are those of the last report,
    None before the first one. Only admins are shown ``uid``.
    """

    count: int = 0
    last_at: datetime | None = None
    reason: str | None = None
    uid: int | None = None


NO_REPORTS = ClientReports()


@dataclass(frozen=True, slots=True)
class HookStatus:
    """What runs after a write of a sink: ``idle``, ``running`` or ``failed``, and since when (aware UTC)."""

    state: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """One sink. ``label`` is its kind and index (``raw-1``).

    ``state`` is ``pending``, ``ok``, ``failing``, ``rejected``, ``conflict``, ``removed`` or ``waiting``. ``path`` is
    the file or socket on this machine, None for remote sinks. ``required`` says whether the sink counts for readiness;
    ``error`` is the operator's sentence or None. ``repairs`` counts how often the target was written again after it had
    been changed by others; ``found_uid`` is the owner of a target that belongs to somebody else; ``hook`` is None for a
    sink without one. ``generation`` is that of the token in the target as far as is known, None if it holds none.

    Of remote sinks: ``store_version`` is the store's name of what was written last, ``remark`` what the operator should
    know about the store (that the last writer wins, for example). ``drift`` is the result of the last look at the
    target: ``none``, ``changed``, ``missing`` or ``unknown``, perhaps with a colon and more; None: nobody looked.
    """

    kind: str
    label: str
    target: str
    path: str | None
    state: str
    required: bool
    last_success_at: datetime | None
    error: str | None
    repairs: int = 0
    found_uid: int | None = None
    hook: HookStatus | None = None
    generation: int | None = None
    store_version: str | None = None
    drift: str | None = None
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class LoginStatus:
    """The login of one provider. Times are aware UTC.

    ``state`` is ``ok``, ``ends_soon``, ``required``, ``pending`` (a person is about to log in) or ``none``. ``subject``
    is the account as the server names it, ``scopes_missing`` what the settings ask for and the server has not granted;
    ``command`` brings another login; where no person can log in it is None, and ``step`` says what a person does
    instead. ``notices`` are those that persons have got about this one.
    """

    state: str
    subject: str | None
    obtained_at: datetime | None
    ends_at: datetime | None
    scopes_missing: tuple[str, ...]
    command: str | None
    notices: tuple[str, ...] = ()
    step: str | None = None

    @property
    def advice(self) -> LoginAdvice:
        """What a person does about it."""
        return LoginAdvice(self.command, self.step)


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """One provider. Times are aware UTC; ``seconds_left`` is boot time and never below 0.

    ``login`` is None for settings that use no login. ``note`` is a permanent remark for the operator (for example: the
    token cannot be renewed), or None. While a rate limit of a host holds back requests, ``paused_until`` is its end,
    ``paused_by`` the host, and ``paused_token`` the provider whose request the host answered with it.
    """

    name: str
    kind: str
    state: State
    valid: bool
    expires_at: datetime | None
    refresh_at: datetime | None
    generation: int | None
    fingerprint: str | None
    required: bool
    seconds_left: float | None
    failures: int
    last_error: Failure | None
    next_attempt_at: datetime | None
    sinks: tuple[SinkStatus, ...]
    note: str | None = None
    paused_until: datetime | None = None
    paused_by: str | None = None
    paused_token: str | None = None
    reports: ClientReports = NO_REPORTS
    warnings: tuple[StatusWarning, ...] = ()
    login: LoginStatus | None = None
