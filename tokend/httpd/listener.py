"""One listening socket and its open connections, from bind to the last connection; the base of all three servers.

The listener accepts within limits, pauses when it cannot, keeps a Unix socket's path, and gives due answers a grace
period at the end. The server behind it speaks with the clients: HTTP or raw tokens.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Generic

import structlog

from tokend.access.peer import NOBODY, Peer, uid_of
from tokend.httpd.passed_descriptors import (
    MOST_UNFINISHED,
    SPARE_DESCRIPTORS,
    DrainedSocket,
    drain_backlog,
    refuse_descriptors,
    spare_threads,
)
from tokend.httpd.places import C, ConnectionLimits, Places, first_reserved, peer_of
from tokend.httpd.turns import Turns
from tokend.httpd.unix_socket import SocketFile, bind_socket, is_right, withdraw
from tokend.machine.thread_pool import ThreadPool, Threads

# A connection whose client connected before the kernel refused descriptors has been in the backlog since. After this
# time an empty backlog proves that there is none left.
BACKLOG_SECONDS = 1.0
# Accepted in one go; then the connections that are open already are served.
MOST_AT_ONCE = 64
# Without a free descriptor accept fails and the socket stays readable: to try again at once would be a busy loop.
PAUSE_SECONDS = 0.1
# How soon a removed or replaced path is noticed. A stat costs microseconds.
PATH_CHECK_SECONDS = 2.0
# The socket's file may be on a disk that hangs, and its group in a directory service that does.
DISK_SECONDS = 5.0
# Due answers may take this long at shutdown; then their connections are cut.
CLOSE_SECONDS = 2.0
# A plain number: at each accept an enum's member would cost as much as a system call.
_STREAM = int(socket.SOCK_STREAM)


class Listener(Generic[C]):
    """Accept connections on one socket, from `start` to `close`, on the running asyncio (uvloop) loop.

    ``endpoint`` is either a place, where the socket is made, watched and at the end unlinked, or a listening socket
    that somebody else made. ``threads`` make the socket and watch its path. ``make`` turns an accepted socket and the
    peer's address into a connection, which calls `leave` when it is closed. ``denied`` is called with the reason for
    each connection that is closed at once. ``connections`` maps each open connection to the uid that it counts for,
    that of `NOBODY` over TCP.
    """

    def __init__(
        self,
        endpoint: SocketFile | socket.socket,
        make: Callable[[socket.SocketType, object], C],
        *,
        limits: ConnectionLimits,
        denied: Callable[[Peer, str], None],
        path_check_seconds: float = PATH_CHECK_SECONDS,
        threads: Threads | None = None,
    ) -> None:
        self.closing = False
        self._places: Places[C] = Places(limits, denied)
        self.connections = self._places.of
        self._place = endpoint if isinstance(endpoint, SocketFile) else None
        self._socket = endpoint if isinstance(endpoint, socket.socket) else None
        self._make, self._limits, self._denied = make, limits, denied
        self._path_check_seconds = path_check_seconds
        self._threads = threads or ThreadPool(1)
        self._left = asyncio.Event()  # set whenever a connection is closed
        self.turns = Turns()
        self._pause: asyncio.TimerHandle | None = None
        self._failing = False
        # Whether connections may hold passed descriptors: always before Linux 6.16, later while the backlog of a socket
        # that somebody else made may be older than the kernel's refusal.
        self._drains = self._only_backlog = False
        self._started = 0.0
        self._log = structlog.get_logger("tokend.api")

    async def start(self) -> None:
        """Accept from now on. Raises OSError or `SocketInUseError`, naming the path; nothing is left behind then."""
        if self._socket is None and self._place is not None:
            self._socket = await self._bind(self._place, take_back=False)
        elif self._socket is not None:
            self._socket.setblocking(False)
            self._only_backlog = self._drains = self._socket.family == socket.AF_UNIX
        if self._socket is not None and not refuse_descriptors(self._socket):
            self._drains, self._only_backlog = True, False
        self._started = asyncio.get_running_loop().time()
        self._resume()

    async def keep_path(self, rebound: Callable[[], object] = lambda: None) -> None:
        """Take the path back whenever somebody removed, replaced or (where it is exact) changed it; connections stay.

        Calls ``rebound`` each time. Returns at once if the socket has no path of ours. Raises OSError if the path
        cannot be taken back; the old socket still accepts, and the method may be called again.
        """
        while (place := self._place) is not None:
            await asyncio.sleep(self._path_check_seconds)
            try:
                if await self._threads.run(partial(is_right, place), seconds=DISK_SECONDS):
                    continue
            except TimeoutError:
                continue
            try:
                fresh = await self._bind(place, take_back=True)
            except OSError as error:
                self._log.error("socket.lost", path=str(place.path), error=str(error))
                raise
            self._close_socket()
            self._socket = fresh
            self._resume()
            self._log.warning("socket.rebound", path=str(place.path))
            rebound()

    async def stop_accepting(self) -> None:
        """Accept no more and unlink the path, if it is ours; open connections stay."""
        self.closing = True
        if self._socket is not None and self._place is not None:
            with suppress(OSError):
                await self._threads.run(partial(withdraw, self._place, self._socket), seconds=DISK_SECONDS)
        self._close_socket()

    async def close(self, *, grace_seconds: float | None = CLOSE_SECONDS) -> None:
        """Stop accepting, and close every connection; due answers get ``grace_seconds`` (None: any time)."""
        await self.stop_accepting()
        for connection in list(self.connections):
            connection.close_soon()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                while self.connections:
                    self._left.clear()
                    await self._left.wait()
        for connection in list(self.connections):
            connection.abort()
        await asyncio.sleep(0)

    def replace(self, old: C, new: C) -> None:
        """Count ``new`` instead of ``old``, which has the same peer."""
        self._places.replace(old, new)

    def leave(self, connection: C) -> None:
        """Forget a connection that is closed."""
        if self._places.remove(connection):
            self._left.set()

    async def _bind(self, place: SocketFile, *, take_back: bool) -> socket.socket:
        """Make the socket in a thread: disks and lookups of names may hang. Raises OSError."""
        given_up = False

        def bind() -> socket.socket:
            made = bind_socket(place, take_back=take_back)
            if given_up:  # nobody would accept from it
                withdraw(place, made)
                made.close()
            return made

        try:
            return await self._threads.run(bind, seconds=DISK_SECONDS)
        except TimeoutError as error:
            given_up = True
            reason = str(error) or f"not made within {DISK_SECONDS:.0f} s: a disk or a lookup of a name hangs"
            raise OSError(f"the socket {place.path}: {reason}") from None

    # ---------------------------------------------------------------- accepting

    def _accept(self) -> None:
        sock, limits, places = self._socket, self._limits, self._places
        reserved = first_reserved(SPARE_DESCRIPTORS if self._drains else 0)
        if sock is None:
            return
        if self._drains and spare_threads.unfinished >= MOST_UNFINISHED:
            self._pause_accepting()
            return
        family = int(sock.family)
        for _ in range(MOST_AT_ONCE):
            if limits.queues and (len(self.connections) >= limits.connections or _is_reached(reserved, sock)):
                self._pause_accepting()
                return
            try:
                descriptor, address = sock._accept()  # type: ignore[attr-defined]  # accept() asks for much more
            except (BlockingIOError, InterruptedError):
                self._backlog_is_empty()
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._log_failure(error)
                self._pause_accepting()
                return
            # The plain C type: the Python class costs three times as much.
            accepted = self._drained(descriptor) if self._drains else socket.SocketType(family, _STREAM, 0, descriptor)
            self._failing = False
            try:
                uid = uid_of(accepted) if family == socket.AF_UNIX else NOBODY.uid
            except OSError:
                accepted.close()
                continue
            uid = places.uid_for(uid, accepted)
            if places.has_too_many(uid):
                self._denied(peer_of(uid), "too many connections of this uid")
                accepted.close()
                continue
            full = len(self.connections) >= places.common or descriptor >= reserved
            if full and not places.make_room(uid, descriptor - reserved):
                self._denied(peer_of(uid), "too many connections")
                accepted.close()
                continue
            connection = self._make(accepted, address)
            places.add(connection, uid)
            connection.start()

    def _drained(self, descriptor: int) -> socket.SocketType:
        """Return an accepted connection on which descriptors may have been passed."""
        accepted = DrainedSocket.adopt(descriptor)
        if self._only_backlog and not accepted.was_open:
            return socket.SocketType(socket.AF_UNIX, _STREAM, 0, accepted.detach())
        return accepted

    def _backlog_is_empty(self) -> None:
        if self._only_backlog and asyncio.get_running_loop().time() - self._started > BACKLOG_SECONDS:
            self._drains = self._only_backlog = False

    def _resume(self) -> None:
        self._pause = None
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _pause_accepting(self) -> None:
        """Leave new clients in the backlog for a moment."""
        loop = asyncio.get_running_loop()
        if self._socket is not None:
            loop.remove_reader(self._socket)
        self._pause = loop.call_later(PAUSE_SECONDS, self._resume)

    def _log_failure(self, error: OSError) -> None:
        """Log that accept fails, once until it succeeds again."""
        if not self._failing:
            self._failing = True
            self._log.warning("socket.not_accepting", error=error.strerror)

    def _close_socket(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            if self._drains and self._place is not None:
                drain_backlog(self._socket)
            self._socket.close()
            self._socket = None


def _is_reached(reserved: float, listening: socket.socket) -> bool:
    """Return whether the next descriptor would be a reserved one, before a connection is accepted that must stay."""
    try:
        lowest = os.dup(listening.fileno())
    except OSError:
        return True
    os.close(lowest)
    return lowest >= reserved
