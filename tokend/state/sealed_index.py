"""Index of a sealed state: the last write number of each file. It is sealed itself, and written after the files.

A file below its number was put back alone; one above it is newer than the index. A first key finds files in clear: the
index names them until they are sealed, so that a file in clear that it does not name is a stranger's.
"""

import threading

import orjson

from tokend.state.sealing import Opened, Sealer, UnopenedError
from tokend.values.errors import StoreError

VERSION = 1
# The index of 10,000 providers has 300 KB: written so rarely, it adds less than their records do.
BYTES_A_SECOND = 32 * 1024
LEAST_SECONDS = 1.0


class SealedIndex:
    """The numbers by file, as ``record/NAME``. ``content`` is the file as it was found, None: there is none; or why it
    could not be read.

    ``is_found`` is whether there is a file, ``is_opened`` whether it could be read, ``trouble`` why not, or None.
    Several threads may write files at once.
    """

    def __init__(self, sealer: Sealer, content: bytes | StoreError | None) -> None:
        self._sealer = sealer
        self._lock = threading.Lock()
        self.last: dict[str, int] = {}
        self.highest = 0
        self.is_found = content is not None
        self.is_opened = self.is_wanted = False
        self.trouble: str | None = None
        self._in_clear: set[str] = set()
        self._length = 0
        if isinstance(content, StoreError):
            self.trouble = f"cannot be read: {content.detail}"
        elif content is not None:
            try:
                self._read(content)
            except UnopenedError as error:
                self.trouble = f"cannot be opened: {error.detail}"
            except (ValueError, KeyError, TypeError, AttributeError):
                self.trouble = "is damaged"

    def _read(self, content: bytes) -> None:
        opened = self._sealer.open("index", "", content)
        document = orjson.loads(opened.content)
        if opened.number is None or document["version"] != VERSION:
            raise ValueError("not of this form")
        last = {str(file): int(number) for file, number in document["last"].items()}
        self._in_clear = {str(file) for file in document["in_clear"]}
        self.last, self.is_opened, self._length = last, True, len(content)
        self.highest = max(opened.number, *last.values(), 0)
        self.is_wanted = not opened.is_current

    def check(self, file: str, opened: Opened) -> None:
        """Take over the number of a file that was read. Raises `UnopenedError` for a file that must not be used."""
        if opened.number is None:
            if self.is_opened and self._sealer.seals and file not in self._in_clear:
                raise UnopenedError("it is in clear, and the state is sealed: another program put it there")
            self._in_clear.add(file)
            return
        if opened.number < (last := self.last.get(file, 0)):
            raise UnopenedError(
                f"it is older than the last one saved (write {opened.number}, the index has {last}): it was put back"
            )
        self.last[file] = opened.number
        self.highest = max(self.highest, opened.number)

    def may_be_in_clear(self, file: str) -> None:
        """Note that a file is there that could not be read, at the first key or later."""
        if not self.is_opened and file not in self.last:
            self._in_clear.add(file)

    def wrote(self, file: str, number: int) -> None:
        """Note that a file was written, or removed, with this number."""
        with self._lock:
            self.last[file] = max(number, self.last.get(file, 0))
            self._in_clear.discard(file)
            self.is_wanted = True

    def gone(self, file: str) -> None:
        """Note that a damaged file was set aside: another one in clear is not taken for it."""
        with self._lock:
            self._in_clear.discard(file)

    def seconds(self) -> float | None:
        """Return the seconds to wait before it is written again; None if it is up to date."""
        return max(LEAST_SECONDS, self._length / BYTES_A_SECOND) if self.is_wanted else None

    def sealed(self, number: int) -> bytes:
        """Return the content to write with this number. Call `saved` when it is written."""
        with self._lock:
            document = {"version": VERSION, "last": self.last, "in_clear": sorted(self._in_clear)}
            content = orjson.dumps(document)
            self.is_wanted = False
        sealed = self._sealer.seal("index", "", number, content)
        self._length = len(sealed)
        return sealed

    def saved(self) -> None:
        """Note that the content is written."""
        self.is_found = self.is_opened = True
