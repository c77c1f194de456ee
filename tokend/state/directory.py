"""State directory: one 0600 file per provider, the salt of all fingerprints, and a lock for one instance."""

import errno
import fcntl
import hmac
import os
import secrets
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from tokend.files import (
    RefusedError,
    make_directory,
    read_private,
    remove_file,
    replace_from_reserve,
    replace_private,
    reserve_space,
    sweep_directory,
)
from tokend.machine.logs import get_logger
from tokend.signing.hkdf import sub_key
from tokend.state.ownership import check_directory, check_file, make_private
from tokend.state.salt import NAME as SALT
from tokend.state.salt import Salt, find_salt
from tokend.state.sealing import Sealer
from tokend.values.errors import StateLockedError, StoreError

SUFFIX = ".json"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# A response of an upstream has at most 256 KiB; a file larger than a few of them is no record.
LARGEST_RECORD_BYTES = 4 * 1024 * 1024

# Errors of a disk that can be written again later, without a person who changes the configuration.
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})

IN_CLEAR = Sealer()

log = get_logger()


class NoSpaceError(StoreError):
    """The disk is full or read-only."""


class Salted:
    """Salted fingerprints: equal values have equal fingerprints, and a fingerprint does not reveal its value."""

    _salt: bytes

    @cached_property
    def _keyed(self) -> hmac.HMAC:
        # Kept and copied: `hmac.digest` releases the interpreter lock at each call, and the loop waits to get it back.
        return hmac.new(self._salt, digestmod="sha256")

    def fingerprint(self, value: bytes) -> str:
        """Return the first 12 hex digits of HMAC-SHA256(salt, value)."""
        return self.digest(value)[:12]

    def digest(self, value: bytes) -> str:
        """Return HMAC-SHA256(salt, value) in hex."""
        keyed = self._keyed.copy()
        keyed.update(value)
        return keyed.hexdigest()

    def digest_for(self, purpose: str, value: bytes) -> str:
        """Return a digest under a key of its own: HKDF-SHA256 (RFC 5869) of the salt, with the purpose as its info."""
        return hmac.digest(sub_key(self._salt, f"tokend {purpose}".encode()), value, "sha256").hex()


class StateDirectory(Salted):
    """Keep records in a directory. Holds the directory's lock from construction until `close`.

    Where the disk is full or read-only, what is missing of the directory is made at the first save that can: until then
    nothing is saved, and `save` says so. The salt is kept as ``sealer`` seals it; `SealedState` seals the rest. Raises
    `StateLockedError` if another instance holds the lock, `StoreError` if the directory cannot be used. All methods
    block: call them in a thread.
    """

    def __init__(self, path: Path, sealer: Sealer = IN_CLEAR) -> None:
        self.path = path
        self._sealer = sealer
        self.unread: dict[Path, str] = {}  # files that could not be read, and why: they stay for the next start
        self._tokens = path / "tokens"
        self._sinks = path / "sinks"  # made at the first mark: few configurations have a remote sink
        self._lock: int | None = None
        self._completing = threading.Lock()  # several threads may save at once
        self._is_complete = False
        self.boot_id = boot_id()
        try:
            self._found = self._find_salt()
            self._salt = self._found.value
            self._complete()
        except NoSpaceError as error:
            log.error("state.in_memory", path=str(path), detail=f"{error.detail}: a restart would find nothing newer")
        except StoreError:
            self.close()
            raise
        for directory in (path, self._tokens, self._sinks):
            sweep_directory(directory)

    def close(self) -> None:
        """Release the lock of the directory."""
        if self._lock is not None:
            with suppress(OSError):
                os.close(self._lock)

    def files(self) -> Iterator[tuple[Path, bytes]]:
        """Yield the path and the content of each provider's file. Raises `StoreError` if the directory is unreadable.

        A file that cannot be a record is set aside; a file that cannot be read now stays for the next start.
        """
        try:
            paths = sorted(path for path in self._tokens.iterdir() if path.suffix == SUFFIX)
        except OSError as error:
            if not self._is_complete and isinstance(error, FileNotFoundError):
                return
            raise StoreError(f"{self._tokens} cannot be read: {error.strerror}") from None
        yield from self._contents(paths)

    def marks(self) -> Iterator[tuple[Path, bytes]]:
        """Yield the path and the content of each provider's marks of sinks. Files are set aside as in `files`."""
        try:
            paths = sorted(path for path in self._sinks.iterdir() if path.suffix == SUFFIX)
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("state.unreadable", path=str(self._sinks), detail=error.strerror)
            return
        yield from self._contents(paths)

    def _contents(self, paths: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
        for path in paths:
            try:
                content = read_private(path, at_most=LARGEST_RECORD_BYTES)
            except RefusedError as error:
                log.warning("state.damaged", path=str(path), detail=error.strerror)
                self.set_aside(path)
            except OSError as error:
                log.warning("state.unreadable", path=str(path), detail=error.strerror)
                self.unread[path] = error.strerror or type(error).__name__
            else:
                yield path, content

    def save(self, name: str, content: bytes, *, reserve: int = 0) -> None:
        """Write a provider's file durably. Raises `StoreError`; the old file is unchanged then.

        With ``reserve``, so many bytes are allocated first, for the next save (`files.reserved`).
        """
        with self._completing:
            if not self._is_complete:
                self._complete()
        path = self._tokens / (name + SUFFIX)
        try:
            if reserve:
                reserve_space(path, reserve)
            elif replace_from_reserve(path, content):
                return
            replace_private(path, content)
        except OSError as error:
            raise StoreError(f"state of {name} cannot be written to {self._tokens}: {error.strerror}") from None

    def save_marks(self, name: str, content: bytes | None) -> None:
        """Write a provider's marks of sinks durably, or remove them (None). Raises `StoreError`."""
        path = self._sinks / (name + SUFFIX)
        try:
            if content is None:
                remove_file(path)
                return
            # Again at each save: a person may have removed the directory.
            make_directory(self._sinks)
            make_private(self._sinks)
            replace_private(path, content)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from None

    def read_part(self, name: str) -> bytes | None:
        """Return a file of the state itself, as the index of the sealed records; None if there is none.

        Raises `StoreError` where it cannot be read.
        """
        try:
            return read_private(self.path / name, at_most=LARGEST_RECORD_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self.path / name} cannot be read: {error.strerror}") from None

    def save_part(self, name: str, content: bytes | None) -> None:
        """Write a file of the state itself durably, or remove it (None). Raises `StoreError`."""
        path = self.path / name
        try:
            if content is None:
                remove_file(path)
            else:
                replace_private(path, content)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from None

    def set_aside(self, path: Path) -> None:
        """Rename a damaged file, so that it is neither read again nor lost."""
        # A directory cannot replace another one that is not empty: then a random suffix.
        for suffix in (".damaged", f".{secrets.token_hex(4)}.damaged"):
            with suppress(OSError):
                path.replace(path.with_suffix(suffix))
                return

    def _complete(self) -> None:
        """Make what is missing of the directory. Raises `NoSpaceError` if that is impossible now, else `StoreError`."""
        self._lock = claim(self.path, held=self._lock)
        try:
            if not self._tokens.is_symlink():
                make_directory(self._tokens)
            # An existing directory may have another mode. The files in it are for the owner only.
            make_private(self._tokens)
        except OSError as error:
            raise _unusable(self.path, "used", error) from None
        found = self._find_salt()
        if not found.is_new and found.value != self._salt:
            raise StoreError(f"state directory {self.path} has got another salt: restart tokend")
        if not found.is_saved:
            try:
                replace_private(self.path / self._found.name, self._found.file(self._sealer))
            except OSError as error:
                raise _unusable(self.path, "written", error) from None
        self._is_complete = True

    def _find_salt(self) -> Salt:
        return find_salt(self._salts(), self._sealer)

    def _salts(self) -> Iterator[tuple[str, bytes]]:
        """Yield the name and the content of each file that may hold the salt."""
        # A salt that cannot be read is an error: a new one would change every fingerprint, and each stored token would
        # count as another account's.
        if (content := self.read_part(SALT)) is not None:
            yield SALT, content
        try:
            others = sorted(path for path in self.path.iterdir() if path.name.startswith(SALT + "."))
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}") from None
        for path in others:
            if (content := self.read_part(path.name)) is not None:
                yield path.name, content


