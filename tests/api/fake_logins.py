"""Hand-made logins for the socket server: what they are asked is recorded by the fake engine."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from tokend.engine.context.contract import LogoutAnswer
from tokend.engine.logins.login_session import LoginSession
from tokend.plugin.login import BrowserLogin, DeviceLogin, Flow
from tokend.values.errors import UnknownTokenError
from tokend.values.instant import Instant
from tokend.values.logins import Granted, LoginClient
from tokend.values.secret import Secret

BROWSER_URL = "https://login.example/authorize?state=fake-state"
DEVICE_URL = "https://login.example/device"
LOGIN_ID = "L" * 32


class FakeLogins:
    """Implements `contract.Logins`. ``session`` is the one that was begun; ``answer`` that of the next logout."""

    def __init__(self, asked: Callable[..., Awaitable[None]], now: Callable[[], Instant]) -> None:
        self._asked = asked
        self._now = now
        self.session: LoginSession | None = None
        self.answer = LogoutAnswer(confirmed=True, dropped=True)
        # Whether the address at which a browser ends has the login's state; without it the person confirms.
        self.returns_state = True
        self.subject: str | None = "alice"

    async def begin(
        self, name: str, *, uid: int, flow: Flow | None, redirect_uri: str | None, other_account: bool
    ) -> LoginSession:
        await self._asked("begin login", name, flow, redirect_uri, other_account)
        now, uri = self._now(), redirect_uri or "http://127.0.0.1/"
        begun: Any = BrowserLogin(BROWSER_URL, uri, Secret("fake-state"), Secret("fake-verifier"))
        begun = replace(begun, returns_state=self.returns_state)
        if flow == "device":
            begun = DeviceLogin(DEVICE_URL, None, "ABCD", Secret("fake-device-code"), 5.0, now.after(600))
        client = LoginClient("fake", "https://login.example", "fake-client")
        self.session = LoginSession(LOGIN_ID, name, uid, flow or "browser", client, begun, now.after(600))
        return self.session

    async def finish(self, name: str, login_id: str, *, uid: int, redirected_to: str) -> LoginSession:
        session = self.find(name, login_id, uid=uid)
        await self._asked("finish login", name, login_id, redirected_to)
        if not self.returns_state:
            session.unconfirmed, session.subject = Granted("https://login.example", self._now()), self.subject
        else:
            session.end("done", subject=self.subject)
        return session

    async def confirm(self, name: str, login_id: str, *, uid: int) -> LoginSession:
        session = self.find(name, login_id, uid=uid)
        await self._asked("confirm login", name, login_id)
        session.end("done", subject=session.subject)
        return session

    def find(self, name: str, login_id: str, *, uid: int) -> LoginSession:
        session = self.session
        if session is None or (session.name, session.login_id, session.uid) != (name, login_id, uid):
            raise UnknownTokenError("no such login")
        return session

    def cancel(self, name: str, login_id: str, *, uid: int) -> LoginSession:
        session = self.find(name, login_id, uid=uid)
        session.end("failed", error="it was cancelled")
        return session

    async def log_out(self, name: str, *, uid: int, force: bool) -> LogoutAnswer:
        await self._asked("log out", name, force)
        return self.answer
