"""Interfaces between the engine and the servers that answer readers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from tokend.machine.clock import Clock
from tokend.machine.event import Event
from tokend.plugin.login import BrowserLogin, DeviceLogin, Flow
from tokend.plugin.request_signing import CallToSign
from tokend.plugin.settings import ProviderSettings
from tokend.plugin.sink import ListeningSink
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.status import ProviderStatus, SinkStatus
from tokend.values.tokens import Lease, Token


@dataclass(frozen=True, slots=True)
class ReloadAnswer:
    """The result of a reload, done or planned.

    ``plan`` has a row per changed provider: ``name`` and ``action``. ``restart_needed`` has the keys whose new values
    count only after a restart, as in ``daemon.socket``.
    """

    plan: Sequence[Mapping[str, str]]
    restart_needed: Sequence[str] = ()


class Serve(Protocol):
    """A function that serves a `ListeningSink`."""

    async def __call__(self, name: str, sink: ListeningSink, listening: Callable[[], None], /) -> None:
        """Serve the token ``name`` until cancelled. Call ``listening`` as soon as clients can connect,
        and again each time that the socket was made again because others had removed it.

        Raises `SinkError` if the sink cannot be served, at the beginning or later. Never returns.
        """


class SinkReport(Protocol):
    """The status of one provider's sinks, for the provider's own status."""

    def statuses(self) -> tuple[SinkStatus, ...]:
        """Return the status of each sink, in the order of the configuration."""

    def hold(self, lease: Lease | None) -> bool:
        """Return whether every required sink holds this lease. False for None, if a sink is required."""


class Entry(Protocol):
    """One provider, read-only, for the servers. The engine owns and changes these objects."""

    @property
    def name(self) -> str:
        """The token's name."""

    @property
    def settings(self) -> ProviderSettings:
        """The current settings. The servers read headers and access from them for each answer."""

    @property
    def is_on_demand(self) -> bool:
        """Whether the provider issues a token per query and holds none."""

    @property
    def lease(self) -> Lease | None:
        """The token now held, valid or not; always None for on-demand kinds. A new generation is a new object."""

    def status(self) -> ProviderStatus:
        """Return the provider's current status."""


class LoginUnderWay(Protocol):
    """A login that a peer has begun, read-only.

    ``begun`` is None as soon as it has ended. ``error`` is the operator's sentence, also of the last failed try of a
    login that goes on. ``ended`` is set at its end.
    """

    @property
    def login_id(self) -> str:
        """Its name: 192 random bits."""

    @property
    def flow(self) -> Flow:
        """How the person finishes it."""

    @property
    def begun(self) -> BrowserLogin | DeviceLogin | None:
        """What the server was asked for; of its secrets nothing may leave the daemon."""

    @property
    def state(self) -> Literal["pending", "done", "failed", "expired"]:
        """What has come of it."""

    @property
    def error(self) -> str | None:
        """Why it failed, or its last try."""

    @property
    def subject(self) -> str | None:
        """The account, as the server names it."""

    @property
    def awaits_confirmation(self) -> bool:
        """Whether the person has to confirm that it is of the account ``subject``."""

    @property
    def expires_at(self) -> Instant:
        """Its end."""

    @property
    def ended(self) -> Event:
        """Set at its end."""


@dataclass(frozen=True, slots=True)
class LogoutAnswer:
    """What a logout has done. ``confirmed``: the server has revoked the login, or need not be asked.

    ``dropped``: nothing is kept of it. If not, ``detail`` says why, and another logout tries again.
    """

    confirmed: bool
    dropped: bool
    detail: str | None = None


class Logins(Protocol):
    """Logins that persons begin and end. ``uid`` is the peer's. All methods raise the errors of `Engine`'s."""

    async def begin(
        self, name: str, *, uid: int, flow: Flow | None, redirect_uri: str | None, other_account: bool
    ) -> LoginUnderWay:
        """Begin a login; ``flow`` None: the one that the provider prefers. Raises `ThrottledError`: too many."""

    async def finish(self, name: str, login_id: str, *, uid: int, redirected_to: str) -> LoginUnderWay:
        """Finish a login by the address at which a browser has ended. Raises `WrongAddressError`; it goes on then."""

    async def confirm(self, name: str, login_id: str, *, uid: int) -> LoginUnderWay:
        """Keep a login whose account the person has confirmed. Raises `WrongAddressError` if none awaits that."""

    def find(self, name: str, login_id: str, *, uid: int) -> LoginUnderWay:
        """Return a login. Raises one `UnknownTokenError` for another peer's and for none."""

    def cancel(self, name: str, login_id: str, *, uid: int) -> LoginUnderWay:
        """Cancel a login. One that has ended stays as it is."""

    async def log_out(self, name: str, *, uid: int, force: bool) -> LogoutAnswer:
        """Withdraw the token and end the login, here at once and at the server if it can be done within 30 s."""


