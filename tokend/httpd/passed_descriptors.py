"""Descriptors that clients pass along on a Unix socket (SCM_RIGHTS): refused, or received and closed apart.

The kernel closes a passed descriptor in the thread that reads past it, or that closes the connection which still holds
it. A TCP socket with SO_LINGER and unsent data makes that close wait for as long as its sender likes. So Linux 6.16 and
later refuses descriptors (`refuse_descriptors`). All other connections are `DrainedSocket`s: these receive each
descriptor, and spare threads close it.
"""

import errno
import os
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

# <asm-generic/socket.h>; Python has no names for them: since Linux 6.16, since 6.5.
_SO_PASSRIGHTS, _SO_PASSPIDFD = 83, 76
# Each would take room in a received message, and the last one installs a descriptor. A socket unit may set them.
_OTHER_MESSAGES = (socket.SO_PASSCRED, socket.SO_PASSSEC, _SO_PASSPIDFD)
# SCM_MAX_FD: one message has at most so many descriptors, and one call receives at most one such message.
MOST_IN_MESSAGE = 253
# These stay free for received descriptors: what the kernel cannot install, it closes in the reading thread.
SPARE_DESCRIPTORS = 256
# More threads than this never wait for strangers' descriptors.
MOST_THREADS = 32
# A thread that has closed nothing for this long may wait for a stranger: another one is started.
STUCK_SECONDS = 0.05
# Threads after the first one end after so long without work.
IDLE_SECONDS = 10.0
# Above this number no connection is accepted whose descriptors would have to be received.
MOST_UNFINISHED = 1024
# Both ways are tested on one kernel, and the bench compares them: with this value of this variable, descriptors are
# received although the kernel could refuse them.
SWITCH, RECEIVE = "TOKEND_PASSED_DESCRIPTORS", "receive"

_ROOM = socket.CMSG_SPACE(MOST_IN_MESSAGE * 4)
_AT_ONCE = int(socket.MSG_DONTWAIT)
_LOOK = int(socket.MSG_DONTWAIT | socket.MSG_PEEK)
_TAKE = int(socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
_CUT = int(socket.MSG_CTRUNC)
_NO_LINGER = struct.pack("ii", 0, 0)
_PIECE_BYTES = 65536


class NoRoomError(OSError):
    """The next message carries descriptors, and those received before are not closed yet."""


def refuse_descriptors(listening: socket.socket) -> bool:
    """Let the kernel refuse descriptors that clients pass along; False where it cannot (before Linux 6.16).

    Connections that begin later inherit it. Those that wait in the backlog already may hold descriptors.
    """
    if listening.family != socket.AF_UNIX:
        return True  # TCP carries none
    _want_data_only(listening)
    if os.environ.get(SWITCH) == RECEIVE:
        return False
    try:
        listening.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 0)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            raise
        return False
    return True


class DrainedSocket(socket.socket):
    """A connection on which clients may pass descriptors: whatever reads from it or closes it waits for none of them.

    `recv` never blocks. No other method of the base class that reads may be called.
    """

    was_open = True  # the kernel accepted descriptors on it until now
    _ended = False  # the client sends nothing more, and everything was received

    @classmethod
    def adopt(cls, descriptor: int) -> "DrainedSocket":
        """Take over an accepted connection, before anything was received from it."""
        taken = cls(socket.AF_UNIX, socket.SOCK_STREAM, 0, descriptor)
        # Without this option the kernel drops urgent data that was not asked for, and its descriptors, as it reads on.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        _want_data_only(taken)
        if os.environ.get(SWITCH) != RECEIVE:
            with suppress(OSError):
                taken.was_open = taken.getsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS) != 0
                taken.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 0)
        return taken

    def recv(self, size: int, _flags: int = 0) -> bytes:
        """Receive data at once or raise BlockingIOError. Passed descriptors are closed in a spare thread.

        Raises `NoRoomError` if there are descriptors and too many others wait for their end: close the connection.
        """
        if spare_threads.reserve():
            found: Sequence[int] = ()
            try:
                data, ancillary, _, _ = self.recvmsg(size, _ROOM, _TAKE)
                found = _descriptors(ancillary)
            finally:
                spare_threads.close(found)
        else:
            # A look drops copies only, which never waits. The data that it shows without descriptors has none.
            data, _, flags, _ = self.recvmsg(size, 0, _LOOK)
            if flags & _CUT:
                raise NoRoomError(errno.EMFILE, "passed descriptors wait to be closed")
            data = super().recv(len(data), _AT_ONCE) if data else data
        self._ended = not data
        return data

    def close(self) -> None:
        """Close, without waiting for descriptors that were passed and not received."""
        if self.fileno() != -1 and not self._ended and not self._is_empty_for_ever():
            spare_threads.finish(self)
            return
        super().close()

    def _is_empty_for_ever(self) -> bool:
        """Let nothing more be sent, and receive what there is; False where that has to wait."""
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)
        while True:
            try:
                if not self.recv(_PIECE_BYTES):
                    return True
            except NoRoomError:
                return False
            except ConnectionResetError:
                continue  # the client closed with our data unread; said once, when everything was received
            except OSError:
                return True

    def close_at_once(self) -> None:
        """Close a connection that holds no descriptors."""
        super().close()


