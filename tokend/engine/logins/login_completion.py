"""The completion of logins under way: what a person has done is exchanged, and what was granted is accepted."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from tokend.engine.context.context import Context
from tokend.engine.logins.login_errors import as_reader_error, may_be_repeated
from tokend.engine.logins.login_holder import LoginHolder, interactive, subject_of
from tokend.engine.logins.login_session import LoginSession, SessionState
from tokend.engine.logins.with_grace import with_grace
from tokend.engine.policy.login_subject import KnownSubjects, refusal
from tokend.machine.logs import get_logger
from tokend.plugin.kind_bugs import exits_refused
from tokend.plugin.login import BrowserLogin, DeviceLogin, InteractiveLogin, RememberingRuntime
from tokend.values.errors import (
    AttemptError,
    LoginRefusedError,
    RateLimitedError,
    RejectedError,
    StoreError,
    WrongAddressError,
    WrongStateError,
)
from tokend.values.logins import Granted

# When the daemon ends, its disk takes writes for two seconds more (`machine.thread_pool.LAST_SECONDS`).
GRACE_SECONDS = 1.8
# RFC 8628 section 3.5: after a timeout the interval grows.
LONGEST_POLL_SECONDS = 60.0
SLOWER_SECONDS = 5.0
CHANGED = "the configuration was changed while the login was under way: begin again"
BUG = "a bug in tokend or in this kind; the log has its traceback"
OTHER_ACCOUNT = "the login is of another account than it must be"
STOPPING = "the daemon stops: begin the login again when it runs"

log = get_logger()


class LoginCompletion:
    """Complete logins under way. ``providers`` are those that run now."""

    def __init__(self, context: Context, providers: Mapping[str, Any]) -> None:
        self._context = context
        self._clock = context.clock
        self._providers = providers

    def end(
        self,
        session: LoginSession,
        state: SessionState,
        *,
        error: str | None = None,
        subject: str | None = None,
        logged: str | None = None,
    ) -> None:
        """End a session and say so: in the log, and to those who look at the provider.

        ``error`` is for the person, ``logged`` for the log: without an account and without words of the server.
        """
        if session.is_pending:
            session.end(state, error=error, subject=subject)
            self._context.logging_in.discard(session.name)
            self._context.store.touch(session.name)
            write = log.info if state == "done" else log.warning
            write(f"login.{state}", token=session.name, uid=session.uid, detail=logged)

    # -------------------------------------------------------------- a browser

    async def by_address(self, session: LoginSession, redirected_to: str) -> None:
        """Exchange the code of an address. Raises `WrongAddressError`, or another `ReaderError`: it may be repeated."""
        await with_grace(partial(self._by_address, session, redirected_to), seconds=GRACE_SECONDS)

    async def _by_address(self, session: LoginSession, redirected_to: str) -> None:
        async with session.exchange:
            begun = session.begun
            if not isinstance(begun, BrowserLogin):
                raise WrongAddressError(f"this login of {session.name} has ended ({session.state}): nothing was sent")
            if session.awaits_confirmation:
                raise WrongAddressError(f"this login of {session.name} awaits a confirmation: nothing was sent")
            try:
                holder, settings, runtime = self._current(session)
                with exits_refused():
                    granted = await settings.finish_browser(runtime, begun, redirected_to)
            except WrongStateError as error:
                raise WrongAddressError(error.detail) from None
            except AttemptError as error:
                if may_be_repeated(error):
                    session.error = error.whole
                    raise as_reader_error(error, self._clock) from None
                self.end(session, "failed", error=error.whole, logged=error.detail)
            except Exception:
                self.end(session, "failed", error=BUG, logged=BUG)
                raise
            else:
                await self._accept(session, holder, settings, granted)

    async def by_confirmation(self, session: LoginSession) -> None:
        """Keep what was granted: the person has confirmed whose account it is. Raises `WrongAddressError`."""
        await with_grace(partial(self._by_confirmation, session), seconds=GRACE_SECONDS)

    async def _by_confirmation(self, session: LoginSession) -> None:
        async with session.exchange:
            if (granted := session.unconfirmed) is None:
                raise WrongAddressError(f"this login of {session.name} awaits no confirmation")
            try:
                holder, settings, _ = self._current(session)
            except LoginRefusedError as error:
                self.end(session, "failed", error=error.whole, logged=error.detail)
            else:
                await self._accept(session, holder, settings, granted, is_confirmed=True)

    # -------------------------------------------------------------- another device

    async def by_polling(self, session: LoginSession) -> None:
        """Ask whether the person has finished, again and again, until the session ends."""
        begun = session.begun
        if isinstance(begun, DeviceLogin):
            interval = [max(1.0, begun.interval_seconds)]
            while session.is_pending:
                await self._clock.sleep(interval[0])
                try:
                    await with_grace(partial(self._poll, session, begun, interval), seconds=GRACE_SECONDS)
                except Exception:
                    log.exception("login.crashed", token=session.name)
                    self.end(session, "failed", error=BUG, logged=BUG)

    async def _poll(self, session: LoginSession, begun: DeviceLogin, interval: list[float]) -> None:
        async with session.exchange:
            if not session.is_pending:
                return
            try:
                holder, settings, runtime = self._current(session)
                with exits_refused():
                    answer = await settings.poll_device(runtime, begun)
            except (LoginRefusedError, RejectedError) as error:
                self.end(session, "failed", error=error.whole, logged=error.detail)
            except AttemptError as error:
                session.error = error.whole
                interval[0] = _slower(interval[0], error)
            else:
                if isinstance(answer, Granted):
                    await self._accept(session, holder, settings, answer)
                else:
                    session.error, interval[0] = None, max(1.0, answer)

    # -------------------------------------------------------------- what was granted

    async def _accept(
        self,
        session: LoginSession,
        holder: LoginHolder,
        settings: InteractiveLogin,
        granted: Granted,
        *,
        is_confirmed: bool = False,
    ) -> None:
        """Keep the login, unless it is of another account than it must be, or was cancelled meanwhile.

        One whose address did not show that it is this login's waits for the person, who has to confirm the account.
        """
        if not session.is_pending:
            return
        before = None if holder.login is None else holder.login.subject
        known = KnownSubjects(before, subject_of(settings), self._subjects_of_others(session))
        why = None if session.allows_other_account else refusal(session.name, granted.subject, known)
        if why is not None:
            self.end(session, "failed", error=why, logged=OTHER_ACCOUNT)
            return
        begun = session.begun
        if isinstance(begun, BrowserLogin) and not begun.returns_state and not is_confirmed:
            session.unconfirmed, session.subject, session.error = granted, granted.subject, None
            return
        another = granted.subject is not None and before is not None and granted.subject != before
        try:
            await holder.accept_login(granted, another_account=another)
        except StoreError as error:
            self.end(session, "failed", error=error.detail, logged=error.detail)
        except Exception:
            self.end(session, "failed", error=BUG, logged=BUG)
            raise
        else:
            self.end(session, "done", subject=granted.subject)

    def _subjects_of_others(self, session: LoginSession) -> list[tuple[str, str]]:
        found = []
        for name, provider in sorted(self._providers.items()):
            login = getattr(provider, "login", None)
            if name != session.name and login is not None and login.client == session.client and login.subject:
                found.append((name, login.subject))
        return found

    def _current(self, session: LoginSession) -> tuple[LoginHolder, InteractiveLogin, RememberingRuntime]:
        """Return the provider and its settings of now. Raises `LoginRefusedError` if it has another client by now."""
        holder = self._providers.get(session.name)
        if holder is not None and interactive(holder.settings) and holder.settings.login_client == session.client:
            return holder, holder.settings, holder.login_runtime
        raise LoginRefusedError(CHANGED)


def _slower(seconds: float, error: AttemptError) -> float:
    """Return the interval after a poll that failed: the pause that the server asked for, else twice as long."""
    if isinstance(error, RateLimitedError):
        return max(seconds + SLOWER_SECONDS, error.retry_after or 0.0)
    return max(seconds, min(seconds * 2, LONGEST_POLL_SECONDS))
