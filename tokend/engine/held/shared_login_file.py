"""One provider's login file: its lock, what is read from it, and what is written to it.

Several daemons keep one login there. The one that makes an exchange holds the lock from before it reads the file until
it has written the answer. The record shows what was read last (`Record.seen`); the file is what counts.
"""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar, cast

from tokend.engine.context.context import Context
from tokend.engine.policy.login_advice import another_login
from tokend.engine.policy.login_change import InitialToken, reconcile_logins
from tokend.engine.policy.login_outcome import interrupted
from tokend.engine.policy.shared_login import (
    OlderFileError,
    newer_token,
    ready_to_move,
    require_newest,
    seconds_until_turn,
    seen_by,
    with_content,
)
from tokend.engine.records.fingerprints import shared_request_fingerprint
from tokend.engine.records.login_record import LoginRecord
from tokend.engine.records.record import Record
from tokend.engine.records.seen_file import SeenFile
from tokend.engine.records.shared_login import SALT_BYTES, SharedLogin, dump_shared, load_shared
from tokend.engine.records.store import RESERVED_BYTES, SAVE_SECONDS
from tokend.engine.tasks.heartbeat import HEARTBEAT
from tokend.machine.logs import get_logger
from tokend.plugin.login import WithLogin, login_file_key_of, login_file_of
from tokend.plugin.settings import HeldSettings
from tokend.state.login_file import LoginFile, LoginLock
from tokend.state.sealing import Sealer, StateKey, UnopenedError
from tokend.values.errors import SecretError, StoreError
from tokend.values.tokens import Token

T = TypeVar("T")
# How often a lock that another daemon holds is tried.
TRY_LOCK_SECONDS = 0.1

log = get_logger()

Change = Callable[[Record], Record]


