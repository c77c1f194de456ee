"""Bare sockets: new connections that are answered without a transport while each asks for one prepared answer.

Most clients connect, read one token and disconnect. A transport and a protocol for each of them costs twice what the
answer does. So a new connection is a bare socket, and becomes a `Connection` with its first request that has no
prepared answer, or with its second request. Accepting and counting are the listener's part.
"""

import asyncio
import select
import socket
from typing import Protocol

from tokend.access.peer import Peer
from tokend.httpd.connection import Connection, ConnectionOwner
from tokend.httpd.passed_descriptors import DrainedSocket, as_python_socket
from tokend.httpd.request_parser import SLICE_BYTES

# As plain numbers: at each use an enum's member costs as much as a system call.
_AT_ONCE = int(socket.MSG_DONTWAIT)
_UNHARMED = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


class BareSocketOwner(ConnectionOwner, Protocol):
    """The attributes and methods of a server that its bare sockets use."""

    def identify(self, connection: socket.SocketType, /) -> Peer:
        """Return the peer's identity; raises OSError."""


class BareConnection:
    """One connection that is still a bare socket."""

    __slots__ = ("_group", "answered", "descriptor", "since", "socket")

    def __init__(self, group: "BareSockets", connection: socket.SocketType, _address: object) -> None:
        self._group = group
        self.socket, self.descriptor = connection, connection.fileno()
        self.since = group.now()
        self.answered = False

    def start(self) -> None:
        """Answer what has been sent already, and watch for more."""
        self._group.add(self)

    def check(self, now: float) -> None:
        """Close the connection if it has used up its time."""
        limits = self._group.home.limits
        if now - self.since > (limits.idle_seconds if self.answered else limits.header_seconds):
            self._group.close(self)

    def close_soon(self) -> None:
        """Close: every complete request is answered."""
        self._group.close(self)

    def abort(self) -> None:
        """Close now."""
        self._group.close(self)

    def give_way(self) -> None:
        """Close now."""
        self._group.close(self)

    def last_active(self) -> float:
        """Return the loop's time of the accept."""
        return self.since


class BareSockets:
    """All bare sockets of one server, on the running loop, until `stop`."""

    def __init__(self, home: BareSocketOwner) -> None:
        self.home = home
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._here: dict[int, BareConnection] = {}
        # An epoll of our own, which the loop watches: a watcher of the loop for each descriptor costs five times more.
        self._epoll = select.epoll()
        self._loop.add_reader(self._epoll.fileno(), self._look)

    def stop(self) -> None:
        """Close every bare socket."""
        for bare in list(self._here.values()):
            self.close(bare)
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def add(self, bare: BareConnection) -> None:
        """Answer a new connection."""
        self._here[bare.descriptor] = bare
        self._epoll.register(bare.descriptor, select.EPOLLIN)
        self._read(bare)

    def close(self, bare: BareConnection) -> None:
        """Close a connection that has not become a `Connection`."""
        del self._here[bare.descriptor]
        # The kernel removes a closed descriptor from the epoll, because no second one refers to this socket. A drained
        # socket may stay open for a while.
        if isinstance(bare.socket, DrainedSocket):
            self._epoll.unregister(bare.descriptor)
        bare.socket.close()
        self.home.listener.leave(bare)

    def _look(self) -> None:
        here = self._here
        for descriptor, _ in self._epoll.poll(0, 256):
            bare = here.get(descriptor)
            if bare is not None:
                self._read(bare)

    def _read(self, bare: BareConnection) -> None:
        try:
            data = bare.socket.recv(SLICE_BYTES, _AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close(bare)
        elif bare.answered or not self._answer(bare, data):
            self._move(bare, data, b"")

    def _answer(self, bare: BareConnection, data: bytes) -> bool:
        """Send the prepared answer; False if there is none, or the peer may not have it."""
        answers = self.home.answers
        if answers is None or (answer := answers.find(data)) is None:
            return False
        if not answer.public and not answers.admits(self.home.identify(bare.socket), answer):
            return False
        answer.hits += 1
        bare.answered = True
        try:
            sent = bare.socket.send(answer.content, _UNHARMED)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.close(bare)
            return True
        if sent < len(answer.content):
            self._move(bare, b"", answer.content[sent:])
        return True

    def _move(self, bare: BareConnection, received: bytes, unsent: bytes) -> None:
        """Go on as a `Connection`, with the bytes that are not answered and those that are not sent."""
        del self._here[bare.descriptor]
        self._epoll.unregister(bare.descriptor)
        sock = as_python_socket(bare.socket)
        try:
            peer = self.home.identify(sock)
        except OSError:
            sock.close()
            self.home.listener.leave(bare)
            return
        connection = Connection(self.home, peer, sock, received=received, unsent=unsent)
        self.home.listener.replace(bare, connection)
        connection.start()
