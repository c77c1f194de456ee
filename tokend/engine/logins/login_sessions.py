"""Logins under way: begun, finished, polled, cancelled. The daemon is the client; the command only meets the person.

One at a time for a provider, three in all, ten minutes each, in memory. The code, the verifier and the device code
never leave this process. While a login is under way, the provider's token is served and refreshed as before.
"""

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup

from tokend.engine.context.context import Context
from tokend.engine.logins.login_completion import STOPPING, LoginCompletion
from tokend.engine.logins.login_errors import as_reader_error
from tokend.engine.logins.login_holder import LoginHolder, interactive
from tokend.engine.logins.login_session import LoginSession
from tokend.machine.event import Event
from tokend.machine.logs import get_logger
from tokend.plugin.kind_bugs import exits_refused
from tokend.plugin.login import BrowserLogin, DeviceLogin, Flow, InteractiveLogin
from tokend.values.errors import (
    AttemptError,
    NotSupportedError,
    ThrottledError,
    TokenUnavailableError,
    UnknownTokenError,
)

LOGIN_SECONDS = 600.0
MOST_AT_ONCE = 3
CANCELLED = "it was cancelled"
LOGGED_OUT = "somebody has logged out meanwhile"
LATE = "it was not finished in time: begin again"
# What has ended is shown for a while: its client asks what came of it.
MOST_ENDED = 32

log = get_logger()


@dataclass(slots=True)
class _Result:
    """What one step of a login raised, for the request that waits for it."""

    done: Event = field(default_factory=Event)
    error: Exception | None = None


