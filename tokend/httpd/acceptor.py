"""New connections: accepted, and answered on the spot as long as each only asks once for what was asked before.

Most clients connect, read one token and go. A transport and a protocol for each of them costs twice what the answer
does; so an arrival is a bare socket, and becomes a `Connection` with its first request that is not recognised, or its
second one. Limits and counts are the server's part.
"""

import asyncio
import select
import socket
from typing import Protocol

from tokend.access.peer import Peer
from tokend.httpd.connection import Connection, ConnectionOwner
from tokend.httpd.fd_reserve import first_reserved
from tokend.httpd.request_parser import SLICE_BYTES

# Accepted in one go; then those that are connected already have their turn.
MOST_AT_ONCE = 64
# Without a free descriptor accept fails and the listener stays readable: looking again at once would be a busy loop.
PAUSE_SECONDS = 0.1
# As plain numbers: at each use an enum's member costs as much as a system call.
_AT_ONCE = int(socket.MSG_DONTWAIT)
_UNHARMED = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
_STREAM = int(socket.SOCK_STREAM)


class Admission(ConnectionOwner, Protocol):
    """What arrivals need of their server."""

    def identify(self, connection: socket.SocketType) -> Peer:
        """Tell all that is known of who is at the other end; raises OSError."""

    def admit(self, arrival: "NewConnection", first_reserved: float) -> bool:
        """Note a new connection, and its uid in it; False if it is one too many, or has a reserved descriptor."""


class NewConnection:
    """One connection that is a bare socket still."""

    __slots__ = ("_arrivals", "answered", "descriptor", "moving", "since", "socket", "uid")

    def __init__(self, arrivals: "Acceptor", connection: socket.SocketType, descriptor: int, *, since: float) -> None:
        self._arrivals = arrivals
        self.socket, self.descriptor = connection, descriptor
        self.since = since
        self.uid = -1
        self.answered = False
        self.moving = False

    def check(self, now: float) -> None:
        """Close the connection if it has used up its time."""
        limits = self._arrivals.home.limits
        if not self.moving and now - self.since > (limits.idle_seconds if self.answered else limits.header_seconds):
            self._arrivals.close(self)

    def close_soon(self) -> None:
        """Close: whatever was asked is answered."""
        if not self.moving:
            self._arrivals.close(self)

    def abort(self) -> None:
        """Close now."""
        self.close_soon()


class Acceptor:
    """Accept on one listening socket at a time, on the running loop, until `stop`."""

    def __init__(self, home: Admission) -> None:
        self.home = home
        self._loop = asyncio.get_running_loop()
        self._here: dict[int, NewConnection] = {}
        self._moves: set[asyncio.Task[None]] = set()
        self._listener: socket.SocketType | None = None
        # An epoll of our own, which the loop watches: a watcher of the loop for each descriptor costs five times more.
        self._epoll = select.epoll()
        self._loop.add_reader(self._epoll.fileno(), self._look)

    def listen(self, listener: socket.socket) -> None:
        """Accept here from now on, and no longer where it was."""
        listener.setblocking(False)
        self._close_listener()
        self._listener = listener
        self._epoll.register(listener.fileno(), select.EPOLLIN)

    def deafen(self) -> None:
        """Accept no longer; what has arrived stays."""
        self._close_listener()

    def stop(self) -> None:
        """Let go of everything."""
        self._close_listener()
        for arrival in list(self._here.values()):
            self.close(arrival)
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def close(self, arrival: NewConnection) -> None:
        """Close one that has not become a connection."""
        # The kernel strikes a closed descriptor out of the epoll: nobody has a second one for this socket.
        del self._here[arrival.descriptor]
        arrival.socket.close()
        self.home.leave(arrival)

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _look(self) -> None:
        here = self._here
        for descriptor, _ in self._epoll.poll(0, 256):
            arrival = here.get(descriptor)
            if arrival is not None:
                self._read(arrival)
            elif self._listener is not None and descriptor == self._listener.fileno():
                self._accept(self._listener)

    def _accept(self, listener: socket.SocketType) -> None:
        now, reserved, family = self._loop.time(), first_reserved(), int(listener.family)
        for _ in range(MOST_AT_ONCE):
            try:
                descriptor, _address = listener._accept()  # type: ignore[attr-defined]  # accept() asks for much more
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError:
                self._epoll.unregister(listener.fileno())
                self._loop.call_later(PAUSE_SECONDS, self._listen_again, listener)
                return
            # The plain C type: the Python class costs three times as much.
            connection = socket.SocketType(family, _STREAM, 0, descriptor)
            arrival = NewConnection(self, connection, descriptor, since=now)
            if self.home.admit(arrival, reserved):
                self._here[descriptor] = arrival
                self._epoll.register(descriptor, select.EPOLLIN)
                self._read(arrival)
            else:
                arrival.socket.close()

    def _listen_again(self, listener: socket.SocketType) -> None:
        if listener is self._listener:
            self._epoll.register(listener.fileno(), select.EPOLLIN)

    def _read(self, arrival: NewConnection) -> None:
        try:
            data = arrival.socket.recv(SLICE_BYTES, _AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close(arrival)
        elif arrival.answered or not self._answer(arrival, data):
            self._move(arrival, data, b"")

    def _answer(self, arrival: NewConnection, data: bytes) -> bool:
        """Answer what is recognised; False for all else."""
        answers = self.home.answers
        if answers is None or (answer := answers.find(data)) is None:
            return False
        if not answer.public and not answers.admits(self.home.identify(arrival.socket), answer):
            return False
        answer.hits += 1
        arrival.answered = True
        try:
            sent = arrival.socket.send(answer.content, _UNHARMED)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.close(arrival)
            return True
        if sent < len(answer.content):
            self._move(arrival, b"", answer.content[sent:])
        return True

    def _move(self, arrival: NewConnection, received: bytes, unsent: bytes) -> None:
        """Let it go on as a connection, with what was received and is not answered, and what is not sent yet."""
        del self._here[arrival.descriptor]
        self._epoll.unregister(arrival.descriptor)
        arrival.moving = True
        move = self._loop.create_task(self._give_transport(arrival, received, unsent))
        self._moves.add(move)  # the loop itself keeps weak references only
        move.add_done_callback(self._moves.discard)

    async def _give_transport(self, arrival: NewConnection, received: bytes, unsent: bytes) -> None:
        bare = socket.socket(fileno=arrival.socket.detach())
        bare.setblocking(False)
        try:
            peer = self.home.identify(bare)
            connection = Connection(self.home, peer, replaces=arrival, received=received, unsent=unsent)
            await self._loop.connect_accepted_socket(lambda: connection, bare)
        except OSError:
            bare.close()
            self.home.leave(arrival)
