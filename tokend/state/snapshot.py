"""Read-only view of a state directory, for a program beside the daemon that holds it."""

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from tokend.files import read_whole
from tokend.state.directory import IN_CLEAR, LARGEST_RECORD_BYTES, SUFFIX, Salted, boot_id
from tokend.state.salt import NAME as SALT
from tokend.state.salt import SALT_BYTES, find_salt
from tokend.state.sealing import Sealer
from tokend.values.errors import StoreError


class StateSnapshot(Salted):
    """The records that a directory has now; what is saved is kept nowhere.

    ``error`` says why nothing could be read, or is None.
    """

    def __init__(self, path: Path, sealer: Sealer = IN_CLEAR) -> None:
        self._directory = path
        self._tokens = path / "tokens"
        self.boot_id = boot_id()
        self.unread: Mapping[Path, str] = {}
        self.error: str | None = None
        self._salt = secrets.token_bytes(SALT_BYTES)
        self._found: list[tuple[Path, bytes]] = []
        try:
            files = (path / SALT, *sorted(path.glob(SALT + ".*")))
            salts = [(file.name, read_whole(file, at_most=LARGEST_RECORD_BYTES)) for file in files]
            self._salt = find_salt(salts, sealer).value
            for file in sorted(self._tokens.iterdir()):
                if file.suffix == SUFFIX:
                    self._found.append((file, read_whole(file, at_most=LARGEST_RECORD_BYTES)))
        except OSError as error:
            self.error = f"{error.filename}: {error.strerror}"

    def files(self) -> Iterator[tuple[Path, bytes]]:
        """Yield the path and the content of each provider's file."""
        return iter(self._found)

    def save(self, name: str, content: bytes, *, reserve: int = 0) -> None:  # noqa: ARG002  # nothing is kept
        """Keep nothing. Raises `StoreError` where the next save must be kept (``reserve``): a login would be lost."""
        if reserve:
            raise StoreError(f"state of {name}: the daemon's directory is only read here")

    def marks(self) -> Iterator[tuple[Path, bytes]]:
        """Yield nothing: a program beside the daemon writes to no store."""
        return iter(())

    def save_marks(self, name: str, content: bytes | None) -> None:
        """Keep nothing."""

    def read_part(self, name: str) -> bytes | None:
        """Return a file of the state itself; None if there is none."""
        try:
            return read_whole(self._directory / name, at_most=LARGEST_RECORD_BYTES)
        except OSError:
            return None

    def save_part(self, name: str, content: bytes | None) -> None:
        """Keep nothing."""

    def set_aside(self, path: Path) -> None:
        """Leave a damaged file where it is: it is the daemon's."""

    def close(self) -> None:
        """Do nothing: no lock is held."""