def claim(path: Path, *, held: int | None = None) -> int:
    """Create the state directory if it is missing, and take its lock. The returned descriptor holds the lock.

    ``held`` is what an earlier call returned: it is kept, or closed where a better lock can be had by now. Raises
    `NoSpaceError` if the directory cannot be made now, else `StoreError`.
    """
    if held is not None and not stat.S_ISDIR(os.fstat(held).st_mode):
        return held
    try:
        make_directory(path)
        check_directory(path)
        lock = _open_lock(path, or_directory=held is None)
    except OSError as error:
        raise _unusable(path, "used", error) from None
    _take(lock, path)
    if held is not None:
        os.close(held)
    return lock


def _take(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(path)
        os.close(lock)
        who = f"process {holder}" if holder.isdigit() else "another process"
        raise StateLockedError(f"state directory {path} is held by {who}: one tokend per directory") from None
    except OSError as error:
        os.close(lock)
        raise StoreError(f"state directory {path} cannot be locked: {error.strerror}") from None
    # The process id is for the error message only: on a full disk the lock works without it.
    with suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def _open_lock(path: Path, *, or_directory: bool) -> int:
    """Open the file with the lock; if it cannot be made on a full disk, the directory itself (``or_directory``)."""
    try:
        return _open_file(path / "lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StoreError(f"{path / 'lock'} is not used: it is a link. Remove it") from None
        if error.errno not in NO_SPACE or not (or_directory or (path / "lock").exists()):
            raise
    with suppress(FileNotFoundError):
        return _open_file(path / "lock", os.O_RDONLY)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _open_file(path: Path, flags: int) -> int:
    """Open a file of ours. A link is not followed, and nothing is changed in a file of somebody else."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o600)
    try:
        check_file(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _holder(path: Path) -> str:
    with suppress(OSError):
        return read_private(path / "lock", at_most=32).decode("ascii", "replace").strip()
    return ""


def _unusable(path: Path, how: str, error: OSError) -> StoreError:
    message = f"state directory {path} cannot be {how}: {error.strerror}"
    return NoSpaceError(message) if error.errno in NO_SPACE else StoreError(message)


def boot_id() -> str:
    """Return the id of the running boot; empty where /proc hides it, which counts as a new boot at each start."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
