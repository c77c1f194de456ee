"""The current records: a new one is saved first, then shown, then waiters are woken."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tokend.engine.records.codec import dump, load
from tokend.engine.records.login_record import NO_LOGINS
from tokend.engine.records.marks import MarkStore
from tokend.engine.records.record import Record
from tokend.engine.records.rename import emptied, is_blank, renamed
from tokend.machine.clock import Clock
from tokend.machine.event import Event
from tokend.machine.lock import Lock
from tokend.machine.logs import get_logger
from tokend.machine.thread_pool import Threads
from tokend.values.errors import StoreError
from tokend.values.tokens import Lease

# A healthy disk needs a millisecond; one that hangs must not hold a fresh token back for long.
SAVE_SECONDS = 10.0
# What could not be saved is tried again so often: nothing reports that a full disk has space again.
SAVE_AGAIN_SECONDS = 10.0
# A login that exists in memory only is lost with the process.
SAVE_LOGIN_AGAIN_SECONDS = 1.0
# An answer of an upstream with a token and a refresh token is smaller than this, whatever else it holds.
RESERVED_BYTES = 64 * 1024

log = get_logger()


class StateBackend(Protocol):
    """Storage of records: `state.StateDirectory`, or a dictionary in a simulation."""

    @property
    def boot_id(self) -> str:
        """The running boot."""

    def files(self) -> Iterable[tuple[Path, bytes]]:
        """Every file with its content."""

    def save(self, name: str, content: bytes, *, reserve: int = 0) -> None:
        """Write durably or raise `StoreError`.

        With ``reserve``, keep so many bytes for the next save of the name, before anything is written: that save must
        not fail for want of space, as far as the file system can promise it. A save without it uses what was kept.
        """

    def set_aside(self, path: Path) -> None:
        """Quarantine."""

    def marks(self) -> Iterable[tuple[Path, bytes]]:
        """Every file with marks of sinks, named for its provider."""

    def save_marks(self, name: str, content: bytes | None) -> None:
        """Write the marks of a provider's sinks durably, or remove them (None). Raises `StoreError`."""

    @property
    def unopened(self) -> Mapping[str, str]:
        """The operator's sentence for each provider whose record is sealed and cannot be opened. It is not in `files`,
        and nothing may be saved under its name."""

    @property
    def unread(self) -> Mapping[str, Path]:
        """The files of records that could not be read now, by provider. What is saved replaces them."""

    def keep_unread(self, name: str) -> None:
        """Put ``name`` among the `unopened` if it is `unread`."""

    def follow(self, old: str, new: str) -> None:
        """Put ``new`` among the `unopened`, too, if ``old`` is: it has another name now."""

    def drop(self, name: str) -> None:
        """Set the unopened record of ``name`` aside."""

    def digest(self, value: bytes) -> str:
        """Salted hash."""

    def digest_for(self, purpose: str, value: bytes) -> str:
        """Salted hash under a key that this purpose alone has."""

    def fingerprint(self, value: bytes) -> str:
        """Salted short hash."""


@dataclass(slots=True)
class _Unsaved:
    """A record that is shown but not saved: the reason, and the name of an older file that has to stay until it is."""

    detail: str
    older: str | None = None


