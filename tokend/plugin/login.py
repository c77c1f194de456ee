"""Interfaces of held kinds whose token comes from a login: a refresh token, which may rotate.

The engine journals each exchange before it is sent, saves what was granted before it publishes, and decides what an
answer means for the login (`engine/policy/login_outcome`). A kind makes one exchange per call.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, TypeGuard, cast, runtime_checkable

from tokend.plugin.protocol_check import implements
from tokend.plugin.provider import Runtime
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import HeldSettings
from tokend.values.errors import LoginRefusedError
from tokend.values.instant import Instant
from tokend.values.logins import Granted, Login, LoginClient
from tokend.values.secret import Secret
from tokend.values.tokens import JSON

Flow: TypeAlias = Literal["browser", "device"]


@dataclass(frozen=True, slots=True)
class Remembered:
    """A document that was kept in the provider's record, and when it was fetched."""

    document: JSON
    at: Instant


class RememberingRuntime(Runtime, Protocol):
    """The runtime of a kind that keeps public documents (a server's metadata) in its record, over restarts."""

    def recall(self, key: str) -> Remembered | None:
        """Return the document that was kept under ``key``, however old."""

    async def remember(self, key: str, document: JSON) -> None:
        """Keep a document under ``key``. It holds no secret."""

    async def commit(self, key: str, change: Callable[[JSON], JSON]) -> JSON:
        """Replace the document under ``key`` by ``change`` of it (of None, where there is none); return the new one.

        It is saved when this returns. Raises `StoreError` where it cannot be: then nothing has changed.

        Settings of a kind that must save before it sends, as a counter, have the attribute ``counts_in_state``, true: a
        trial beside the daemon, which saves nothing, makes no attempt then.
        """


@runtime_checkable
class WithLogin(Protocol):
    """A held kind that may use a login.

    `fetch`, too, gets a `RememberingRuntime`. An initial refresh token that cannot be read is no reason to withdraw
    anything: its field is `Role.HANDLING`, and its absence is allowed.

    A login without a refresh token ends with its access token. A kind may have the attribute ``refreshes_by_token``:
    true where `refresh` gets a newer token by such a login nevertheless, while its access token is valid.

    A kind may have the keys ``login_file`` (a `Path`) and ``login_file_key`` (a `SecretSource`), both
    `Role.HANDLING`: then the engine keeps the login there, for all daemons that name the file.

    Errors of `refresh` say what is known of the refresh token:

    - `TransientError` with ``is_sent`` false: the server has not seen it;
    - `LostAnswerError`: it was sent, and no complete, acceptable answer arrived;
    - `LoginRefusedError`: the server refused it;
    - `RejectedError`: the server refused the client, and the login stays;
    - another `AttemptError`: a complete answer has decided nothing; ``may_be_spent`` of `TransientError` says that the
      server may have spent it nevertheless.
    """

    @property
    def uses_login(self) -> bool:
        """Whether these settings use a login. If not, `Provider.fetch` is called, and nothing here counts."""

    @property
    def login_client(self) -> LoginClient:
        """The client that a login must belong to."""

    @property
    def login_scopes(self) -> tuple[str, ...]:
        """The scopes that the settings ask for; empty: whatever the server grants."""

    async def initial_refresh_token(self, runtime: Runtime) -> Secret | None:
        """Return the configured refresh token, None if there is none. Raises `SecretError`. No request."""

    async def refresh(self, runtime: RememberingRuntime, login: Login) -> Granted:
        """Make ONE exchange with the login's refresh token, which it has (but for ``refreshes_by_token``).

        No retry, no sleep, no log.

        The refresh token goes to ``login.origin`` only: `LoginRefusedError` where the token URL has another origin,
        before anything is sent. Where ``login.origin`` is None it is an initial one, and goes to the token URL.
        """

    async def probe_server(self, runtime: RememberingRuntime) -> None:
        """Ask the server something harmless: an answer below 500 returns. Raises `TransientError` for anything else."""


@runtime_checkable
class BeginsLogin(WithLogin, Protocol):
    """A kind whose credentials alone may begin a login: it needs no person."""

    @property
    def begins_login(self) -> bool:
        """Whether these settings can. If not, `begin_login` is not called."""

    async def begin_login(self, runtime: RememberingRuntime, refused: LoginRefusedError | None = None) -> Granted:
        """Make ONE request with the credentials; called where there is no login, or the server has refused it.

        ``refused`` is the error that `refresh` has raised in this attempt; None where it was not called. Raises
        `RejectedError` where the server refuses the credentials, never `LoginRefusedError`.
        """


