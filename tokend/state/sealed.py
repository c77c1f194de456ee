"""State whose files are sealed: a layer between the records and the back end that keeps the bytes.

A file that cannot be opened stays where it is, and its provider is in ``unopened``: nothing is saved under its name
until `drop`. `sealed_index` decides which files were put back.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol

from tokend.machine.logs import get_logger
from tokend.state.directory import SUFFIX
from tokend.state.sealed_index import SealedIndex
from tokend.state.sealing import Opened, Sealer, UnopenedError
from tokend.state.write_numbers import WriteNumbers
from tokend.values.errors import StoreError
from tokend.values.status import StatusWarning

INDEX = "index"
IN_CLEAR = "state is in clear: [daemon] state_key would seal it"

# The end of the daemon does not wait longer for a disk.
LAST_SECONDS = 1.0

log = get_logger()


class ByteBackend(Protocol):
    """Storage of the files as they are: `StateDirectory`, `DescriptorStore`, `StateSnapshot`."""

    @property
    def boot_id(self) -> str:
        """The running boot."""

    @property
    def unread(self) -> Mapping[Path, str]:
        """Files that could not be read now, by `files` or `marks`, and why."""

    def files(self) -> Iterable[tuple[Path, bytes]]:
        """Every provider's file, named for its provider."""

    def marks(self) -> Iterable[tuple[Path, bytes]]:
        """Every file with marks, named for its provider."""

    def save(self, name: str, content: bytes, *, reserve: int = 0) -> None:
        """Write a provider's file durably or raise `StoreError`. ``reserve``: bytes to keep for the next save."""

    def save_marks(self, name: str, content: bytes | None) -> None:
        """Write a provider's marks durably, or remove them (None), or raise `StoreError`."""

    def read_part(self, name: str) -> bytes | None:
        """Return a file of the state itself; None if there is none."""

    def save_part(self, name: str, content: bytes | None) -> None:
        """Write a file of the state itself durably, or remove it (None), or raise `StoreError`."""

    def set_aside(self, path: Path) -> None:
        """Rename a file, so that it is neither read again nor lost."""

    def digest(self, value: bytes) -> str:
        """Salted hash."""

    def digest_for(self, purpose: str, value: bytes) -> str:
        """Salted hash under a key that this purpose alone has."""

    def fingerprint(self, value: bytes) -> str:
        """Salted short hash."""

    def close(self) -> None:
        """Release what is held."""


