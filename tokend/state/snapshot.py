"""Read-only view of a state directory, for a program beside the daemon that holds it."""

import secrets
from collections.abc import Iterator
from pathlib import Path

from tokend.files import read_whole
from tokend.state.directory import LARGEST_RECORD_BYTES, SALT_BYTES, SUFFIX, Salted, boot_id


class StateSnapshot(Salted):
    """The records that a directory has now; what is saved is kept nowhere.

    ``error`` says why nothing could be read, or is None.
    """

    def __init__(self, path: Path) -> None:
        self._tokens = path / "tokens"
        self.boot_id = boot_id()
        self.error: str | None = None
        self._salt = secrets.token_bytes(SALT_BYTES)
        self._found: list[tuple[Path, bytes]] = []
        try:
            self._salt = read_whole(path / "salt", at_most=LARGEST_RECORD_BYTES)
            for file in sorted(self._tokens.iterdir()):
                if file.suffix == SUFFIX:
                    self._found.append((file, read_whole(file, at_most=LARGEST_RECORD_BYTES)))
        except OSError as error:
            self.error = f"{error.filename}: {error.strerror}"

    def files(self) -> Iterator[tuple[Path, bytes]]:
        """Yield the path and the content of each provider's file."""
        return iter(self._found)

    def save(self, name: str, content: bytes, *, reserve: int = 0) -> None:
        """Keep nothing."""

    def marks(self) -> Iterator[tuple[Path, bytes]]:
        """Yield nothing: a program beside the daemon writes to no store."""
        return iter(())

    def save_marks(self, name: str, content: bytes | None) -> None:
        """Keep nothing."""

    def set_aside(self, path: Path) -> None:
        """Leave a damaged file where it is: it is the daemon's."""

    def close(self) -> None:
        """Do nothing: no lock is held."""