def as_python_socket(accepted: socket.SocketType) -> socket.socket:
    """Make an object of Python's class from an accepted socket; a `DrainedSocket` stays what it is."""
    if isinstance(accepted, socket.socket):
        return accepted
    return socket.socket(accepted.family, accepted.type, 0, fileno=accepted.detach())


def drain_backlog(listening: socket.socket) -> None:
    """End a listening socket of ours, and every connection that was not accepted, before it is closed."""
    with suppress(OSError):
        listening.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        while True:
            DrainedSocket.adopt(listening._accept()[0]).close()  # type: ignore[attr-defined]  # as in `Listener`


class SpareThreads:
    """Threads that close descriptors of strangers; they are started when they are needed.

    At most `SPARE_DESCRIPTORS` are open at a time. A socket that could not be emptied waits here until there is room.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._descriptors: deque[int] = deque()
        self._sockets: deque[DrainedSocket] = deque()
        self._open = 0  # received and not closed; and the room for those that a thread is about to receive
        self._threads = self._waiting = 0
        self._progress = 0.0
        self.unfinished = 0

    def reserve(self) -> bool:
        """Reserve room for one message; `close` gives it back. False if there is none."""
        with self._changed:
            free = self._has_room
            self._open += MOST_IN_MESSAGE * free
            return free

    def close(self, descriptors: Sequence[int]) -> None:
        """Close the descriptors of a message soon. Room for it was reserved."""
        with self._changed:
            self._open += len(descriptors) - MOST_IN_MESSAGE
            if descriptors:
                self._descriptors.extend(descriptors)
                self._wake()

    @property
    def _has_room(self) -> bool:
        return self._open <= SPARE_DESCRIPTORS - MOST_IN_MESSAGE

    def finish(self, connection: DrainedSocket) -> None:
        """Empty and close a connection that was shut down."""
        with self._changed:
            self.unfinished += 1
            self._sockets.append(connection)
            self._wake()

    def _wake(self) -> None:
        now = time.monotonic()
        if not self._waiting and self._threads < MOST_THREADS:
            if self._threads and now - self._progress < STUCK_SECONDS:
                return
            # Without a thread the descriptors wait for one: a later call tries again.
            with suppress(RuntimeError):
                threading.Thread(target=self._work, name="tokend-spare", daemon=True).start()
                self._threads += 1
                self._progress = now
        self._changed.notify()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if isinstance(job, int):
                _disarm_and_close(job)
                with self._changed:
                    self._open -= 1
                    self._made_progress()
            else:
                self._empty(job)

    def _next(self) -> "int | DrainedSocket | None":
        """Return the next descriptor, or a socket whose next message there is room for; None if the thread ends."""
        with self._changed:
            while True:
                if self._descriptors:
                    return self._descriptors.popleft()
                if self._sockets and self._has_room:
                    self._open += MOST_IN_MESSAGE
                    return self._sockets.popleft()
                self._waiting += 1
                called = self._changed.wait(IDLE_SECONDS)
                self._waiting -= 1
                if not called and self._threads > 1:
                    self._threads -= 1
                    return None

    def _empty(self, connection: DrainedSocket) -> None:
        """Receive one message; close the connection after its last."""
        found: Sequence[int] = ()
        data, reset = b"", False
        try:
            data, ancillary, _, _ = connection.recvmsg(_PIECE_BYTES, _ROOM, _TAKE)
            found = _descriptors(ancillary)
        except ConnectionResetError:
            reset = True
        except OSError:
            pass
        more = bool(data) or reset
        if not more:
            connection.close_at_once()
        with self._changed:
            self._open += len(found) - MOST_IN_MESSAGE
            self._descriptors.extend(found)
            if more:
                self._sockets.append(connection)
            else:
                self.unfinished -= 1
            self._made_progress()

    def _made_progress(self) -> None:
        self._progress = time.monotonic()
        self._changed.notify()


spare_threads = SpareThreads()


def _want_data_only(sock: socket.socket) -> None:
    for option in _OTHER_MESSAGES:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, option, 0)


def _descriptors(ancillary: Sequence[tuple[int, int, bytes]]) -> list[int]:
    found: list[int] = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.extend(struct.unpack(f"{len(data) // 4}i", data[: len(data) // 4 * 4]))
    return found


def _disarm_and_close(descriptor: int) -> None:
    """Close a descriptor of a stranger. May wait all the same: the stranger may have kept a copy, or own the file."""
    try:
        passed = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, descriptor)
    except OSError:  # no socket
        with suppress(OSError):
            os.close(descriptor)
        return
    with suppress(OSError):
        passed.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    with suppress(OSError):
        passed.close()
