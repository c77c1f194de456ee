"""State in memory: a memfd in systemd's file-descriptor store (``[daemon] state = "fdstore"``).

The memory survives a restart and a crash of the service, not a stop. It never touches a disk (the unit's
`MemorySwapMax=0` keeps it out of the swap, too). systemd holds the same file, so a record is saved once it is written.

The file has a header, then an image of all records. A save writes a new image beside the present one, then the header
in one piece: a process that is killed in between has changed nothing.
"""

import hashlib
import os
import struct
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tokend.machine.logs import get_logger
from tokend.service_manager.notify import Notifier
from tokend.state.directory import IN_CLEAR, SUFFIX, NoSpaceError, Salted, boot_id, claim
from tokend.state.salt import NAME as SALT
from tokend.state.salt import SALT_BYTES, find_salt
from tokend.state.sealing import Sealer
from tokend.values.errors import StoreError

# FDNAME= of the descriptor.
NAME = "tokend-state"
# Before the name of a provider: the marks of its sinks. No provider's name has a slash.
MARKS = "sinks/"
# Before the name of a part of the state itself: the sealed salt, the index.
PART = "/"
# Instead of the salt where that is sealed.
NO_SALT = bytes(SALT_BYTES)
MAGIC = b"tokend state 1\n"
# Magic; offset, length and SHA-256 of the present image. The header is within one page, which the kernel copies whole
# even for a process that is being killed.
HEADER = struct.Struct("<15sxQQ32s")
IMAGES_START = 4096
LENGTHS = struct.Struct("<II")

log = get_logger()


class DescriptorStore(Salted):
    """Keep records in memory, with the methods of `StateDirectory`. The directory is used for its lock only.

    ``stored`` are the descriptors that systemd passed under `NAME`. The salt is kept as ``sealer`` seals it. Raises
    `StateLockedError` or `StoreError`.
    """

    def __init__(
        self, path: Path, *, notifier: Notifier, stored: Sequence[int] = (), sealer: Sealer = IN_CLEAR
    ) -> None:
        self.boot_id = boot_id()
        self.unread: Mapping[Path, str] = {}
        self._lock: int | None = None
        try:
            self._lock = claim(path)
        except NoSpaceError as error:
            # The records need no disk.
            log.warning("state.not_locked", path=str(path), detail=error.detail)
        # Several threads may save at once.
        self._saving = threading.Lock()
        left: list[Path] = []
        with suppress(OSError):  # only for the warning
            left = list(path.glob("tokens/*" + SUFFIX))
        if left:
            detail = f'{len(left)} of an earlier state = "directory" are still on the disk: remove them'
            log.warning("state.left_on_disk", path=str(path / "tokens"), detail=detail)
        try:
            self._memory, image = _recover(stored) or (_create_file(notifier), NO_SALT)
            records = dict(_unpacked(image[SALT_BYTES:]))
            self._take_salt(image[:SALT_BYTES], records, sealer)
            self._commit(records)
        except OSError as error:
            self.close()
            raise StoreError(f"no state in the file-descriptor store: {error.strerror or error}") from None

    def close(self) -> None:
        """Release the lock of the directory; systemd keeps the records."""
        if self._lock is not None:
            with suppress(OSError):
                os.close(self._lock)

    def _take_salt(self, in_clear: bytes, records: dict[str, bytes], sealer: Sealer) -> None:
        """Find the salt, and put it where it is kept: sealed among the ``records``, else before them."""
        sealed = [(name[1:], content) for name, content in sorted(records.items()) if name.startswith(PART + SALT)]
        # A sealed one that does not open keeps its name.
        own_name = SALT if PART + SALT not in records else f"{SALT}.kept"
        found = find_salt([*sealed, *([] if in_clear == NO_SALT else [(own_name, in_clear)])], sealer)
        self._salt, self._before_records = found.value, found.value
        if sealer.seals:
            records[PART + found.name] = found.file(sealer)
            self._before_records = NO_SALT
        elif found.value != in_clear:
            records.pop(PART + found.name, None)

    def files(self) -> Iterable[tuple[Path, bytes]]:
        """Return the name, as a path, and the content of each record."""
        return [(Path(name), content) for name, content in self._records.items() if "/" not in name]

    def read_part(self, name: str) -> bytes | None:
        """Return a part of the state itself, as the index of the sealed records; None if there is none."""
        return self._records.get(PART + name)

    def save_part(self, name: str, content: bytes | None) -> None:
        """Save a part of the state itself, or remove it (None). Raises `StoreError`."""
        with self._saving:
            rest = {one: kept for one, kept in self._records.items() if one != PART + name}
            try:
                self._commit(rest if content is None else {**rest, PART + name: content})
            except OSError as error:
                raise StoreError(f"the {name} of the state cannot be kept in memory: {error.strerror}") from None

    def marks(self) -> Iterable[tuple[Path, bytes]]:
        """Return the name, as a path, and the content of each provider's marks of sinks."""
        found = [(name, content) for name, content in self._records.items() if name.startswith(MARKS)]
        return [(Path(name + SUFFIX), content) for name, content in found]

    def save(self, name: str, content: bytes, *, reserve: int = 0) -> None:  # noqa: ARG002  # memory has no reserve
        """Save a record. Raises `StoreError`; the old record is unchanged then."""
        with self._saving:
            try:
                self._commit({**self._records, name: content})
            except OSError as error:
                raise StoreError(f"state of {name} cannot be kept in memory: {error.strerror}") from None

    def save_marks(self, name: str, content: bytes | None) -> None:
        """Save a provider's marks of sinks, or remove them (None). Raises `StoreError`."""
        with self._saving:
            rest = {one: kept for one, kept in self._records.items() if one != MARKS + name}
            try:
                self._commit(rest if content is None else {**rest, MARKS + name: content})
            except OSError as error:
                raise StoreError(f"marks of {name} cannot be kept in memory: {error.strerror}") from None

    def set_aside(self, path: Path) -> None:
        """Remove a damaged record, or damaged marks."""
        damaged = str(path.with_suffix("")) if str(path).startswith(MARKS) else str(path)
        with self._saving, suppress(OSError):
            self._commit({name: content for name, content in self._records.items() if name != damaged})

    def _commit(self, records: Mapping[str, bytes]) -> None:
        image = self._before_records + b"".join(_packed(records))
        _, offset, length, _ = _header(self._memory)
        # Before the present image if the new one fits there, else behind it.
        place = IMAGES_START if IMAGES_START + len(image) <= offset else max(offset + length, IMAGES_START)
        _write(self._memory, image, place)
        header = HEADER.pack(MAGIC, place, len(image), hashlib.sha256(image).digest())
        os.pwrite(self._memory, header, 0)
        self._records = dict(records)
        # Overwrite the old image: a token that was dropped must not stay in memory.
        _write(self._memory, bytes(length), offset)
        os.ftruncate(self._memory, max(place + len(image), IMAGES_START))