class TokenStore:
    """Hold one `Record` per name."""

    def __init__(self, *, state: StateBackend, threads: Threads, clock: Clock) -> None:
        self.state = state
        self._threads = threads
        self._clock = clock
        self._records: dict[str, Record] = {}
        self._locks: dict[str, Lock] = {}
        self._changed: dict[str, Event] = {}
        self._any_changed: dict[tuple[str, ...], Event] = {}
        self._watchers: list[Callable[[str], None]] = []
        self._unsaved: dict[str, _Unsaved] = {}
        self._unsaved_event = Event()
        self._hanging: set[str] = set()
        self._forgetful: set[str] = set()  # names under which tokens were forgotten
        self._saved_event = Event()
        self.marks = MarkStore(
            state, threads, on_unsaved=lambda: self._unsaved_event.set(), on_saved=lambda: self._note_save()
        )

    def load(self) -> None:
        """Read all persisted records. Blocks. Damaged files are set aside with a warning, never fatal."""
        now = self._clock.instant()
        for path, content in self.state.files():
            try:
                name, record = load(content, boot_id=self.state.boot_id, now=now)
            except StoreError as error:
                log.warning("state.damaged", path=str(path), detail=error.detail)
                self.state.set_aside(path)
            else:
                self._put(name, record)
        for path, content in self.state.marks():
            try:
                self.marks.load(path.stem, content)
            except StoreError as error:
                log.warning("state.damaged", path=str(path), detail=error.detail)
                self.state.set_aside(path)

    @property
    def threads(self) -> Threads:
        """The threads that save: what is kept elsewhere on the disk uses them, too."""
        return self._threads

    @property
    def records(self) -> Mapping[str, Record]:
        """All records, also of names that are not configured now."""
        return self._records

    def unsaved(self) -> int:
        """Count the records that could not be saved: a restart would find older ones."""
        return len(self._unsaved)

    def unopened(self, name: str) -> str | None:
        """Return the operator's sentence why the record of ``name`` cannot be opened; None if it can, or is not there.

        Such a provider must send nothing: what the record knows of its login, pauses and refusals is not known.
        """
        if not (unopened := self.state.unopened) or (why := unopened.get(name)) is None:
            return None
        return f"the record in the state is not opened: {why}"

    async def drop_unopened(self, name: str) -> bool:
        """Set a record aside that cannot be opened. Returns whether there was one. For an admin only."""
        if self.unopened(name) is None:
            return False
        try:
            await self._threads.run(lambda: self.state.drop(name), seconds=SAVE_SECONDS)
        except TimeoutError as error:
            raise StoreError(f"state of {name} was not set aside: {str(error) or 'the disk hangs'}") from None
        log.warning("state.dropped", token=name, detail="its record could not be opened; an admin has dropped it")
        self.touch(name)
        return True

    def unsaved_note(self, name: str) -> str | None:
        """Return the operator's sentence why the record of ``name`` could not be saved; None if it is saved."""
        if (unsaved := self._unsaved.get(name)) is None:
            return None
        return f"a restart would not find what is known now: {unsaved.detail}"

    def get(self, name: str) -> Record:
        """Return the record of ``name``; an empty one if nothing is known."""
        return self._records.get(name) or Record()

    def valid_lease(self, name: str) -> Lease | None:
        """Return the token that ``name`` holds, if it is valid now; else None."""
        lease = self.get(name).lease
        return lease if lease is not None and lease.token.is_valid(self._clock.instant()) else None

    async def update(self, name: str, change: Callable[[Record], Record]) -> Record:
        """Replace a record by ``change`` of it: save it, show it, wake waiters; return the new record.

        Updates of one name run one after another, so that none uses a record that another has replaced meanwhile. If
        saving fails, the record is shown all the same, the failure is logged, and `keep_saved` tries again. If
        ``change`` raises, nothing changes.
        """
        async with self._locks.setdefault(name, Lock()):
            record = change(self.get(name))
            try:
                if self.unopened(name) is None:  # that record stays as it is
                    await self._save(name, record)
            except StoreError as error:
                log.error("state.write_failed", token=name, detail=error.detail)
                self._unsaved.setdefault(name, _Unsaved("")).detail = error.detail
                self._unsaved_event.set()
            self.show(name, record)
            return record

    async def commit(self, name: str, change: Callable[[Record], Record]) -> Record:
        """Replace a record as `update` does, but only if it was saved: else nothing changes. Raises `StoreError`.

        While an exchange of a login is journalled in the new record, space for the next one is reserved as well.
        """
        if (why := self.unopened(name)) is not None:
            raise StoreError(why)
        async with self._locks.setdefault(name, Lock()):
            record = change(self.get(name))
            await self._save(name, record)
            self.show(name, record)
            return record

    async def keep_saved(self) -> None:
        """Save again what could not be saved. Runs until cancelled."""
        while True:
            if not self._unsaved and not self.marks.unsaved:
                self._unsaved_event = Event()
                await self._clock.wait(None, self._unsaved_event)
            logins = any(self.get(name).own_login != NO_LOGINS for name in self._unsaved)
            await self._clock.sleep(SAVE_LOGIN_AGAIN_SECONDS if logins else SAVE_AGAIN_SECONDS)
            for name in list(self._unsaved):
                await self._save_again(name)
            for name in list(self.marks.unsaved):
                await self.marks.save(name)

    async def rewrite(self, name: str) -> None:
        """Save a record as it is: the state has another key, or another form, by now."""
        async with self._locks.setdefault(name, Lock()):
            if name not in self._records:
                return
            try:
                await self._save(name, self.get(name))
            except StoreError as error:
                self._unsaved.setdefault(name, _Unsaved("")).detail = error.detail
                self._unsaved_event.set()

    async def _save_again(self, name: str) -> None:
        async with self._locks.setdefault(name, Lock()):
            if name not in self._unsaved:
                return  # an update has saved it meanwhile, or it has another name by now
            try:
                await self._save(name, self.get(name))
            except StoreError:
                return  # it was logged when it failed first
            log.info("state.saved", token=name)

    async def _save(self, name: str, record: Record) -> None:
        if name in self._hanging:
            # That write may still end, and must not overwrite something newer.
            raise StoreError(f"state of {name} was not written: an earlier write still hangs in the filesystem")
        content = dump(name, record, self.state.boot_id, self._clock.instant() if record.has_pauses else None)
        # Kept as long as the exchange is under way: what `forget` saves meanwhile must not use it up.
        reserve = len(content) + RESERVED_BYTES if record.own_login.state.is_exchanging else 0

        def save() -> None:
            self._hanging.add(name)
            try:
                self.state.save(name, content, reserve=reserve)
            finally:
                self._hanging.discard(name)

        try:
            await self._threads.run(save, seconds=SAVE_SECONDS)
        except TimeoutError as error:
            why = str(error) or f"the disk hangs, for {SAVE_SECONDS:.0f} s"
            raise StoreError(f"state of {name} was not written: {why}") from None
        unsaved = self._unsaved.pop(name, None)
        if unsaved is not None and unsaved.older is not None:
            # The record is here now, and must not be found there as well, with a token or a login of long ago.
            self._unsaved.setdefault(unsaved.older, _Unsaved("its record has another name by now"))
            self._unsaved_event.set()
        self._note_save()

    def next_save(self) -> Event:
        """Return the event of the next save of a record or of marks."""
        return self._saved_event

    def _note_save(self) -> None:
        event, self._saved_event = self._saved_event, Event()
        event.set()

    def show(self, name: str, record: Record) -> None:
        """Make a record visible and wake waiters, without saving."""
        self._put(name, record)
        self.touch(name)

    def _put(self, name: str, record: Record) -> None:
        self._records[name] = record
        if record.forgotten:
            self._forgetful.add(name)

    def is_forgotten(self, fingerprint: str) -> bool:
        """Return whether a token was forgotten, under any name: another name of its account must not bring it back."""
        return any(one.fingerprint == fingerprint for name in self._forgetful for one in self.get(name).forgotten)

    def touch(self, name: str) -> None:
        """Wake waiters for ``name``: something about it changed that is not in the record (an expiry)."""
        if (event := self._changed.pop(name, None)) is not None:
            event.set()
        for names in [names for names in self._any_changed if name in names]:
            self._any_changed.pop(names).set()
        for watcher in list(self._watchers):
            watcher(name)

    def changed(self, name: str, *others: str) -> Event:
        """Return the event of the next change of any of the names. Take it before reading the records."""
        if others:
            return self._any_changed.setdefault((name, *others), Event())
        return self._changed.setdefault(name, Event())

    def subscribe(self, watcher: Callable[[str], None]) -> Callable[[], None]:
        """Call ``watcher(name)`` at each change; return a function that stops that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    async def rename(self, old: str, new: str) -> None:
        """Move a record to another name; the token stays. The old name keeps its generation: generations only rise."""
        if old in self.state.unopened or new in self.state.unopened:
            self.state.follow(old, new)  # nothing moves: neither record may be overwritten
            return
        await self.marks.rename(old, new)
        record = self._records.get(old)
        if record is not None:
            self._records[old] = emptied(record)
            waiting = self._unsaved.pop(old, None)
            older = old if waiting is None or waiting.older is None else waiting.older
            await self.update(new, lambda there: renamed(record, new, there=there, now=self._clock.instant()))
            if new in self._unsaved:
                self._unsaved[new].older = older  # the only file of this record until then
            else:
                await self._save_rest(older)

    async def _save_rest(self, name: str) -> None:
        """Save what stays under a name whose record moved to another, unless the name is in use again."""
        if is_blank(self.get(name)):
            await self.update(name, lambda record: record)
