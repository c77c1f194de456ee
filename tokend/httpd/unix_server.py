"""HTTP on one Unix socket: a listener, bare sockets for prepared answers, connections for everything else."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from tokend.access.peer import Peer, identify
from tokend.httpd.application import Application, PreparedAnswers
from tokend.httpd.bare_socket import BareConnection, BareSockets
from tokend.httpd.listener import CLOSE_SECONDS, PATH_CHECK_SECONDS, Listener
from tokend.httpd.places import ConnectionLimits
from tokend.httpd.request_parser import Limits
from tokend.httpd.time_limits import LimitedConnection, enforce_time_limits
from tokend.httpd.unix_socket import SocketFile
from tokend.machine.thread_pool import Threads

# Prepared answers that are out of date are dropped at most this often.
SWEEP_SECONDS = 0.5


class SocketServer:
    """Serve an application on one Unix socket, from `start` to `close`, on the running asyncio (uvloop) loop.

    Give either ``place``, where the socket is made, watched and at the end unlinked, or ``sock``, a listening socket
    that somebody else made (socket activation). ``identify`` returns the identity of a connection's peer. Places are
    kept for uids for which ``kept`` returns True (default: root's and our own).
    """

    def __init__(
        self,
        application: Application,
        *,
        answers: PreparedAnswers | None = None,
        place: SocketFile | None = None,
        sock: socket.socket | None = None,
        limits: Limits | None = None,
        path_check_seconds: float = PATH_CHECK_SECONDS,
        identify: Callable[[socket.SocketType], Peer] = identify,
        threads: Threads | None = None,
        kept: Callable[[int], bool] | None = None,
    ) -> None:
        self.application = application
        self.answers = answers
        self.limits = limits or Limits()
        self.identify = identify
        self._bare_sockets = BareSockets(self)
        self.listener: Listener[LimitedConnection] = Listener(
            one_endpoint(place, sock),
            partial(BareConnection, self._bare_sockets),
            limits=ConnectionLimits(
                self.limits.max_connections,
                self.limits.max_connections_per_uid,
                kept=kept or frozenset((0, os.geteuid())).__contains__,
            ),
            denied=application.log_denial,
            path_check_seconds=path_check_seconds,
            threads=threads,
        )
        self._chores: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen. Raises OSError or `SocketInUseError`, naming the path; nothing is left behind then."""
        try:
            await self.listener.start()
        except OSError:
            self._bare_sockets.stop()
            raise
        chores = [self._keep_path(), enforce_time_limits(self.listener, self.limits)]
        if self.answers is not None:
            chores.append(_sweep(self.answers))
        self._chores = [asyncio.create_task(chore) for chore in chores]

    async def close(self, *, grace_seconds: float = CLOSE_SECONDS) -> None:
        """Stop listening, give due answers ``grace_seconds``, close every connection, unlink our path."""
        for chore in self._chores:
            chore.cancel()
        await self.listener.close(grace_seconds=grace_seconds)
        self._bare_sockets.stop()

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self.listener.connections)

    async def _keep_path(self) -> None:
        # The old socket still serves the clients that it has: a lost path is tried again, and is no reason to end.
        while True:
            with suppress(OSError):
                await self.listener.keep_path()
                return


def one_endpoint(place: SocketFile | None, sock: socket.socket | None) -> SocketFile | socket.socket:
    """Return the one that is given; raises ValueError for both or none."""
    if place is not None and sock is None:
        return place
    if sock is not None and place is None:
        return sock
    raise ValueError("give either a place for the socket or a listening socket")


async def _sweep(answers: PreparedAnswers) -> None:
    while True:
        pause = max(SWEEP_SECONDS, answers.sweep())
        await asyncio.sleep(pause)
