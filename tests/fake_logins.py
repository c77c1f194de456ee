"""A kind whose token comes from a login, and its server: refresh tokens rotate, and reuse destroys the login."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from tests.fakes import FakeHeld, FakeRuntime
from tests.virtual import VirtualClock
from tokend.plugin.field_roles import Absence, Role
from tokend.plugin.login import BrowserLogin, DeviceLogin, Flow
from tokend.plugin.secret_source import SecretField
from tokend.values.errors import LoginRefusedError, LostAnswerError, RejectedError, TransientError
from tokend.values.instant import Instant
from tokend.values.logins import Granted, Login, LoginClient
from tokend.values.secret import Secret
from tokend.values.tokens import Token

HOUR = 3600.0
ORIGIN = "https://login.example:443"
NOBODY = "nobody logs in here"

# What a step of a script does instead of the answer: raise an error, or change the answer.
Step = Exception | Callable[[Granted], Granted]


@dataclass
class LoginServer:
    """A token endpoint. ``script`` has a step per refresh; without one it grants.

    ``grace`` is how many seconds a spent refresh token goes on being accepted; 0 is a strict server: reuse destroys the
    login. ``rotates``: each refresh brings another refresh token.
    """

    clock: VirtualClock
    life: float = HOUR
    login_life: float | None = None
    latency: float = 0.1
    grace: float = 0.0
    rotates: bool = True
    valid: set[str] = field(default_factory=lambda: {"fake-refresh-0"})
    spent: dict[str, Instant] = field(default_factory=dict)
    script: list[Step | None] = field(default_factory=list)
    lose: Callable[[], bool] = lambda: False  # loses the answer after the server has acted
    refreshes: list[str] = field(default_factory=list)  # the refresh tokens as they came
    at: list[float] = field(default_factory=list)
    probes: list[float] = field(default_factory=list)
    probe_fault: Exception | None = None
    reuses: int = 0
    busy: int = 0
    most_busy: int = 0
    scopes: tuple[str, ...] | None = None
    made: int = 0
    begun: int = 0
    begun_after: list[str | None] = field(default_factory=list)  # the refusals in the same attempts
    begin_script: list[Step | None] = field(default_factory=list)

    async def refresh(self, login: Login) -> Granted:
        sent = "by its token" if login.refresh_token is None else login.refresh_token.reveal()
        self.refreshes.append(sent)
        self.at.append(self.clock.instant().boot)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            step = self.script.pop(0) if self.script else None
            if isinstance(step, Exception):
                await self.clock.sleep(self.latency)
                raise step
            granted = self._grant(sent)
            await self.clock.sleep(self.latency)
            if self.lose():
                raise LostAnswerError("login.example: the answer was lost")
            return granted if step is None else step(granted)
        finally:
            self.busy -= 1

    def _grant(self, sent: str) -> Granted:
        now = self.clock.instant()
        if sent not in self.valid:
            in_grace = sent in self.spent and self.spent[sent].until(now) <= self.grace
            if not in_grace:
                self.reuses += sent in self.spent
                self.valid.clear()
                raise LoginRefusedError("login.example answered invalid_grant")
        refresh = None
        if self.rotates:
            self.valid.discard(sent)
            self.spent.setdefault(sent, now)
            refresh = f"fake-refresh-{len(self.refreshes)}"
            self.valid.add(refresh)
        return replace(self._token(now), refresh_token=None if refresh is None else Secret(refresh))

    def _token(self, now: Instant) -> Granted:
        self.made += 1
        return Granted(
            ORIGIN,
            now,
            token=Token(Secret(f"fake-token-{self.made}"), "Bearer", now, now.after(self.life)),
            refresh_ends_at=None if self.login_life is None else now.after(self.login_life),
            scopes=self.scopes,
        )

    async def begin(self, refused: LoginRefusedError | None) -> Granted:
        """Grant a login to the credentials alone."""
        self.begun += 1
        self.begun_after.append(None if refused is None else str(refused))
        self.at.append(self.clock.instant().boot)
        await self.clock.sleep(self.latency)
        step = self.begin_script.pop(0) if self.begin_script else None
        if isinstance(step, Exception):
            raise step
        self.valid = {f"fake-begun-{self.begun}"}
        granted = replace(self._token(self.clock.instant()), refresh_token=Secret(f"fake-begun-{self.begun}"))
        return granted if step is None else step(granted)

    async def probe(self) -> None:
        self.probes.append(self.clock.instant().boot)
        await self.clock.sleep(self.latency)
        if self.probe_fault is not None:
            raise self.probe_fault


SERVERS: list[LoginServer] = []
"""Kinds are values and cannot hold a server; they use the newest one."""


class FakeLogin(FakeHeld):
    """A held kind with a login."""

    kind: Literal["fake-login"] = "fake-login"  # type: ignore[assignment]  # each kind has a name of its own
    client_id: str = "fake-client"
    scope: Annotated[tuple[str, ...], Role.HANDLING] = ()
    refresh_token: Annotated[SecretField | None, Role.HANDLING, Absence.ALLOWED] = None
    grant: Literal["login", "client"] = "login"
    login_file: Annotated[Path | None, Role.HANDLING] = None
    login_file_key: Annotated[SecretField | None, Role.HANDLING] = None

    by_token: bool = False  # a login without a refresh token is refreshed by its access token
    alone: bool = False  # the credentials alone begin a login

    # Empty: nobody can log in, as with a grant whose refresh token is configured.
    flows: Annotated[tuple[Flow, ...], Role.HANDLING] = ("browser",)

    @property
    def refreshes_by_token(self) -> bool:
        return self.by_token

    @property
    def begins_login(self) -> bool:
        return self.alone

    async def begin_login(self, runtime: FakeRuntime, refused: LoginRefusedError | None = None) -> Granted:
        return await SERVERS[-1].begin(refused)

    @property
    def uses_login(self) -> bool:
        return self.grant == "login"

    @property
    def login_client(self) -> LoginClient:
        return LoginClient(self.kind, self.base_url, self.client_id)

    @property
    def login_scopes(self) -> tuple[str, ...]:
        return self.scope

    async def initial_refresh_token(self, runtime: FakeRuntime) -> Secret | None:
        return None if self.refresh_token is None else await runtime.reveal(self.refresh_token)

    async def fetch(self, runtime: FakeRuntime, previous: Token | None) -> Token:
        now = runtime.clock.instant()
        return Token(Secret("fake-client-token"), "Bearer", now, now.after(HOUR))

    async def refresh(self, runtime: FakeRuntime, login: Login) -> Granted:
        assert login.origin in (None, ORIGIN)
        return await SERVERS[-1].refresh(login)

    async def probe_server(self, runtime: FakeRuntime) -> None:
        await SERVERS[-1].probe()

    # Of persons' logins only their possibility counts here: `tests.engine.logins.personal` plays them.

    @property
    def login_flows(self) -> tuple[Flow, ...]:
        return self.flows

    @property
    def can_revoke(self) -> bool:
        return False

    async def begin_browser(self, runtime: FakeRuntime, redirect_uri: str | None) -> BrowserLogin:
        raise AssertionError(NOBODY)

    async def finish_browser(self, runtime: FakeRuntime, begun: BrowserLogin, redirected_to: str) -> Granted:
        raise AssertionError(NOBODY)

    async def begin_device(self, runtime: FakeRuntime) -> DeviceLogin:
        raise AssertionError(NOBODY)

    async def poll_device(self, runtime: FakeRuntime, begun: DeviceLogin) -> Granted | float:
        raise AssertionError(NOBODY)

    async def revoke(self, runtime: FakeRuntime, login: Login) -> None:
        raise AssertionError(NOBODY)


def login_server(clock: VirtualClock, **keys: Any) -> LoginServer:
    """Make the server that logins use from here on."""
    SERVERS.append(LoginServer(clock, **keys))
    return SERVERS[-1]


def not_delivered() -> TransientError:
    """The server was not reached."""
    return TransientError("login.example: no connection", is_sent=False)


def undecided(*, may_be_spent: bool = False) -> TransientError:
    """A complete answer decides nothing."""
    return TransientError("login.example answered 503", may_be_spent=may_be_spent)


def lost() -> LostAnswerError:
    """No complete answer arrived."""
    return LostAnswerError("login.example did not answer")


def refused() -> LoginRefusedError:
    """The server refuses the refresh token."""
    return LoginRefusedError("login.example answered invalid_grant")


def client_refused() -> RejectedError:
    """The server refuses the client."""
    return RejectedError("login.example answered invalid_client")
