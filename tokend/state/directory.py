"""State directory: one 0600 file per provider, the salt of all fingerprints, and a lock for one instance."""

import fcntl
import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from tokend.files import RefusedError, make_directory, read_whole, replace_private, sweep_directory
from tokend.machine.logs import get_logger
from tokend.values.errors import StateLockedError, StoreError

SUFFIX = ".json"
SALT_BYTES = 32
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# A response of an upstream has at most 256 KiB; a file larger than a few of them is no record.
LARGEST_RECORD_BYTES = 4 * 1024 * 1024

log = get_logger()


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


class StateDirectory(Salted):
    """Keep records in a directory. Holds the directory's lock from construction until `close`.

    Raises `StateLockedError` if another instance holds the lock, `StoreError` if the directory cannot be used. All
    methods block: call them in a thread.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tokens = path / "tokens"
        self._lock = claim(path)
        try:
            make_directory(self._tokens)
            # An existing directory may have another mode. The files in it are for the owner only.
            self._tokens.chmod(0o700)
        except OSError as error:
            self.close()
            raise StoreError(f"state directory {path} cannot be used: {error.strerror}") from None
        for directory in (path, self._tokens):
            sweep_directory(directory)
        try:
            self._salt = self._load_salt()
        except StoreError:
            self.close()
            raise
        self.boot_id = boot_id()

    def close(self) -> None:
        """Release the lock of the directory."""
        with suppress(OSError):
            os.close(self._lock)

    def files(self) -> Iterator[tuple[Path, bytes]]:
        """Yield the path and the content of each provider's file. Raises `StoreError` if the directory is unreadable.

        A file that cannot be a record is set aside; a file that cannot be read now stays for the next start.
        """
        try:
            paths = sorted(path for path in self._tokens.iterdir() if path.suffix == SUFFIX)
        except OSError as error:
            raise StoreError(f"{self._tokens} cannot be read: {error.strerror}") from None
        for path in paths:
            try:
                content = read_whole(path, at_most=LARGEST_RECORD_BYTES)
            except RefusedError as error:
                log.warning("state.damaged", path=str(path), detail=error.strerror)
                self.set_aside(path)
            except OSError as error:
                log.warning("state.unreadable", path=str(path), detail=error.strerror)
            else:
                yield path, content

    def save(self, name: str, content: bytes) -> None:
        """Write a provider's file durably. Raises `StoreError`; the old file is unchanged then."""
        try:
            replace_private(self._tokens / (name + SUFFIX), content)
        except OSError as error:
            raise StoreError(f"state of {name} cannot be written to {self._tokens}: {error.strerror}") from None

    def set_aside(self, path: Path) -> None:
        """Rename a damaged file, so that it is neither read again nor lost."""
        # A directory cannot replace another one that is not empty: then a random suffix.
        for suffix in (".damaged", f".{secrets.token_hex(4)}.damaged"):
            with suppress(OSError):
                path.replace(path.with_suffix(suffix))
                return

    def _load_salt(self) -> bytes:
        path = self.path / "salt"
        try:
            if len(salt := read_whole(path, at_most=LARGEST_RECORD_BYTES)) == SALT_BYTES:
                return salt
        except FileNotFoundError:
            pass
        except OSError as error:
            # A new salt would change every fingerprint: each stored token would count as another account's.
            raise StoreError(f"{path} cannot be read: {error.strerror}") from None
        salt = secrets.token_bytes(SALT_BYTES)
        try:
            replace_private(path, salt)
        except OSError as error:
            raise StoreError(f"state directory {self.path} cannot be written: {error.strerror}") from None
        return salt


def claim(path: Path) -> int:
    """Create the state directory if it is missing, and take its lock. The returned descriptor holds the lock."""
    try:
        make_directory(path)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"state directory {path} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
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
    return lock


def boot_id() -> str:
    """Return the id of the running boot; empty where /proc hides it, which counts as a new boot at each start."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