class LoginSessions:
    """The logins under way of one daemon. ``providers`` are those that run now."""

    def __init__(self, tasks: TaskGroup, context: Context, providers: Mapping[str, Any]) -> None:
        self._tasks = tasks
        self._context = context
        self._clock = context.clock
        self._providers = providers
        self._completion = LoginCompletion(context, providers)
        self._beginning: set[str] = set()
        self._sessions: OrderedDict[str, LoginSession] = OrderedDict()

    async def begin(
        self, name: str, *, uid: int, flow: Flow | None, redirect_uri: str | None, other_account: bool
    ) -> LoginSession:
        """Begin a login of a peer. ``flow`` None: the one that the provider prefers.

        Raises `NotSupportedError`, `ThrottledError` (too many are under way) and the errors of `login_errors`.
        """
        holder, settings = self._interactive(name)
        if (why := self._context.store.unopened(name)) is not None:
            raise TokenUnavailableError(f"{name}: {why}; tokend logout {name} drops it")
        chosen = _chosen(name, settings, flow)
        self._refuse_too_many(name)
        self._beginning.add(name)
        try:
            with exits_refused():
                begun: BrowserLogin | DeviceLogin
                if chosen == "browser":
                    begun = await settings.begin_browser(holder.login_runtime, redirect_uri)
                else:
                    begun = await settings.begin_device(holder.login_runtime)
        except AttemptError as error:
            raise as_reader_error(error, self._clock) from None
        finally:
            self._beginning.discard(name)
        session = self._session(name, settings, begun, uid=uid, other_account=other_account)
        self._remember(session)
        self._context.logging_in.add(name)
        self._tasks.start_soon(self._watch, session)
        self._context.store.touch(name)
        log.info("login.begun", token=name, uid=uid, flow=chosen)
        return session

    async def finish(self, name: str, login_id: str, *, uid: int, redirected_to: str) -> LoginSession:
        """Finish a login by the address at which the browser has ended; returns the session, ended or not.

        Raises `WrongAddressError` for an address of another login, or of none: nothing was sent, and the login goes
        on. Raises another `ReaderError` where the server could not be asked: the address may be sent again.
        """
        session = self.find(name, login_id, uid=uid)
        if session.flow != "browser":
            raise NotSupportedError(f"the login of {name} under way is finished on another device, not by an address")
        await self._complete(partial(self._completion.by_address, session, redirected_to))
        return session

    async def confirm(self, name: str, login_id: str, *, uid: int) -> LoginSession:
        """Keep a login whose account the person has confirmed; returns the session. Raises `WrongAddressError` if none
        awaits that."""
        session = self.find(name, login_id, uid=uid)
        await self._complete(partial(self._completion.by_confirmation, session))
        return session

    def find(self, name: str, login_id: str, *, uid: int) -> LoginSession:
        """Return a login that this peer has begun. Raises one `UnknownTokenError` for a stranger's and for none."""
        session = self._sessions.get(login_id)
        if session is None or session.name != name or session.uid != uid:
            raise UnknownTokenError(f"no login of {name} that you have begun has this id; the daemon forgets old ones")
        return session

    def cancel(self, name: str, login_id: str, *, uid: int) -> LoginSession:
        """Cancel a login that this peer has begun. One that has ended stays as it is."""
        session = self.find(name, login_id, uid=uid)
        self._completion.end(session, "failed", error=CANCELLED, logged=CANCELLED)
        return session

    def abandon(self, name: str) -> None:
        """End the login of a provider that is under way: somebody has logged out."""
        if (session := self.pending_for(name)) is not None:
            self._completion.end(session, "failed", error=LOGGED_OUT, logged=LOGGED_OUT)

    def pending_for(self, name: str) -> LoginSession | None:
        """Return the login of a provider that is under way."""
        return next((session for session in self._pending() if session.name == name), None)

    # -------------------------------------------------------------- below

    def _interactive(self, name: str) -> tuple[LoginHolder, InteractiveLogin]:
        provider = self._providers.get(name)
        if provider is None:
            raise UnknownTokenError(f"there is no token {name}")
        settings = provider.settings
        if not interactive(settings):
            raise NotSupportedError(f"{name}: nobody can log in for its kind and settings; its credentials are its own")
        return provider, settings

    def _session(
        self,
        name: str,
        settings: InteractiveLogin,
        begun: BrowserLogin | DeviceLogin,
        *,
        uid: int,
        other_account: bool,
    ) -> LoginSession:
        now, ends = self._clock.instant(), self._clock.instant().after(LOGIN_SECONDS)
        if isinstance(begun, DeviceLogin) and now.until(begun.expires_at) < LOGIN_SECONDS:
            ends = begun.expires_at
        return LoginSession(
            login_id=secrets.token_urlsafe(24),
            name=name,
            uid=uid,
            flow="browser" if isinstance(begun, BrowserLogin) else "device",
            client=settings.login_client,
            begun=begun,
            expires_at=ends,
            allows_other_account=other_account,
        )

    def _pending(self) -> Iterator[LoginSession]:
        return (session for session in self._sessions.values() if session.is_pending)

    def _refuse_too_many(self, name: str) -> None:
        under_way = {session.name: session.expires_at.wall.timestamp() for session in self._pending()}
        if name in under_way or name in self._beginning:
            text = f"a login of {name} is under way already: finish or cancel it first"
            raise ThrottledError(text, retry_at=under_way.get(name))
        if len(under_way) + len(self._beginning) >= MOST_AT_ONCE:
            text = f"{MOST_AT_ONCE} logins are under way already, the most at one time"
            raise ThrottledError(text, retry_at=min(under_way.values(), default=None))

    def _remember(self, session: LoginSession) -> None:
        ended = [key for key, one in self._sessions.items() if not one.is_pending]
        for key in ended[: max(0, len(ended) - MOST_ENDED)]:
            del self._sessions[key]
        self._sessions[session.login_id] = session

    async def _complete(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do a step in the daemon's own task: a client that disconnects breaks nothing off that was sent."""
        result = _Result()
        self._tasks.start_soon(self._do, step, result)
        await result.done.wait()
        if result.error is not None:
            raise result.error

    async def _do(self, step: Callable[[], Awaitable[None]], result: _Result) -> None:
        result.error = TokenUnavailableError(STOPPING)
        try:
            await step()
            result.error = None
        except Exception as error:  # for the request; a bug is logged there
            result.error = error
        finally:
            result.done.set()

    async def _watch(self, session: LoginSession) -> None:
        """End a session when its time is over; ask its server meanwhile, if the person is at another device."""
        async with anyio.create_task_group() as both:
            both.start_soon(self._completion.by_polling, session)
            while session.is_pending and self._clock.instant().until(session.expires_at) > 0:
                await self._clock.wait(session.expires_at, session.ended)
            async with session.exchange:  # what was sent before the time was over may still be granted
                self._completion.end(session, "expired", error=LATE, logged=LATE)
            both.cancel_scope.cancel()


def _chosen(name: str, settings: InteractiveLogin, flow: Flow | None) -> Flow:
    flows = settings.login_flows
    if flow is not None and flow not in flows:
        raise NotSupportedError(f"{name}: there is no login by {flow} under its settings, only by {', '.join(flows)}")
    return flow or flows[0]