def _create_file(notifier: Notifier) -> int:
    """Return an empty memory file that systemd stores, too. The store drops other descriptors of the name."""
    memory = os.memfd_create(NAME, os.MFD_CLOEXEC)
    os.fchmod(memory, 0o600)
    notifier.drop(NAME)
    notifier.store(NAME, memory)
    return memory


def _recover(stored: Sequence[int]) -> tuple[int, bytes] | None:
    """Return the stored file and its image; None if there is none, or if it is damaged."""
    for descriptor in stored:
        if (image := _image(descriptor)) is not None:
            return descriptor, image
        log.warning(
            "state.damaged",
            path=NAME,
            detail="the descriptor from systemd is not of tokend, or damaged; beginning with an empty state",
        )
        os.close(descriptor)
    return None


def _image(memory: int) -> bytes | None:
    magic, offset, length, digest = _header(memory)
    if magic != MAGIC or length < SALT_BYTES or offset + length > os.fstat(memory).st_size:
        return None
    image = _read(memory, length, offset)
    if hashlib.sha256(image).digest() != digest:
        return None
    try:
        deque(_unpacked(image[SALT_BYTES:]), maxlen=0)
    except (struct.error, UnicodeDecodeError):
        return None  # written by a bug: it would fail at every start
    return image


def _header(memory: int) -> tuple[bytes, int, int, bytes]:
    found = os.pread(memory, HEADER.size, 0)
    return HEADER.unpack(found.ljust(HEADER.size, b"\0"))


def _read(memory: int, length: int, offset: int) -> bytes:
    parts = []
    while length > 0 and (part := os.pread(memory, length, offset)):
        parts.append(part)
        length, offset = length - len(part), offset + len(part)
    return b"".join(parts)


def _write(memory: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(memory, view, offset)
        view, offset = view[written:], offset + written


def _packed(records: Mapping[str, bytes]) -> Iterator[bytes]:
    for name, content in records.items():
        encoded = name.encode()
        yield LENGTHS.pack(len(encoded), len(content))
        yield encoded
        yield content


def _unpacked(packed: bytes) -> Iterator[tuple[str, bytes]]:
    start = 0
    while start < len(packed):
        name, content = LENGTHS.unpack_from(packed, start)
        start += LENGTHS.size
        yield packed[start : start + name].decode(), packed[start + name : start + name + content]
        start += name + content
