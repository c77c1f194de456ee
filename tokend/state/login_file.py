"""A login file: a login that several daemons of one user on one host share, and the lock that they take in turn.

The lock is on a file beside it, ``<path>.lock``: the file itself is replaced at each write. It is held over a whole
exchange, and ends with its process. Everything here blocks: call it in a thread.
"""

import errno
import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tokend.files import (
    Level,
    RefusedError,
    UntrustedError,
    read_private,
    replace_from_reserve,
    replace_private,
    require_safe,
    reserve_space,
    shared_file_system,
)
from tokend.state.sealing import Opened, Sealer, UnopenedError
from tokend.values.errors import StoreError

LARGEST_BYTES = 4 * 1024 * 1024
# How often the lock's file may be replaced while it is taken.
MOST_TRIES = 10


class LoginFile:
    """The file at ``path``. ``client`` (the server and the client's id) is bound to its sealed content.

    Methods raise `StoreError`, whose message names the file and what to do.
    """

    def __init__(self, path: Path, sealer: Sealer, client: tuple[str, str]) -> None:
        self.path = path
        self.lock_path = path.with_name(path.name + ".lock")
        self._sealer = sealer
        self._name = "\n".join(client)

    def read(self) -> Opened | None:
        """Return the content, None if there is no file. Raises `UnopenedError` where no key opens it."""
        self.check()
        try:
            content = read_private(self.path, at_most=LARGEST_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"login file {self.path} is not read: {error.strerror}") from None
        try:
            return self._sealer.open("login file", self._name, content)
        except UnopenedError as error:
            raise UnopenedError(f"login file {self.path}: {error.detail}") from None

    def write(self, number: int, content: bytes, *, reserve: int = 0) -> None:
        """Write the content durably, mode 0600; the old file is whole otherwise. The lock must be held.

        With ``reserve``, so many bytes are allocated first, for the next write.
        """
        self.check()
        sealed = self._sealer.seal("login file", self._name, number, content)
        try:
            if reserve:
                reserve_space(self.path, reserve)
            elif replace_from_reserve(self.path, sealed):
                return
            replace_private(self.path, sealed)
        except OSError as error:
            raise StoreError(f"login file {self.path} cannot be written: {error.strerror}") from None

    def check(self) -> None:
        """Raise `StoreError` if somebody else could read or change the file, or if other machines may use it."""
        if (fault := login_file_fault(self.path)) is not None:
            raise StoreError(f"login file {self.path} is not used: {fault}")


class LoginLock:
    """The lock of a login file, to be taken and released once. `release` may be called at any time, in any thread.

    A call that hangs in a thread of its own keeps the lock until it ends: what it writes late must overwrite nothing.
    """

    def __init__(self, file: LoginFile) -> None:
        self._file = file
        self._guard = threading.Lock()
        self._descriptor: int | None = None
        self._users = 0
        self._is_over = False

    def take(self) -> bool:
        """Take the lock. Returns false if another daemon holds it. Raises `StoreError`."""
        descriptor = _locked(self._file)
        if descriptor is None:
            return False
        with self._guard:
            self._descriptor = descriptor
        self._close_if_over()
        return True

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the lock for this block. Raises `StoreError` if it is not held any more."""
        with self._guard:
            if self._is_over or self._descriptor is None:
                raise StoreError(f"{self._file.lock_path} is not locked any more: nothing was written")
            self._users += 1
        try:
            yield
        finally:
            with self._guard:
                self._users -= 1
            self._close_if_over()

    def release(self) -> None:
        """Release the lock, also one that `take` is about to get."""
        with self._guard:
            self._is_over = True
        self._close_if_over()

    def _close_if_over(self) -> None:
        with self._guard:
            if not self._is_over or self._users:
                return
            descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)


def login_file_fault(path: Path, mounts: str | None = None) -> str | None:
    """Return why a login must not be kept at ``path``; None if nothing is wrong. The file need not exist. Blocks.

    ``mounts`` is for `shared_file_system`.
    """
    if (kind := shared_file_system(path.parent, mounts)) is not None:
        return f"it is on {kind}, where a lock does not hold for everybody: choose a local file system"
    try:
        found = path.lstat()
    except FileNotFoundError:
        found = None
    except OSError as error:
        return error.strerror
    if found is not None and (fault := _fault_of(path, found)) is not None:
        return fault
    try:
        require_safe(path, foreign=Level.UNSAFE)
        is_there = path.parent.is_dir()
    except UntrustedError as error:
        return error.strerror
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return None if is_there else f"there is no directory {path.parent}: make it, mode 0700"


def _fault_of(path: Path, found: os.stat_result) -> str | None:
    if stat.S_ISLNK(found.st_mode):
        return "it is a link: name the file itself"
    if not stat.S_ISREG(found.st_mode):
        return "it is no regular file"
    if found.st_uid != os.geteuid():
        return f"it belongs to uid {found.st_uid}, and this is uid {os.geteuid()}"
    if found.st_mode & 0o077:
        return f"others may use it (mode {stat.S_IMODE(found.st_mode):04o}): chmod 600 {path}"
    return None


def _locked(file: LoginFile) -> int | None:
    """Return a descriptor that holds the lock, None if another one does."""
    file.check()
    path = file.lock_path
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    for _ in range(MOST_TRIES):
        try:
            descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            why = "it is a link: remove it" if error.errno == errno.ELOOP else error.strerror
            raise StoreError(f"{path} cannot be opened: {why}") from None
        try:
            if (fault := _fault_of(path, os.fstat(descriptor))) is not None:
                raise RefusedError(errno.EPERM, fault, str(path))
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A lock on a file that has no name any more is a lock that others do not see.
            if os.path.samestat(path.lstat(), os.fstat(descriptor)):
                kept, descriptor = descriptor, -1
                return kept
        except BlockingIOError:
            return None
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StoreError(f"{path} cannot be locked: {error.strerror}") from None
        finally:
            if descriptor >= 0:
                os.close(descriptor)
    raise StoreError(f"{path} cannot be locked: another program replaces it again and again")