class SealedState:
    """Keep records in ``backend`` as ``sealer`` seals them. Implements `engine.records.store.StateBackend`.

    ``unopened`` has the operator's sentence for each provider whose record cannot be opened, and ``unread`` has the
    paths of the records that could not be read now. ``outdated`` and
    ``outdated_marks`` are the providers whose files have not the form of now: a write gives it to them. All methods
    block, but `warnings`, `follow` and `index_seconds`.
    """

    def __init__(self, backend: ByteBackend, sealer: Sealer, numbers: WriteNumbers | None = None) -> None:
        self.backend = backend
        self.boot_id = backend.boot_id
        self.digest, self.fingerprint, self.digest_for = backend.digest, backend.fingerprint, backend.digest_for
        self.unopened: dict[str, str] = {}
        self.unread: dict[str, Path] = {}
        self.outdated: set[str] = set()
        self.outdated_marks: set[str] = set()
        self._sealer = sealer
        self._numbers = numbers or WriteNumbers()
        self._paths: dict[str, Path] = {}  # of the unopened records
        self._unopened_marks: dict[str, Path] = {}
        self._warnings: list[StatusWarning] = []
        self._lock = threading.Lock()  # several threads save at once
        self._writing_index = threading.Lock()
        self._index = SealedIndex(sealer, self._read_index())
        if self._index.trouble is not None and self.is_sealed:
            self._warn("state_index", f"the index of the state {self._index.trouble}: a record put back is not noticed")

    @property
    def is_sealed(self) -> bool:
        """Whether what is written is sealed."""
        return self._sealer.seals

    def warnings(self) -> tuple[StatusWarning, ...]:
        """Return what is to be said about the state as a whole."""
        found = [] if self.is_sealed else [StatusWarning("state_in_clear", IN_CLEAR)]
        unopened = sorted(self.unopened.items())
        found += [StatusWarning("state_unopened", f"state of {name}: {detail}") for name, detail in unopened]
        return (*found, *self._warnings)

    def _read_index(self) -> bytes | StoreError | None:
        try:
            return self.backend.read_part(INDEX)
        except StoreError as error:
            return error

    def _warn(self, code: str, message: str) -> None:
        log.error("state.doubtful", code=code, detail=message)
        self._warnings.append(StatusWarning(code, message))

    # -------------------------------------------------------------- reading

    def files(self) -> Iterator[tuple[Path, bytes]]:
        """Yield the path and the content of each record that opens; the others come to ``unopened``."""
        missing = {file.partition("/")[2] for file in self._index.last if file.startswith("record/")}
        for path, content in self.backend.files():
            name = _name(path)
            missing.discard(name)
            try:
                opened = self._opened("record", name, content)
            except UnopenedError as error:
                log.warning("state.unopened", token=name, path=str(path), detail=error.detail)
                self.unopened[name], self._paths[name] = error.detail, path
                continue
            if not opened.is_current:
                self.outdated.add(name)
            yield path, opened.content
        self.unread = {_name(path): path for path in self.backend.unread}
        for name in sorted(missing - self.unread.keys()):
            log.warning("state.missing", token=name, detail="the index has its record, and it is not there")

    def marks(self) -> Iterator[tuple[Path, bytes]]:
        """Yield the path and the content of each provider's marks that open. The others stay until the next write.

        Call it after `files`: then everything is read, and the index is compared with it.
        """
        for path, content in self.backend.marks():
            name = _name(path)
            try:
                opened = self._opened("marks", name, content)
            except UnopenedError as error:
                log.warning("state.unopened", token=name, path=str(path), detail=f"marks of its sinks: {error.detail}")
                self._unopened_marks[name] = path
                continue
            if not opened.is_current:
                self.outdated_marks.add(name)
            yield path, opened.content
        if self.is_sealed:
            self._check_index()

    def _opened(self, kind: Literal["record", "marks"], name: str, content: bytes) -> Opened:
        opened = self._sealer.open(kind, name, content)
        self._index.check(f"{kind}/{name}", opened)
        return opened

    def _check_index(self) -> None:
        """Compare what was read with the index and with this boot's highest number; write the first index.

        It is there before the first sealed record: a state that has sealed records and no index has lost it.
        """
        if self._index.last and not self._index.is_found:
            self._warn("state_index", "the state is sealed and has no index: a record put back is not noticed")
        for path in self.backend.unread:
            self._index.may_be_in_clear(_file(path))
        self._numbers.saw(self._index.highest)
        highest = self._numbers.went_back_from()
        if highest is not None and not self.unopened:
            self._warn(
                "state_went_back",
                f"the state went back: this boot has seen write {highest}, which is not there. Was a copy put back?",
            )
        self._index.is_wanted = self._index.is_wanted or not self._index.is_opened
        if not self._index.is_found:
            try:
                self.save_index()
            except StoreError as error:
                log.warning("state.write_failed", path=INDEX, detail=error.detail)

    # -------------------------------------------------------------- writing

    def save(self, name: str, content: bytes, *, reserve: int = 0) -> None:
        """Write a record durably. Raises `StoreError`; the old one is unchanged then.

        With ``reserve``, so many bytes are kept for the next save of the name.
        """
        if (why := self.unopened.get(name)) is not None:
            raise StoreError(f"state of {name} is not written: the record there cannot be opened: {why}")
        number = self._begin_write()
        sealed = self._sealer.seal("record", name, number, content)
        # The next one is as much longer than its content as this one.
        self.backend.save(name, sealed, reserve=reserve and reserve + len(sealed) - len(content))
        self._wrote(f"record/{name}", number)
        self.outdated.discard(name)

    def save_marks(self, name: str, content: bytes | None) -> None:
        """Write a provider's marks durably, or remove them (None). Raises `StoreError`."""
        number = self._begin_write()
        sealed = None if content is None else self._sealer.seal("marks", name, number, content)
        if (unopened := self._unopened_marks.pop(name, None)) is not None:
            self.backend.set_aside(unopened)
        self.backend.save_marks(name, sealed)
        self._wrote(f"marks/{name}", number)
        self.outdated_marks.discard(name)

    def _begin_write(self) -> int:
        """Return the number of a write. A write in clear ends what the index promises: it is removed before."""
        if self.is_sealed:
            return self._numbers.take()
        with self._lock:
            if self._index.is_found:
                self.backend.save_part(INDEX, None)
                self._index.is_found = False
        return 0

    def _wrote(self, file: str, number: int) -> None:
        if self.is_sealed:
            self._index.wrote(file, number)
            self._numbers.written()

    def keep_unread(self, name: str) -> None:
        """Treat a record that could not be read as one that cannot be opened: it must not be overwritten."""
        if (path := self.unread.get(name)) is not None:
            why = f"{path} cannot be read: {self.backend.unread[path]}: make it readable, and restart tokend"
            self.unopened[name], self._paths[name] = why, path

    def follow(self, old: str, new: str) -> None:
        """Let the provider ``new``, which had the name ``old``, wait for the record under the old name as well."""
        if old in self.unopened:
            self.unopened[new], self._paths[new] = self.unopened[old], self._paths[old]

    def drop(self, name: str) -> None:
        """Set aside a record that cannot be opened: its provider begins with nothing. For an admin only."""
        if (path := self._paths.get(name)) is None:
            return
        self.backend.set_aside(path)
        for other in [other for other, one in self._paths.items() if one == path]:
            del self.unopened[other], self._paths[other]

    def set_aside(self, path: Path) -> None:
        """Rename a damaged file, so that it is neither read again nor lost."""
        (self.outdated_marks if path.parent.name == "sinks" else self.outdated).discard(_name(path))
        self._index.gone(_file(path))
        self.backend.set_aside(path)

    # -------------------------------------------------------------- the index

    def index_seconds(self) -> float | None:
        """Return the seconds to wait before the next `save_index`; None if the index is up to date."""
        # An index that only another key opens stays for that key as long as there are such records.
        if not self.is_sealed or (self._index.trouble is not None and self.unopened):
            return None
        return self._index.seconds()

    def save_index(self) -> None:
        """Write the index durably. Raises `StoreError`; the old one is unchanged then."""
        if not self._writing_index.acquire(blocking=False):
            # It may still end, and each further one would hold another thread.
            raise StoreError("an earlier write of the index still hangs in the filesystem")
        try:
            self.backend.save_part(INDEX, self._index.sealed(self._numbers.take()))
        except BaseException:
            self._index.is_wanted = True
            raise
        finally:
            self._writing_index.release()
        self._index.saved()
        self._numbers.written()

    def close(self) -> None:
        """Write the index where it is due, and release the back end. A disk that hangs is waited for a moment only."""
        if self.index_seconds() is not None:
            last = threading.Thread(target=self._save_last_index, name="tokend", daemon=True)
            # Where no thread can be started the index stays as it was: the next start reads it and goes on from there.
            with suppress(RuntimeError):
                last.start()
                last.join(LAST_SECONDS)
        self._numbers.close()
        self.backend.close()

    def _save_last_index(self) -> None:
        try:
            self.save_index()
        except StoreError as error:
            log.warning("state.write_failed", path=INDEX, detail=error.detail)


def _file(path: Path) -> str:
    """Return the name that the index has for a file."""
    return f"{'marks' if path.parent.name == 'sinks' else 'record'}/{_name(path)}"


def _name(path: Path) -> str:
    """Return the provider of a file. The back end in memory names it without a suffix."""
    return path.name.removesuffix(SUFFIX)
