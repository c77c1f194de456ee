"""`LoginSaving`: saves one provider's login where it is kept, and a new refresh token until that has worked."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import anyio

from tokend.engine.context.context import Context
from tokend.engine.records.login_record import LoginRecord
from tokend.engine.records.record import Record
from tokend.engine.tasks.heartbeat import HEARTBEAT
from tokend.machine.logs import get_logger
from tokend.values.errors import StoreError
from tokend.values.tokens import Token

if TYPE_CHECKING:
    from tokend.engine.held.shared_login_file import SharedLoginFile

# A new refresh token that could not be saved is written again so often.
WRITE_AGAIN_SECONDS = 1.0

Change: TypeAlias = Callable[[Record], Record]

log = get_logger()


class LoginSaving:
    """Save the login of the provider ``name``: in its record, and in a login file while that one's lock is held."""

    __slots__ = ("_clock", "_held", "_leaving", "_name", "_store", "scope", "unsaved")

    def __init__(self, name: str, context: Context) -> None:
        self._name = name
        self._clock = context.clock
        self._store = context.store
        self._leaving = False
        # The login file whose lock is held now.
        self._held: SharedLoginFile | None = None
        # That of the worker that makes the exchanges, once it runs.
        self.scope: anyio.CancelScope | None = None
        # Why a new refresh token is not saved yet; None if all is saved.
        self.unsaved: str | None = None

    def leave(self) -> None:
        """Show unsaved what cannot be saved from here on: there is no later."""
        self._leaving = True

    @asynccontextmanager
    async def locked(self, file: "SharedLoginFile", seconds: float) -> AsyncIterator[None]:
        """Save into the login file, too, during the block. Raises `StoreError` where its lock is not to be had."""
        async with file.locked(seconds):
            self._held = file
            try:
                yield
            finally:
                self._held = None

    async def commit(self, change: Change, *, token: Token | None = None, withdraws: bool = False) -> Record:
        """Save a change and return the new record. Raises `StoreError`: then nothing has changed."""
        if self._held is None:
            return await self._store.commit(self._name, change)
        return await self._held.commit(change, token=token, withdraws=withdraws)

    async def note(self, change: Change) -> None:
        """Save what a failed exchange means. Where the login file cannot be written, it is in the record only."""
        if self._held is not None:
            with suppress(StoreError):  # the journal stays: the next one who holds the lock takes the answer for lost
                await self._held.commit(change)
                return
        await self._store.update(self._name, change)

    async def save(self, change: Change, *, token: Token | None, withdraws: bool) -> Record:
        """Save a new login, again every second; while the old token is valid it is served, and nothing is published.

        Returns the new record. It is published unsaved only when the old token has ended. What belongs into a login
        file is written again also then, with the lock held: nobody else may send the refresh token that it holds.
        """
        shown: Record | None = None
        try:
            while True:
                try:
                    return await self.commit(change, token=token, withdraws=withdraws)
                except StoreError as error:
                    self._note_unsaved(error.detail)
                if shown is None and (self._leaving or self._store.valid_lease(self._name) is None):
                    shown = await self._store.update(self._name, change)
                    change = _with_logins(shown.login)
                if shown is not None and (self._leaving or self._held is None):
                    return shown
                if (heartbeat := HEARTBEAT.get()) is not None:
                    heartbeat.works()
                await self._clock.sleep(WRITE_AGAIN_SECONDS)
        finally:
            self._note_unsaved(None)

    def _note_unsaved(self, detail: str | None) -> None:
        # Nothing cuts the write; without the worker there is no later.
        self._leaving |= self.scope is not None and self.scope.cancel_called
        if detail is not None and self.unsaved is None:
            log.error("login.not_saved", token=self._name, detail=detail)
        if detail != self.unsaved:
            self.unsaved = detail
            self._store.touch(self._name)


def _with_logins(logins: LoginRecord) -> Change:
    return lambda record: replace(record, login=logins)