@dataclass(frozen=True, slots=True)
class BrowserLogin:
    """A login that a person finishes in a browser. Its repr shows no secret.

    ``url`` holds the state, the nonce and the verifier's hash; they never leave the daemon alone. ``returns_state``:
    the address at which the browser ends shows by its state that it is this login's. If not, only a person may bring
    it, and has to confirm the account.
    """

    url: str = field(repr=False)
    redirect_uri: str = field(repr=False)
    state: Secret
    verifier: Secret | None
    nonce: Secret | None = None
    returns_state: bool = True


@dataclass(frozen=True, slots=True)
class DeviceLogin:
    """A login that a person finishes on another device. Its repr shows no code. ``expires_at`` is the code's end."""

    verification_uri: str
    verification_uri_complete: str | None = field(repr=False)
    user_code: str = field(repr=False)
    device_code: Secret
    interval_seconds: float
    expires_at: Instant


@runtime_checkable
class InteractiveLogin(WithLogin, Protocol):
    """A kind with a login that a person can begin (`tokend login`)."""

    @property
    def login_flows(self) -> tuple[Flow, ...]:
        """The flows that these settings allow, the preferred one first; empty: no person can log in."""

    async def begin_browser(self, runtime: RememberingRuntime, redirect_uri: str | None) -> BrowserLogin:
        """Begin a login in a browser, with PAR where the server demands it. None: the configured redirect."""

    async def finish_browser(self, runtime: RememberingRuntime, begun: BrowserLogin, redirected_to: str) -> Granted:
        """Exchange the code of the address at which the browser has ended.

        Raises `WrongStateError` for an address of another login: nothing was sent. Raises `LoginRefusedError` where
        the person or the server has refused (``access_denied``).
        """

    async def begin_device(self, runtime: RememberingRuntime) -> DeviceLogin:
        """Ask for a device code."""

    async def poll_device(self, runtime: RememberingRuntime, begun: DeviceLogin) -> Granted | float:
        """Ask ONCE whether the person has finished. Returns the seconds until the next poll where not yet.

        `slow_down` adds five seconds for good: the result is the new interval. Raises `LoginRefusedError` for
        ``access_denied`` and ``expired_token``.
        """

    @property
    def can_revoke(self) -> bool:
        """Whether a login can be revoked at the server, as far as the settings say."""

    async def revoke(self, runtime: RememberingRuntime, login: Login) -> None:
        """Revoke the login's refresh token, which it has (RFC 7009). Returns when the server has confirmed.

        Raises `AttemptError`.
        """


def may_use_login(settings: HeldSettings) -> TypeGuard[WithLogin]:
    """Return whether the kind of these settings may use a login."""
    return implements(settings, WithLogin)


def uses_login(settings: HeldSettings) -> TypeGuard[WithLogin]:
    """Return whether tokens of these settings come from a login."""
    return implements(settings, WithLogin) and cast(WithLogin, settings).uses_login


def begins_login(settings: WithLogin) -> TypeGuard[BeginsLogin]:
    """Return whether the credentials of these settings alone begin a login."""
    return implements(settings, BeginsLogin) and cast(BeginsLogin, settings).begins_login


def needs_persons_login(settings: HeldSettings) -> TypeGuard[WithLogin]:
    """Return whether tokens of these settings come from a login that only a person brings or ends."""
    return uses_login(settings) and not begins_login(settings)


def can_refresh(settings: WithLogin, login: Login, now: Instant) -> bool:
    """Return whether an exchange of this login may bring a newer token."""
    if login.refresh_token is not None:
        return True
    return bool(getattr(settings, "refreshes_by_token", False)) and (
        login.ends_at is None or now.until(login.ends_at) > 0
    )


def login_file_of(settings: HeldSettings) -> Path | None:
    """Return the login file that the key ``login_file`` of the settings names, if their kind has the key."""
    path = getattr(settings, "login_file", None) if uses_login(settings) else None
    return path if isinstance(path, Path) else None


def login_file_key_of(settings: HeldSettings) -> SecretSource | None:
    """Return the place of the key that seals the login file, if there is one."""
    source = getattr(settings, "login_file_key", None)
    return source if isinstance(source, SecretSource) else None


def keeps_login_in_state(settings: HeldSettings) -> bool:
    """Return whether the login of these settings is in one daemon's state, and not in a file that several share."""
    return uses_login(settings) and login_file_of(cast(HeldSettings, settings)) is None


def counts_in_state(settings: HeldSettings) -> bool:
    """Return whether requests of these settings have a counter, which one daemon's state keeps."""
    return bool(getattr(settings, "counts_in_state", False))


def has_interactive_login(settings: HeldSettings) -> TypeGuard[InteractiveLogin]:
    """Return whether a person can log in for these settings."""
    return implements(settings, InteractiveLogin) and bool(cast(InteractiveLogin, settings).login_flows)
