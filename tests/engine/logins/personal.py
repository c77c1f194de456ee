"""A kind for which persons log in, its server, and a provider that keeps what was granted."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import anyio

from tests.fakes import World
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.logins.logins import Logins
from tokend.plugin.login import BrowserLogin, DeviceLogin, Flow, RememberingRuntime
from tokend.plugin.settings import HeldSettings
from tokend.values.errors import WrongStateError
from tokend.values.instant import Instant
from tokend.values.logins import Granted, Login, LoginClient
from tokend.values.secret import Secret
from tokend.values.tokens import Token

ALICE, BOB = 1001, 1002
ORIGIN = "https://login.example:443"
# At the address of this state the fake server's browser has ended.
RIGHT = "http://127.0.0.1:8400/?code=fake-code&state=fake-state"
WRONG = "http://127.0.0.1:8400/?code=fake-code&state=of-another"


@dataclass
class LoginServer:
    """The server of the kind, and its runtime. Each request takes ``latency`` and then the next of ``script``.

    A step is an exception, a `Granted`, a number of seconds (a device's poll), or None (a begin, a revocation).
    """

    clock: VirtualClock
    latency: float = 0.1
    script: list[Any] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    device_seconds: float = 900.0

    async def ask(self, what: str) -> Any:
        self.asked.append(what)
        await self.clock.sleep(self.latency)
        step = self.script.pop(0) if self.script else None
        if isinstance(step, BaseException):
            raise step
        return step


def granted(subject: str | None = "alice", *, clock: VirtualClock | None = None) -> Granted:
    """What the server grants to a person."""
    now = Instant.__new__(Instant) if clock is None else clock.instant()
    token = None if clock is None else Token(Secret("fake-token"), "Bearer", now, now.after(3600))
    return Granted(ORIGIN, now, token=token, refresh_token=Secret("fake-refresh-token"), subject=subject)


class Personal(HeldSettings):
    """The kind."""

    kind: Literal["personal"] = "personal"
    client_id: str = "fake-client"
    flows: tuple[Flow, ...] = ("browser", "device")
    subject: str | None = None
    revocable: bool = True
    returns_state: bool = True

    @property
    def uses_login(self) -> bool:
        return True

    @property
    def login_client(self) -> LoginClient:
        return LoginClient(self.kind, ORIGIN, self.client_id)

    @property
    def login_scopes(self) -> tuple[str, ...]:
        return ()

    @property
    def login_flows(self) -> tuple[Flow, ...]:
        return self.flows

    @property
    def can_revoke(self) -> bool:
        return self.revocable

    async def initial_refresh_token(self, runtime: Any) -> Secret | None:
        return None

    async def refresh(self, runtime: Any, login: Login) -> Granted:
        raise AssertionError("no test here refreshes")

    async def probe_server(self, runtime: Any) -> None:
        raise AssertionError("no test here refreshes")

    async def fetch(self, runtime: Any, previous: Token | None) -> Token:
        raise AssertionError("no test here refreshes")

    async def begin_browser(self, runtime: Any, redirect_uri: str | None) -> BrowserLogin:
        await runtime.ask("begin")
        url = f"{ORIGIN}/authorize?state=fake-state"
        state, verifier, uri = Secret("fake-state"), Secret("fake-verifier"), redirect_uri or "http://127.0.0.1/"
        return BrowserLogin(url, uri, state, verifier, returns_state=self.returns_state)

    async def finish_browser(self, runtime: Any, begun: BrowserLogin, redirected_to: str) -> Granted:
        if f"state={begun.state.reveal()}" not in redirected_to:
            raise WrongStateError("this address belongs to another login")
        answer: Granted = await runtime.ask("code")
        return answer

    async def begin_device(self, runtime: Any) -> DeviceLogin:
        await runtime.ask("begin device")
        ends = runtime.clock.instant().after(runtime.device_seconds)
        uri, code = f"{ORIGIN}/device", Secret("fake-device-code")
        return DeviceLogin(uri, f"{uri}?code=ABCD", "ABCD", code, interval_seconds=5.0, expires_at=ends)

    async def poll_device(self, runtime: Any, begun: DeviceLogin) -> Granted | float:
        answer: Granted | float | None = await runtime.ask("poll")
        return 5.0 if answer is None else answer

    async def revoke(self, runtime: Any, login: Login) -> None:
        assert login.refresh_token is not None
        await runtime.ask(f"revoke {login.refresh_token.reveal()}")


@dataclass
class Holder:
    """A provider that keeps its login in memory; ``broken`` is what its disk raises."""

    settings: Any
    server: LoginServer
    login: Login | None = None
    logged_out: list[Login] = field(default_factory=list)
    accepted: list[tuple[Granted, bool]] = field(default_factory=list)
    withdrawn: int = 0
    broken: Exception | None = None

    @property
    def login_runtime(self) -> RememberingRuntime:
        return cast(RememberingRuntime, self.server)

    async def accept_login(self, granted: Granted, *, another_account: bool) -> None:
        if self.broken is not None:
            raise self.broken
        self.accepted.append((granted, another_account))
        self.login = a_login(self.server.clock, granted.subject, client=self.settings.login_client)

    async def log_out(self) -> None:
        self.withdrawn += 1
        if self.login is not None:
            self.logged_out.append(self.login)
            self.login = None

    async def drop_logged_out(self, ended: Collection[Login]) -> None:
        self.logged_out = [login for login in self.logged_out if login not in ended]


def a_login(clock: VirtualClock, subject: str | None = "alice", *, client: LoginClient | None = None) -> Login:
    """A login as a provider keeps it."""
    now = clock.instant()
    owner = client or Personal().login_client
    return Login(Secret("fake-refresh-token"), owner, ORIGIN, obtained_at=now, refreshed_at=now, subject=subject)


@dataclass
class Stage:
    """Logins of some providers of the kind, named one, two, three and four, on the virtual clock."""

    clock: VirtualClock
    logins: Logins
    server: LoginServer
    holders: dict[str, Holder]
    tasks: Any

    @property
    def one(self) -> Holder:
        return self.holders["one"]

    async def begin(self, name: str = "one", *, uid: int = ALICE, flow: Flow | None = None, other: bool = False) -> Any:
        redirect = "http://127.0.0.1:8400/"
        return await self.logins.begin(name, uid=uid, flow=flow, redirect_uri=redirect, other_account=other)


@asynccontextmanager
async def stage(clock: VirtualClock, **settings: Any) -> AsyncIterator[Stage]:
    """Run a stage until the block ends: that is the end of the daemon."""
    world, server = World(clock), LoginServer(clock)
    async with world.running(), anyio.create_task_group() as tasks:
        holders = {name: Holder(Personal(**settings), server) for name in ("one", "two", "three", "four")}
        yield Stage(clock, Logins(tasks, world.context, holders), server, holders, tasks)
        tasks.cancel_scope.cancel()


def on_stage(play: Callable[[Stage], Awaitable[None]], **settings: Any) -> None:
    """Run a test on a stage of its own."""

    async def main(clock: VirtualClock) -> None:
        async with stage(clock, **settings) as made:
            await play(made)

    run_virtually(main)
