"""The exchanges of one provider's login: journal, request, what was granted saved; in this order, and never cut.

The journal is saved before a byte leaves: no journal, no request. From then until the answer is saved nothing cancels
the exchange; `ExchangeGuard.break_off` alone does, when the daemon ends and time is over: the journal covers it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from tokend.engine.context.context import Context
from tokend.engine.held.exchange_guard import ExchangeGuard
from tokend.engine.held.login_saving import Change, LoginSaving
from tokend.engine.policy.login_advice import login_advice
from tokend.engine.policy.login_change import InitialToken
from tokend.engine.policy.login_outcome import accepted, after_failure, refreshed
from tokend.engine.policy.shared_login import seen_by
from tokend.engine.records.login_record import LoginRecord
from tokend.engine.records.login_states import NO_LOGIN, Lost
from tokend.engine.records.record import Record
from tokend.machine.logs import get_logger
from tokend.plugin.kind_bugs import exits_refused
from tokend.plugin.login import (
    BeginsLogin,
    RememberingRuntime,
    WithLogin,
    begins_login,
    can_refresh,
    login_file_of,
)
from tokend.plugin.settings import HeldSettings
from tokend.values.errors import AttemptError, LoginFileError, LoginRefusedError, StoreError, TransientError
from tokend.values.logins import Granted, Login, LoginClient
from tokend.values.tokens import Token

if TYPE_CHECKING:
    from tokend.engine.held.shared_login_file import SharedLoginFile

# A person has logged in: an exchange of another daemon is waited for, with all its timeouts.
LONGEST_LOCK_SECONDS = 300.0
# A logout waits for an exchange of ordinary length.
REWRITE_LOCK_SECONDS = 20.0
log = get_logger()

REPEATED = "the refresh token is sent again, ever more rarely, once the server answers something harmless"

Use = Callable[[Granted], Awaitable[Change]]


class LoginExchange:
    """Use one provider's login. `AttemptRunner` makes the attempts; this class keeps the login through them."""

    __slots__ = ("_clock", "_context", "_doubt", "_name", "_store", "file", "guard", "saving")

    def __init__(self, name: str, context: Context) -> None:
        self._name = name
        self._context = context
        self._clock = context.clock
        self._store = context.store
        self._doubt = False
        # Where the login is kept, if that is not the record alone.
        self.file: SharedLoginFile | None = None
        self.guard = ExchangeGuard()
        self.saving = LoginSaving(name, context)

    async def finish(self) -> None:
        """Return when no exchange is under way. What cannot be saved is shown unsaved: there is no later."""
        self.saving.leave()
        await self.guard.wait()

    # -------------------------------------------------------------- the exchange

    def keep_in(self, settings: WithLogin) -> None:
        """Keep the login where ``settings`` say. An exchange under way ends where it has begun."""
        self.file = None
        if login_file_of(cast(HeldSettings, settings)) is not None:
            from tokend.engine.held.shared_login_file import SharedLoginFile  # few configurations have one

            self.file = SharedLoginFile(self._name, settings, self._context)

    async def exchange(
        self, settings: WithLogin, runtime: RememberingRuntime, use: Use, *, initial: InitialToken | None = None
    ) -> tuple[Record, bool]:
        """Make one exchange with the refresh token, and save what was granted.

        ``use`` makes the change that brings the answer's token. A newer token that another daemon has got is used
        without a request; ``initial`` is the configured refresh token, for a login file that has none. Returns the new
        record, and whether its token is another daemon's. Raises the `AttemptError` of a failure: of the exchange, or
        of a token beside a refresh token; that one is saved then.
        """
        if (file := self.file) is None:
            return await self._exchange(settings, runtime, use), False
        made: list[tuple[Record, bool]] = []
        try:
            async with self.saving.locked(file, cast(HeldSettings, settings).timeout.total_seconds()):
                await file.read(initial)
                if (token := file.newer_token()) is not None:
                    made.append((await self._adopt(token, use), True))
                else:
                    await file.begin_turn()
                    made.append((await self._exchange(settings, runtime, use), False))
        except StoreError as error:
            raise LoginFileError(error.detail) from None
        return made[0]

    async def _exchange(self, settings: WithLogin, runtime: RememberingRuntime, use: Use) -> Record:
        self.guard.require_unbarred()
        state = self._store.get(self._name).login.state
        now = self._clock.instant()
        has_none = state.login is None or state.is_required or not can_refresh(settings, state.login, now)
        if has_none and not begins_login(settings):
            await self._end(LoginRefusedError())
            raise LoginRefusedError(login_advice(self._name, cast(HeldSettings, settings)).sentence)
        if isinstance(state, Lost) and not has_none:
            with exits_refused():
                await settings.probe_server(runtime)
        self.guard.require_unbarred()  # a logout may have begun meanwhile; from here on it waits
        with self.guard.uncut():
            if has_none and begins_login(settings):
                return await self._begin(settings, runtime, use)
            login = await self._journal()
            try:
                with exits_refused():
                    granted = await settings.refresh(runtime, login)
            except Exception as error:
                if isinstance(error, LoginRefusedError) and begins_login(settings):
                    await self.saving.note(lambda record: record.with_login_state(NO_LOGIN))
                    return await self._begin(settings, runtime, use, refused=error)
                await self._end(error)
                raise
            return await self._keep(granted, use, lambda logins: refreshed(logins, granted))
        raise TransientError("the exchange was broken off")

    async def _begin(
        self,
        settings: BeginsLogin,
        runtime: RememberingRuntime,
        use: Use,
        *,
        refused: LoginRefusedError | None = None,
    ) -> Record:
        """Begin a login by the credentials alone. A lost answer loses nothing: the request can be made again."""
        with exits_refused():
            granted = await settings.begin_login(runtime, refused)
        client = settings.login_client
        return await self._keep(granted, use, lambda logins: accepted(logins, granted, client, None))

    async def _adopt(self, token: Token, use: Use) -> Record:
        """Use the token that another daemon has got."""
        change = await use(Granted("", self._clock.instant(), token=token))
        return await self._store.update(self._name, change)

    async def accept(
        self,
        granted: Granted,
        client: LoginClient,
        initial: InitialToken | None,
        use: Use,
        *,
        logouts: int,
        another_account: bool = False,
    ) -> Record:
        """Save a login that a person has begun, and the token that ``use`` brings. Raises why there is no such token.

        The login before it is dropped. The ``initial`` refresh token counts as used: a person has decided. Returns the
        new record. Raises `StoreError` where nothing was kept: a login file cannot be used (a lock on it is waited
        for), or somebody has logged out since `ExchangeGuard.logouts` had the value ``logouts``.
        """

        def kept(logins: LoginRecord) -> LoginRecord:
            return accepted(logins, granted, client, initial)

        self.guard.require_no_logout_since(logouts)
        with self.guard.uncut():
            if (file := self.file) is None:
                return await self._keep(granted, use, kept)
            async with self.saving.locked(file, LONGEST_LOCK_SECONDS):
                await file.read(replaces=True)
                if initial is not None:
                    initial = file.digested(initial)
                return await self._keep(granted, use, kept, withdraws=another_account)
        raise StoreError("saving the login was broken off: log in again")

    async def rewrite(self, change: Change, *, withdraws: bool) -> None:
        """Change the logins without an exchange. ``withdraws``: the token, too, for everybody who shares the login.

        A login file that is older than it was, or gone, is replaced. Raises `StoreError` where it cannot be written.
        """
        if (file := self.file) is None:
            await self._store.update(self._name, change)
            return
        async with self.saving.locked(file, REWRITE_LOCK_SECONDS):
            await file.read(replaces=True)
            await file.commit(change, withdraws=withdraws)

    async def remember_notices(self, change: Change, initial: InitialToken | None) -> None:
        """Remember notices beside the login that they are about, where ``change`` of what is there now says so.

        ``initial`` is the configured refresh token. Raises `StoreError` where a login file cannot be used or written.
        A file that is not made yet is not made for a notice.
        """
        file = self.file
        if file is None or not seen_by(self._store.get(self._name), str(file.path)).number:
            await self._store.update(self._name, change)
            return
        async with self.saving.locked(file, REWRITE_LOCK_SECONDS):
            record = await file.read(initial)
            if change(record) != record:  # another daemon may have given the notice
                await file.commit(change)

    async def _journal(self) -> Login:
        """Save that the refresh token is about to be sent, and reserve space for the answer."""
        try:
            record = await self.saving.commit(lambda record: record.with_login_state(record.login.state.journalled()))
        except StoreError as error:
            raise TransientError(
                f"nothing was sent, because a lost answer would lose the login: {error.detail}", is_sent=False
            ) from None
        if (login := record.login.login) is None:
            raise TransientError("nothing was sent: a person has ended the login", is_sent=False)
        if record.login.state.repeats:
            self._context.counters.login_retried(self._name)
            log.warning("login.repeated", token=self._name, repeats=record.login.state.repeats, detail=REPEATED)
        return login

    async def _end(self, error: Exception) -> None:
        """Save what a failed exchange means for the login."""
        now = self._clock.instant()

        def ended(record: Record) -> Record:
            before = record.login.state
            after = after_failure(before, error, now)
            # A repeat after a lost answer has a moment of its own.
            self._doubt = isinstance(after, Lost) or (after.may_be_spent and not before.may_be_spent)
            return record.with_login_state(after)

        await self.saving.note(ended)

    def take_doubt(self) -> bool:
        """Return, once, whether the next exchange must not wait for a backoff that earlier failures have made long.

        The last answer was lost, or it is the first that may have spent the refresh token. Servers with a grace give
        the successor again for about a minute.
        """
        doubt, self._doubt = self._doubt, False
        return doubt

    # -------------------------------------------------------------- what was granted

    async def _keep(
        self,
        granted: Granted,
        use: Use,
        kept: Callable[[LoginRecord], LoginRecord],
        *,
        withdraws: bool = False,
    ) -> Record:
        """Save the login that was granted, whatever is wrong with its token, and the token with it."""
        fault: Exception | None = None
        change: Change | None = None
        try:
            change = await use(granted)
        except Exception as error:
            fault = error

        def both(record: Record) -> Record:
            nonlocal fault
            record = replace(record, login=kept(record.login))
            try:
                return record if change is None else change(record)
            except AttemptError as error:
                fault = error
                return record

        record = await self.saving.save(both, token=granted.token, withdraws=withdraws)
        if fault is not None:
            raise fault
        return record

    @property
    def note(self) -> str | None:
        """A remark for the operator, or None."""
        state = self._store.get(self._name).login.state
        if self.file is not None and self.file.trouble is not None:
            return self.file.trouble
        if self.saving.unsaved is not None:
            return f"a new refresh token is not saved, and is written again every second: {self.saving.unsaved}"
        if isinstance(state, Lost):
            times = "" if not state.repeats else f", and of {state.repeats} repeats"
            return f"the answer to a refresh was lost{times}: {REPEATED}"
        return None
