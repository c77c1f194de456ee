"""Marks of remote targets as they are saved: what may be remembered of the last write without the secret.

One file per provider holds the marks of its targets. A mark is saved as unknown before a write is sent, and with its
result after the answer has arrived: a daemon that dies in between asks the store.
"""

import json
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

from tokend.machine.lock import Lock
from tokend.machine.logs import get_logger
from tokend.machine.thread_pool import Threads
from tokend.plugin.sink import Mark
from tokend.values.errors import StoreError

VERSION = 1
# A healthy disk needs a millisecond; one that hangs must not hold a fresh token back for long.
SAVE_SECONDS = 2.0

log = get_logger()


@dataclass(frozen=True, slots=True)
class SavedMark:
    """The mark of one target. ``known`` is false while the target's state is unknown.

    ``settings`` is the fingerprint of the sink's settings. ``digest``, ``version`` and ``remark`` are those of `Mark`.
    ``expires_at`` is the end that was written with the values, and ``written_at`` the time of the last write, in Unix
    seconds. ``writes`` counts the writes that succeeded. ``conflict`` is the operator's sentence while another writer
    owns the target. ``announced`` is the digest that the last announcement covered; ``announced_at`` is when the last
    one that may have been heard was sent.
    """

    settings: str
    known: bool = False
    digest: str | None = None
    version: str | None = None
    remark: str | None = None
    expires_at: int | None = None
    written_at: int | None = None
    writes: int = 0
    conflict: str | None = None
    announced: str | None = None
    announced_at: int | None = None

    @property
    def mark(self) -> Mark | None:
        """The mark of the target's state; None if that is unknown."""
        return Mark(self.digest, self.version, self.remark) if self.known else None


class MarkBackend(Protocol):
    """Storage of the files with marks."""

    def save_marks(self, name: str, content: bytes | None) -> None:
        """Write the file of a provider durably, or remove it (None). Raises `StoreError`."""


class MarkStore:
    """The marks of all remote targets, by provider and target.

    ``unsaved`` are the providers whose newest marks are not on the disk. ``on_unsaved`` is called when there is one,
    ``on_saved`` after each write.
    """

    def __init__(
        self,
        backend: MarkBackend,
        threads: Threads,
        *,
        on_unsaved: Callable[[], None],
        on_saved: Callable[[], None] = lambda: None,
    ) -> None:
        self._backend = backend
        self._threads = threads
        self._on_unsaved = on_unsaved
        self._on_saved = on_saved
        self._marks: dict[str, dict[str, SavedMark]] = {}
        self._locks: dict[str, Lock] = {}
        self._hanging: set[str] = set()
        self._failing: set[str] = set()
        self.unsaved: set[str] = set()

    def load(self, name: str, content: bytes) -> None:
        """Take over the marks of a provider's file. Raises `StoreError` if it is damaged."""
        try:
            decoded = json.loads(content)
            if decoded["version"] != VERSION:
                raise StoreError("it was written by another version of tokend")
            self._marks[name] = {str(target): _decoded(one) for target, one in decoded["sinks"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise StoreError("it is damaged: its stores are asked instead") from None

    def get(self, name: str, target: str) -> SavedMark | None:
        """Return the mark of a provider's target; None if nothing is known."""
        return self._marks.get(name, {}).get(target)

    async def put(self, name: str, target: str, mark: SavedMark) -> None:
        """Replace a mark and save it. A failure to save is logged: the mark counts until a restart all the same."""
        if self.get(name, target) == mark:
            return
        self._marks.setdefault(name, {})[target] = mark
        self.unsaved.add(name)
        await self.save(name)

    def keep(self, name: str, targets: Collection[str]) -> None:
        """Drop the marks of targets that the provider has no longer, soon also from the file."""
        known = self._marks.get(name, {})
        for target in known.keys() - set(targets):
            del known[target]
            self.unsaved.add(name)
            self._on_unsaved()

    async def rename(self, old: str, new: str) -> None:
        """Move the marks of a provider to another name, whose own marks are dropped."""
        moved = self._marks.pop(old, None)
        if moved is None and new not in self._marks:
            return
        self._marks[new] = moved or {}
        self.unsaved |= {old, new}
        await self.save(new)
        await self.save(old)

    async def rewrite(self, name: str) -> None:
        """Save a provider's marks as they are: the state has another key, or another form, by now."""
        self.unsaved.add(name)
        await self.save(name)

    async def save(self, name: str) -> None:
        """Save what is not saved of a provider. Marks that change meanwhile are saved together, by the next save."""
        async with self._locks.setdefault(name, Lock()):
            if name not in self.unsaved:
                return  # an earlier save has written this mark as well
            self.unsaved.discard(name)
            saved = False
            try:
                await self._save(name)
                saved = True
            except StoreError as error:
                if name not in self._failing:
                    log.error("state.write_failed", token=name, detail=f"marks of its sinks: {error.detail}")
                self._failing.add(name)
            else:
                self._failing.discard(name)
                self._on_saved()
            finally:
                if not saved:  # also where it was cancelled
                    self.unsaved.add(name)
                    self._on_unsaved()

    async def _save(self, name: str) -> None:
        if name in self._hanging:
            # That write may still end, and must not overwrite something newer.
            raise StoreError("an earlier write still hangs in the filesystem")
        marks = self._marks.get(name)
        content = None if not marks else _encoded(marks)

        def save() -> None:
            self._hanging.add(name)
            try:
                self._backend.save_marks(name, content)
            finally:
                self._hanging.discard(name)

        try:
            await self._threads.run(save, seconds=SAVE_SECONDS)
        except TimeoutError as error:
            raise StoreError(str(error) or f"the disk hangs, for {SAVE_SECONDS:.0f} s") from None


def _encoded(marks: dict[str, SavedMark]) -> bytes:
    sinks = {target: asdict(mark) for target, mark in sorted(marks.items())}
    return json.dumps({"version": VERSION, "sinks": sinks}, ensure_ascii=True).encode()


# The types of each field.
_TYPES: dict[str, tuple[type, ...]] = {
    "settings": (str,),
    "known": (bool,),
    "expires_at": (int, type(None)),
    "written_at": (int, type(None)),
    "writes": (int,),
    "announced_at": (int, type(None)),
}
_TEXT = (str, type(None))


def _decoded(found: dict[str, Any]) -> SavedMark:
    """Make a mark of what a file has. Raises `ValueError` for a value of a wrong type."""
    values = {one.name: found[one.name] for one in fields(SavedMark)}
    for name, value in values.items():
        if type(value) not in _TYPES.get(name, _TEXT):
            raise ValueError(name)
    return SavedMark(**values)