class Engine(Protocol):
    """The functions of the engine that the servers call.

    The caller checks access *before* each call. Every method with a parameter ``name`` raises `UnknownTokenError`, and
    `NotSupportedError` if the provider's kind does not have the function. All errors of these methods are subclasses of
    `ReaderError`, which has code, status and retry_at.
    """

    @property
    def clock(self) -> Clock:
        """The clock of this machine."""

    @property
    def entries(self) -> Mapping[str, Entry]:
        """All current providers by name. A reload changes the mapping: copy it before awaiting anything."""

    async def fresh(self, name: str, min_ttl: float, *, admin: bool) -> Lease:
        """Return a lease valid for at least ``min_ttl`` more seconds. Makes an attempt first if necessary.

        ``admin`` lifts the limits for readers. Raises `ThrottledError`, `TokenUnavailableError`, `LoginRequiredError`
        and `WaitTimeoutError`.
        """

    async def refresh(self, name: str, *, if_generation: int | None, reason: str, admin: bool) -> Lease:
        """Make one attempt now, or join the one under way, and return the new lease.

        If ``if_generation`` is below the generation of a valid lease, return this lease without an attempt. If it is
        above the newest generation, raise `GenerationConflictError`. Raises also the errors of `fresh`.
        """

    async def resume(self, name: str) -> None:
        """Let the next query try an on-demand provider's rejected credentials again. For admins.

        Raises `NotSupportedError` also if the credentials are not rejected.
        """

    async def issue(self, name: str, parameters: Mapping[str, str], *, uid: int) -> Token:
        """Issue one on-demand token for a caller's ``uid``, whose queries are counted.

        Raises `InvalidParametersError`, `ThrottledError`, `TokenUnavailableError` and `LoginRequiredError`.
        """

    async def sign(self, name: str, call: CallToSign, *, uid: int) -> Mapping[str, Secret | str]:
        """Return the headers that sign a caller's own call to the upstream. Sends no request.

        Raises `NotSupportedError` also without ``sign_paths``, `DeniedError` for a call that is not among them, and
        the errors of `issue`.
        """

    async def request_id(self, name: str) -> str:
        """Make a request id, for kinds that need one."""

    async def forget(self, name: str) -> None:
        """Drop the token everywhere (memory, state, sinks), then make an attempt in the background."""

    async def sync(self, name: str, label: str | None, *, take_over: bool) -> None:
        """Write the token to its sinks now, or to the sink ``label``; returns when they have tried. For admins.

        Ends pauses and makes no upstream request. A store that can be read is asked first; what it holds already is not
        written. ``take_over``: the targets are ours even if others have written to them; nothing else ends a state
        ``conflict``. Raises `NotSupportedError` also if there is no such sink.
        """

    async def inspect(self, name: str) -> tuple[SinkStatus, ...]:
        """Ask every sink of the token now what its target holds, and return the statuses with ``drift``. For admins.

        Writes nothing itself. Takes as long as the slowest store, at most its ``timeout``.
        """

    async def reload(self, *, dry_run: bool, path: Path | None = None) -> ReloadAnswer:
        """Read the configuration again, apply it unless ``dry_run``, and return the plan.

        With ``path``, plan that file instead; only with ``dry_run``. Raises `ConfigError`; the configuration in force
        is unchanged then.
        """

    @property
    def logins(self) -> Logins:
        """The logins that persons begin and end."""

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call ``callback(name)`` at each change of a lease or a state. Return a function that unsubscribes."""

    @property
    def ready(self) -> bool:
        """Whether every required token is valid, and every required sink holds it."""


Reload = Callable[[bool, Path | None], Awaitable[ReloadAnswer]]
"""The function behind `Engine.reload`; its arguments are ``dry_run`` and ``path``."""
