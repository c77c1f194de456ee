"""The file of a Unix socket: made without a moment of wrong permissions, never taken from a process that listens."""

import grp
import os
import pwd
import socket
import stat
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from tokend.files import Level, UntrustedError, require_safe
from tokend.files.account_names import user_with_uid
from tokend.httpd.passed_descriptors import refuse_descriptors

# At least 128 (a burst of connects otherwise fails with EAGAIN); the kernel cuts it at net.core.somaxconn.
BACKLOG = 1024
# sun_path of unix(7), without the final NUL.
LONGEST_PATH_BYTES = 107
DIRECTORY_MODE = 0o750
# Of directories above the socket's that were missing, too.
PASSABLE_MODE = 0o755


class SocketInUseError(OSError):
    """Another process listens on the path, or something other than a dead socket of ours is in the way."""


@dataclass(slots=True)
class SocketFile:
    """Where the socket is to be. ``owner`` and ``group`` are names or numbers, None for the daemon's own.

    ``exact``: a change of its mode, owner or group counts as a loss of the path. ``inode`` is what `bind_socket` put
    there (device and number), and ``rights`` are its mode, owner and group; both are None before.
    """

    path: Path
    mode: int = 0o660
    group: str | None = None
    owner: str | None = None
    exact: bool = False
    inode: tuple[int, int] | None = field(default=None, init=False)
    rights: tuple[int, int, int] | None = field(default=None, init=False)


def bind_socket(place: SocketFile, *, take_back: bool = False) -> socket.socket:
    """Bind and listen; the mode and the group are right before anybody else can connect. Blocks.

    A socket in the way is unlinked only if it belongs to our uid or to ``owner``, and no process listens on it. With
    ``take_back``, for a path that was ours, a socket that listens is unlinked, too. Raises `SocketInUseError` or
    OSError, naming the path; `UntrustedError` if somebody else could put another file at the path.
    """
    if len(os.fsencode(place.path)) > LONGEST_PATH_BYTES:
        raise OSError(f"the socket's path {place.path} is longer than {LONGEST_PATH_BYTES} bytes: choose a shorter one")
    group = -1 if place.group is None else _group_number(place.group)
    owner = -1 if place.owner is None else _owner_number(place.owner)
    _require_safe(place.path.parent, owner)
    _make_directory(place.path.parent, group)
    _clear(place.path, owners={os.geteuid(), owner}, take_back=take_back)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        # On Linux the file inherits the unbound socket's mode: no umask (it is the process's), and no moment of 0666.
        os.fchmod(listening.fileno(), 0o600)
        try:
            listening.bind(str(place.path))
        except OSError as error:
            whose = f" for {_who()}: choose a directory that it may write" if isinstance(error, PermissionError) else ""
            raise OSError(error.errno, f"cannot bind the socket: {error.strerror}{whose}", str(place.path)) from None
        _set_permissions(place, owner, group)
        refuse_descriptors(listening)
        listening.listen(BACKLOG)
    except OSError:
        if place.inode is not None:
            withdraw(place, listening)
        listening.close()
        raise
    return listening


def _require_safe(directory: Path, owner: int) -> None:
    """Raise `UntrustedError` if a user other than root, us and ``owner`` could replace what is in the directory."""
    try:
        require_safe(directory, foreign=Level.UNSAFE)
    except UntrustedError:
        if owner == -1 or directory.stat().st_uid != owner:
            raise
        require_safe(directory)


def _set_permissions(place: SocketFile, owner: int, group: int) -> None:
    """Give the bound file its mode, group and owner. The file is opened once: the name may lead elsewhere later."""
    descriptor = os.open(place.path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if (
            not stat.S_ISSOCK(found.st_mode)
            or stat.S_IMODE(found.st_mode) & ~0o600  # a umask may have taken more
            or found.st_uid != os.geteuid()
            or found.st_nlink != 1
        ):
            raise SocketInUseError(f"{place.path}: another file took the place of the socket while it was made")
        place.inode = found.st_dev, found.st_ino
        opened = f"/proc/self/fd/{descriptor}"
        if group != -1:
            os.chown(opened, -1, group)
        os.chmod(opened, place.mode)  # noqa: PTH101  # beside chown
        if owner != -1:  # last: another user's file cannot be chmodded with CAP_CHOWN alone
            os.chown(opened, owner, -1)
        place.rights = _rights(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def is_ours(place: SocketFile) -> bool:
    """Return whether the path still leads to the socket that `bind_socket` put there."""
    try:
        found = place.path.lstat()
    except OSError:
        return False
    return place.inode == (found.st_dev, found.st_ino)


def is_right(place: SocketFile) -> bool:
    """Return whether `is_ours`, and an ``exact`` place still has the mode, owner and group that it got."""
    try:
        return is_ours(place) and (not place.exact or _rights(place.path.lstat()) == place.rights)
    except OSError:
        return False


def withdraw(place: SocketFile, listening: socket.socket) -> None:
    """Unlink the path if it still leads to our socket; another socket or file stays."""
    if listening.fileno() != -1 and is_ours(place):
        place.path.unlink(missing_ok=True)
    place.inode = place.rights = None


def _rights(found: os.stat_result) -> tuple[int, int, int]:
    return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid


def _make_directory(directory: Path, group: int) -> None:
    """Make the socket's directory if it is missing, private until its group is set; one that exists is left alone.

    Directories above it that are missing, too, can be passed by everybody: the socket's group has to get to it.
    """
    try:
        for above in reversed(directory.parents):
            if not above.exists():
                above.mkdir(mode=0o700)
                above.chmod(PASSABLE_MODE)  # the umask is the daemon's, which hides everything
        directory.mkdir(mode=0o700)
    except FileExistsError:
        return
    except PermissionError as error:
        raise OSError(
            f"{_who()} cannot make the socket's directory {directory}: {error.strerror}; set [daemon] socket to a path "
            "that this user may make, or $XDG_RUNTIME_DIR, which a login session has"
        ) from None
    os.chown(directory, -1, group)
    directory.chmod(DIRECTORY_MODE)


def _clear(path: Path, *, owners: Collection[int], take_back: bool) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketInUseError(f"{path} exists and is no socket: move it away, or choose another path")
    if found.st_uid not in owners:
        raise SocketInUseError(f"the socket {path} belongs to uid {found.st_uid}, not to us: remove it")
    if not take_back and _answers(path):
        raise SocketInUseError(f"another process listens on {path}: is tokend running already?")
    path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    """Return whether a process listens; only a refused connection proves that none does."""
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        probe.connect(str(path))
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    except OSError:  # a full backlog (EAGAIN) is a living listener's
        return True
    finally:
        probe.close()
    return True


def _who() -> str:
    found = user_with_uid(os.geteuid())
    return found if found.startswith("uid ") else f"user {found}"


def _group_number(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        if group.isascii() and group.isdigit():
            return int(group)
        raise OSError(f"there is no group {group!r} on this machine") from None


def _owner_number(owner: str) -> int:
    try:
        return pwd.getpwnam(owner).pw_uid
    except KeyError:
        if owner.isascii() and owner.isdigit():
            return int(owner)
        raise OSError(f"there is no user {owner!r} on this machine") from None