class SharedLoginFile:
    """The login file of the provider ``name`` under ``settings``. Methods raise `StoreError`."""

    def __init__(self, name: str, settings: WithLogin, context: Context) -> None:
        held = cast(HeldSettings, settings)
        path = login_file_of(held)
        assert path is not None  # noqa: S101  # the caller has looked
        self.path = path
        self._name = name
        self._client = settings.login_client
        self._settings = held
        self._again = another_login(name, held)
        self._clock = context.clock
        self._store = context.store
        self._file: LoginFile | None = None  # made when it is needed: its key is read then
        self._lock: LoginLock | None = None  # while it is held
        self._hangs = False
        self._content = SharedLogin(self._client, secrets.token_bytes(SALT_BYTES), context.clock.instant())
        self._hastened = False
        # Why the file could not be used when it was read last; None if it could.
        self.trouble: str | None = None

    # -------------------------------------------------------------- the lock

    @asynccontextmanager
    async def locked(self, seconds: float) -> AsyncIterator[None]:
        """Hold the lock in this block. Raises `StoreError` if it is not free within ``seconds``: nothing was sent."""
        file = await self._opened()
        lock = LoginLock(file)
        try:
            until = self._clock.instant().after(seconds)
            while not await self._run(lock.take):
                if self._clock.instant().until(until) <= 0:
                    raise StoreError(
                        f"another daemon has held {file.lock_path} for {seconds:.0f} s: nothing was sent; if it hangs, "
                        "end it"
                    )
                if (heartbeat := HEARTBEAT.get()) is not None:
                    heartbeat.works()
                await self._clock.sleep(TRY_LOCK_SECONDS)
            self._lock = lock
            try:
                yield
            finally:
                self._lock = None  # not where the wait has ended: another task may hold it
        finally:
            lock.release()

    # -------------------------------------------------------------- reading

    async def read(self, initial: InitialToken | None = None, *, replaces: bool = False) -> Record:
        """Read the file, and show in the record what it says. ``initial`` is the configured refresh token.

        With ``replaces`` a file that is older than one that was seen, or gone, counts as one without a login: the
        caller is about to write a newer one.
        """
        before = seen_by(self._store.get(self._name), str(self.path))
        try:
            shared = await self._read()
            require_newest(shared, before, self._again)
        except StoreError as error:
            if not replaces or not isinstance(error, OlderFileError):
                self._note(error.detail)
                raise
            # The login as it was known: a logout may have to revoke it.
            own = replace(before.own, state=self._store.get(self._name).login.state)
            before, shared = replace(before, own=own), None
            self._content = replace(self._content, number=0, token=None)
        self._note(None)
        return await self._take(shared, before, initial, replaces=replaces)

    async def _take(
        self, shared: SharedLogin | None, before: SeenFile, initial: InitialToken | None, *, replaces: bool
    ) -> Record:
        record = self._store.get(self._name)
        if shared is not None and record.seen is not None and shared.number < seen_by(record, before.path).number:
            return record  # it was written while it was read
        now = self._clock.instant()
        self._content = shared or self._content
        digested = None if initial is None else self.digested(initial)
        if shared is None and not replaces:
            # A digest of the record says nothing to others. One that is not that of the present refresh token stays
            # different.
            is_used = initial is not None and initial.digest == before.own.initial
            digest = digested.digest if is_used and digested is not None else before.own.initial if initial else None
            before = replace(before, own=ready_to_move(before.own, self._client, digest, now))

        def taken(record: Record) -> Record:
            record = with_content(record, shared, before, now)
            return replace(record, login=reconcile_logins(record.login, self._client, digested, now))

        after = taken(record)
        if after.seen != record.seen or after.token is not record.token:
            return await self._store.update(self._name, taken)
        if after != record:
            self._store.show(self._name, after)
        return after

    async def _read(self) -> SharedLogin | None:
        file = await self._opened()
        try:
            opened = await self._run(file.read)
        except UnopenedError:
            self._file = None  # the key may be another one by now
            raise
        if opened is None:
            return None
        try:
            shared = load_shared(opened.content, boot_id=self._store.state.boot_id, now=self._clock.instant())
        except StoreError as error:
            raise StoreError(f"login file {self.path}: {error.detail}; move it away, and {self._again}") from None
        if opened.number not in {None, shared.number}:
            raise StoreError(f"login file {self.path}: its numbers differ; move it away, and {self._again}")
        if shared.client != self._client:
            raise StoreError(
                f"login file {self.path} has the login of another client (its server or client_id is another one): "
                "name another file"
            )
        return shared

    def digested(self, initial: InitialToken) -> InitialToken:
        """Return the configured refresh token with the digest that all who share the file agree on."""
        return replace(initial, digest=self._content.digest(initial.token.reveal_bytes()))

    def newer_token(self) -> Token | None:
        """Return the token that another daemon has got, if it is newer than the one held."""
        request = shared_request_fingerprint(self._settings, self._content.digest)
        return newer_token(self._store.get(self._name), self._content, request, self._clock.instant())

    def hasten(self) -> None:
        """Let one exchange be made now, because an admin asked for it."""
        self._hastened = True

    async def begin_turn(self) -> None:
        """Note what an exchange under way means whose daemon has ended. Raises `StoreError` if nothing may be sent yet.

        The lock is held, so that nobody makes that exchange any more.
        """
        record, now = self._store.get(self._name), self._clock.instant()
        if record.login.state.is_exchanging:
            record = await self.commit(lambda record: record.with_login_state(interrupted(record.login.state, now)))
        hastened = self._hastened
        if (seconds := seconds_until_turn(record, self._content, now, hastened=hastened)) > 0:
            raise StoreError(
                f"another daemon that shares {self.path} has got no answer: nothing is sent for {seconds:.0f} s"
            )
        self._hastened = False
        if hastened:
            self._store.show(self._name, record.with_login_state(record.login.state.hastened(now)))

    # -------------------------------------------------------------- writing

    async def commit(self, change: Change, *, token: Token | None = None, withdraws: bool = False) -> Record:
        """Replace the record by ``change`` of it, only if its logins were written to the file. The lock must be held.

        ``token`` is a new token to share. ``withdraws``: nobody who shares the file may serve the old one.
        """
        after, now = change(self._store.get(self._name)), self._clock.instant()
        before, seen = self._content, seen_by(self._store.get(self._name), str(self.path))
        shared = replace(
            before,
            number=_next_number(before.number, seen.number, now.wall.timestamp()),
            saved_at=now,
            logins=after.login,
            withdrawals=max(before.withdrawals, seen.withdrawals) + withdraws,
        )
        if withdraws:
            shared = replace(shared, token=None, request=None)
        if token is not None and after.lease is not None and after.lease.token.value == token.value:
            request = shared_request_fingerprint(self._settings, shared.digest)
            shared = replace(shared, token=after.lease.token, request=request)
        if not before.number and not seen.number and after.login.login is None and not after.login.aside:
            return await self._store.update(self._name, change)  # a file without a login is not made
        await self._write(shared)
        self._content = shared
        own = seen_by(after, str(self.path)).own
        written = SeenFile(str(self.path), shared.number, shared.withdrawals, LoginRecord(aside=own.aside))
        return await self._store.update(
            self._name, lambda record: replace(change(record), login=after.login, seen=written)
        )

    async def _write(self, shared: SharedLogin) -> None:
        file, lock, content = await self._opened(), self._lock, dump_shared(shared, self._store.state.boot_id)
        reserve = len(content) + RESERVED_BYTES if shared.logins.state.is_exchanging else 0
        if lock is None or self._hangs:
            raise StoreError(f"login file {self.path} was not written: an earlier write hangs, or the lock is lost")

        def write() -> None:
            with lock.kept():
                self._hangs = True
                try:
                    file.write(shared.number, content, reserve=reserve)
                finally:
                    self._hangs = False

        await self._run(write)

    # -------------------------------------------------------------- threads

    async def _opened(self) -> LoginFile:
        if self._file is None:
            key = await self._key()
            self._file = LoginFile(self.path, Sealer(key), (self._client.server, self._client.client_id))
        return self._file

    async def _key(self) -> StateKey | None:
        if (source := login_file_key_of(self._settings)) is None:
            return None
        from tokend.config.state_keys import read_state_key  # few configurations have such a key

        try:
            return StateKey(await self._run(lambda: read_state_key(source)))
        except SecretError as error:
            raise StoreError(f"login_file_key: {error.detail}") from None

    async def _run(self, call: Callable[[], T]) -> T:
        try:
            return await self._store.threads.run(call, seconds=SAVE_SECONDS)
        except TimeoutError as error:
            why = str(error) or f"the disk hangs, for {SAVE_SECONDS:.0f} s"
            raise StoreError(f"login file {self.path} cannot be used: {why}") from None

    def _note(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self.trouble:
            log.error("login.file_unusable", token=self._name, detail=trouble)
        if trouble != self.trouble:
            self.trouble = trouble
            self._store.touch(self._name)


def _next_number(written: int, seen: int, unix_seconds: float) -> int:
    """Return the number of the next write. A first one begins at the time of day: a file that was lost had a lower."""
    return max(written, seen) + 1 if written else max(seen + 1, int(unix_seconds * 1000))
