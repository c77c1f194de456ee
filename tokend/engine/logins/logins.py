"""`Logins`: what persons do about logins; implements `contract.Logins`."""

from collections.abc import Callable, Mapping
from typing import Any

from anyio.abc import TaskGroup

from tokend.engine.context.context import Context
from tokend.engine.context.contract import LogoutAnswer
from tokend.engine.logins.login_sessions import LoginSessions
from tokend.engine.logins.login_watch import LoginNotice, LoginWatch
from tokend.engine.logins.logout import Logout


class Logins(LoginSessions):
    """The logins under way, and their ends."""

    def __init__(self, tasks: TaskGroup, context: Context, providers: Mapping[str, Any]) -> None:
        super().__init__(tasks, context, providers)
        self._logout = Logout(context, providers)
        self._watch_logins = LoginWatch(context, providers)

    async def watch(self) -> None:
        """Give notices about logins until cancelled; a task of the daemon."""
        await self._watch_logins.run()

    def subscribe(self, callback: Callable[[LoginNotice], None]) -> None:
        """Call ``callback`` with each notice to persons."""
        self._watch_logins.subscribe(callback)

    async def log_out(self, name: str, *, uid: int, force: bool) -> LogoutAnswer:
        """End a login here and at its server. A login of the provider that is under way is cancelled."""
        self.abandon(name)
        return await self._logout.log_out(name, uid=uid, force=force)
