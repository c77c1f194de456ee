"""The current records: saved first, then shown, then whoever waits is woken. It decides nothing."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import anyio

from tokend.clock import Clock
from tokend.engine import records
from tokend.engine.records import Record
from tokend.errors import StoreError
from tokend.interfaces import Threads
from tokend.logs import get_logger

# A healthy disk needs a millisecond; one that hangs must not hold a fresh token back for long.
SAVE_SECONDS = 10.0

log = get_logger()


class State(Protocol):
    """Where records are kept: `state.StateDirectory`, or a dictionary in a simulation."""

    @property
    def boot_id(self) -> str:
        """The running boot."""

    def files(self) -> Iterable[tuple[Path, bytes]]:
        """Every file with its content."""

    def save(self, name: str, content: bytes) -> None:
        """Write durably or raise `StoreError`."""

    def delete(self, name: str) -> None:
        """Remove."""

    def set_aside(self, path: Path) -> None:
        """Quarantine."""

    def digest(self, value: bytes) -> str:
        """Salted hash."""

    def fingerprint(self, value: bytes) -> str:
        """Salted short hash."""


class TokenStore:
    """Hold one `Record` per name."""

    def __init__(self, *, state: State, threads: Threads, clock: Clock) -> None:
        self.state = state
        self._threads = threads
        self._clock = clock
        self._records: dict[str, Record] = {}
        self._locks: dict[str, anyio.Lock] = {}
        self._changed: dict[str, anyio.Event] = {}
        self._any_changed: dict[tuple[str, ...], anyio.Event] = {}
        self._watchers: list[Callable[[str], None]] = []

    def load(self) -> None:
        """Read all persisted records. Blocks. Damaged files are set aside with a warning, never fatal."""
        now = self._clock.instant()
        for path, content in self.state.files():
            try:
                name, record = records.load(content, boot_id=self.state.boot_id, now=now)
            except StoreError as error:
                log.warning("state.damaged", path=str(path), detail=error.detail)
                self.state.set_aside(path)
            else:
                self._records[name] = record

    @property
    def records(self) -> Mapping[str, Record]:
        """All records, also of names that are not configured now."""
        return self._records

    def get(self, name: str) -> Record:
        """The record of ``name``; an empty one if nothing is known."""
        return self._records.get(name) or Record()

    async def update(self, name: str, change: Callable[[Record], Record]) -> Record:
        """Replace a record by ``change`` of it: saved, then shown, then whoever waits is woken; returns the new one.

        Updates of one name take turns, so that none is made of a record that another has replaced meanwhile. If saving
        fails the record is shown all the same, and the failure logged. What ``change`` raises changes nothing.
        """
        async with self._locks.setdefault(name, anyio.Lock()):
            record = change(self.get(name))
            try:
                await self._save(name, record)
            except StoreError as error:
                log.error("state.write_failed", token=name, detail=error.detail)
            self.show(name, record)
            return record

    async def _save(self, name: str, record: Record) -> None:
        content = records.dump(name, record, self.state.boot_id)
        try:
            await self._threads.run(lambda: self.state.save(name, content), seconds=SAVE_SECONDS)
        except TimeoutError:
            raise StoreError(f"state of {name} was not written within {SAVE_SECONDS:.0f} s: the disk hangs") from None

    def show(self, name: str, record: Record) -> None:
        """Make a record visible and wake whoever waits, without saving."""
        self._records[name] = record
        self.touch(name)

    def touch(self, name: str) -> None:
        """Wake whoever waits for ``name``: something about it changed that is not in the record (an expiry)."""
        if (event := self._changed.pop(name, None)) is not None:
            event.set()
        for names in [names for names in self._any_changed if name in names]:
            self._any_changed.pop(names).set()
        for watcher in list(self._watchers):
            watcher(name)

    def changed(self, name: str, *others: str) -> anyio.Event:
        """The event of the next change of ``name``, or of any of them. Take it before looking at the records."""
        if others:
            return self._any_changed.setdefault((name, *others), anyio.Event())
        return self._changed.setdefault(name, anyio.Event())

    def subscribe(self, watcher: Callable[[str], None]) -> Callable[[], None]:
        """Call ``watcher(name)`` at each change; returns how to stop it."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    async def rename(self, old: str, new: str) -> None:
        """Move a record to another name; the token stays."""
        record = self._records.pop(old, None)
        if record is not None:
            await self.update(new, lambda there: records.renamed(record, new, above=there.generation))
            await self._delete(old)

    async def _delete(self, name: str) -> None:
        try:
            await self._threads.run(lambda: self.state.delete(name), seconds=SAVE_SECONDS)
        except TimeoutError:
            log.error("state.write_failed", token=name, detail="its old file was not removed: the disk hangs")
