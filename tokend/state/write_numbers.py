"""Write numbers of sealed files: one counter for all files of a state, so that each file's numbers rise.

A copy of a whole directory that is put back brings its numbers with it. So the highest number is also kept in a
directory that a reboot empties: within one boot it shows that the state went back.
"""

import os
import threading
from contextlib import suppress
from pathlib import Path

from tokend.machine.logs import get_logger

# A number of 20 digits, the boot, and the newline, always of one length: one write replaces it.
_DIGITS = 20
# The file is ours; a number in it that no counter reaches is none.
_MOST = 2**62

log = get_logger()


class WriteNumbers:
    """The counter. ``path`` is the file outside of the state that has the highest number of this boot, None: none.

    Several threads may take numbers at once.
    """

    def __init__(self, path: Path | None = None, boot_id: str = "") -> None:
        self._path = path
        self._boot_id = boot_id
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self.highest = 0

    def saw(self, number: int) -> None:
        """Note a number that a file of the state has."""
        self.highest = max(self.highest, number)

    def went_back_from(self) -> int | None:
        """Return the highest number of this boot if all that the state has are below it, else None; go on above it.

        Call it once, when all files were read.
        """
        known = self._noted()
        before, self.highest = self.highest, max(self.highest, known)
        return known if known > before else None

    def take(self) -> int:
        """Return the next number."""
        with self._lock:
            self.highest += 1
            return self.highest

    def written(self) -> None:
        """Note the highest number outside of the state. Errors are ignored: it is one more witness, not a promise."""
        if self._path is None or not self._boot_id:
            return
        with self._lock, suppress(OSError):
            if self._descriptor is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o600)
            os.pwrite(self._descriptor, f"{self.highest:0{_DIGITS}d} {self._boot_id}\n".encode(), 0)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _noted(self) -> int:
        """Return the number of this boot in the file, 0 if there is none."""
        if self._path is None or not self._boot_id:
            return 0
        with suppress(OSError, ValueError):
            number, boot = self._path.read_text("ascii").split()
            if boot == self._boot_id and 0 < int(number) < _MOST:
                return int(number)
        return 0
