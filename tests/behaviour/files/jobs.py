"""Jobs of the victims: a sink's write, removal and start; every step of the state, on a disk and in memory."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2.sandbox  # noqa: F401  # before any fork

from tests.sinks.leases import CalledSink, lease, sink
from tokend.engine.records.store import RESERVED_BYTES
from tokend.files import replace_private
from tokend.state.directory import StateDirectory
from tokend.state.fdstore import DescriptorStore
from tokend.state.login_file import LoginFile, LoginLock
from tokend.state.sealed import SealedState
from tokend.state.sealing import Sealer, StateKey

# The new one is shorter: written over the old one, it would leave something of that behind.
OLD, NEW = "old-fake-token." + "o" * 3000, "new-fake-token." + "n" * 900
GOOD, NEWER, TORN = b'{"good": "fake"}', b'{"newer": "fake"}' * 200, b'{"torn'


@dataclass(frozen=True)
class SinkJob:
    """One call of a sink. Its keys are a tuple of pairs, and so is a table among their values.

    ``action`` is ``write``, ``remove`` or ``probe``.
    """

    kind: str
    path: str
    keys: tuple[tuple[str, Any], ...] = ()
    action: str = "write"
    token: str = NEW

    def sink(self) -> CalledSink:
        """The sink as its configuration makes it."""
        return self._made(Path(self.path))

    def warm(self) -> None:
        self._made(Path(self.path).parents[1] / "warm").write(lease())

    def _made(self, path: Path) -> CalledSink:
        keys = {key: dict(value) if isinstance(value, tuple) else value for key, value in self.keys}
        return sink(self.kind, path, **keys)

    def prepare(self) -> Callable[[], object]:
        made = self.sink()
        if self.action == "write":
            return lambda: made.write(lease(self.token))
        return getattr(made, self.action)  # type: ignore[no-any-return]  # a method by its name


@dataclass(frozen=True)
class StateJob:
    """One step of the state directory: ``open``, ``save``, ``load`` (sets aside what is torn).

    ``save journal`` reserves space for the next save, ``save grant`` uses it.
    """

    path: str
    action: str
    name: str = "px"

    def warm(self) -> None:
        replace_private(Path(self.path).parent / "warm", b"")

    def prepare(self) -> Callable[[], object]:
        if self.action == "open":
            return lambda: StateDirectory(Path(self.path)).close()
        state = StateDirectory(Path(self.path))
        if self.action == "save journal":
            return lambda: state.save(self.name, NEWER, reserve=RESERVED_BYTES)
        if self.action == "save grant":
            state.save(self.name, GOOD, reserve=RESERVED_BYTES)
        if self.action.startswith("save"):
            return lambda: state.save(self.name, NEWER)
        return lambda: load(state)

    def records(self) -> dict[str, bytes]:
        """What the next start finds."""
        state = StateDirectory(Path(self.path))
        try:
            return load(state)
        finally:
            state.close()


KEY = StateKey(b"a-planted-fake-key-of-32-bytes-1")


@dataclass(frozen=True)
class SealedJob(StateJob):
    """One step of the state directory with a key: ``open`` (reads all, and writes the first index), ``save``,
    ``index``."""

    def open(self) -> SealedState:
        """The state with its key."""
        sealer = Sealer(KEY)
        return SealedState(StateDirectory(Path(self.path), sealer), sealer)

    def warm(self) -> None:
        super().warm()
        assert Sealer(KEY).open("record", "px", Sealer(KEY).seal("record", "px", 1, GOOD)).content == GOOD

    def prepare(self) -> Callable[[], object]:
        if self.action == "open":
            return lambda: load(self.open())
        state = self.open()
        load(state)
        if self.action == "index":
            return state.save_index
        if self.action == "save grant":
            state.save(self.name, GOOD, reserve=RESERVED_BYTES)
        reserve = RESERVED_BYTES if self.action == "save journal" else 0
        return lambda: state.save(self.name, NEWER, reserve=reserve)

    def records(self) -> dict[str, bytes]:
        state = self.open()
        try:
            found = load(state)
            return {**found, **{name: why.encode() for name, why in state.unopened.items()}}
        finally:
            state.close()

    def salt(self) -> bytes | None:
        """The salt, None if there is none. Opens no state: that would change it."""
        try:
            return Sealer(KEY).open("salt", "salt", (Path(self.path) / "salt").read_bytes()).content
        except FileNotFoundError:
            return None


def load(state: StateDirectory | DescriptorStore | SealedState) -> dict[str, bytes]:
    """Read all, as the store does; what is torn is set aside."""
    whole = {}
    for path, content in state.files():
        if content in (GOOD, NEWER):
            whole[path.stem] = content
        else:
            state.set_aside(path)
    assert list(state.marks()) == []
    return whole


class Systemd:
    """As much of a `Notifier` as the state in memory wants."""

    kept = -1

    def store(self, name: str, descriptor: int) -> None:
        """It is kept."""
        self.kept = descriptor

    def drop(self, name: str) -> None:
        """Nothing was."""


@dataclass(frozen=True)
class MemoryJob:
    """One step of the state in memory, which is a file here, so that it can be looked at."""

    path: str
    action: str
    name: str = "px"

    def begin(self, *names: str) -> None:
        """Make the file, with these records."""
        systemd = Systemd()
        state = DescriptorStore(Path(self.path) / "state", notifier=systemd)  # type: ignore[arg-type]  # as much of a Notifier as is used
        for name in names:
            state.save(name, GOOD)
        state.close()
        (Path(self.path) / "memory").write_bytes(os.pread(systemd.kept, 1 << 20, 0))
        os.close(systemd.kept)

    def stored(self) -> list[int]:
        """What systemd kept, as it passes it."""
        with suppress(FileNotFoundError):
            return [os.open(Path(self.path) / "memory", os.O_RDWR)]
        return []

    def open(self, stored: list[int]) -> DescriptorStore:
        """The store with that."""
        return DescriptorStore(Path(self.path) / "state", notifier=Systemd(), stored=stored)  # type: ignore[arg-type]  # see `begin`

    def warm(self) -> None:
        replace_private(Path(self.path).parent / "warm", b"")

    def prepare(self) -> Callable[[], object]:
        stored = self.stored()
        if self.action == "open":
            return lambda: self.open(stored).close()
        state = self.open(stored)
        if self.action == "save":
            return lambda: state.save(self.name, NEWER)
        return lambda: state.set_aside(Path(self.name))

    def records(self) -> dict[str, bytes]:
        """What the next start finds."""
        state = self.open(self.stored())
        try:
            return load(state)
        finally:
            state.close()


@dataclass(frozen=True)
class LoginFileJob:
    """One step of a shared exchange: ``lock``, ``journal`` (makes the reserve), ``answer`` (uses it), ``read``."""

    path: str
    action: str

    def warm(self) -> None:
        place = Path(self.path).parent / "warm"
        place.mkdir(mode=0o700)
        LoginFileJob(str(place / "login"), self.action).prepare()()

    @property
    def file(self) -> LoginFile:
        """The file, sealed."""
        return LoginFile(Path(self.path), Sealer(StateKey(b"a-planted-fake-key-of-32-bytes-1")), ("server", "client"))

    def prepare(self) -> Callable[[], object]:
        file = self.file
        lock = LoginLock(file)
        if self.action == "lock":
            return lambda: lock.take() and lock.release() is None  # type: ignore[func-returns-value]  # one call
        if self.action == "read":
            return lambda: None if (found := file.read()) is None else found.content
        if not lock.take():
            raise AssertionError("the lock is not free")
        reserve = 70_000 if self.action == "journal" else 0
        content = NEWER if self.action == "answer" else GOOD

        def write() -> None:
            with lock.kept():
                file.write(9, content, reserve=reserve)
            lock.release()

        return write
