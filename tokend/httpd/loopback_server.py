"""HTTP on a TCP port of this machine, for clients that cannot use Unix sockets; off by default.

Every peer is `NOBODY`: no administrator, and able to read only tokens without ``access``. `LoopbackGuard` checks each
request. There are no prepared answers here, because a request text holds the secret.
"""

import asyncio
import os
import resource
import socket
from collections.abc import Callable

import structlog

from tokend.access.peer import NOBODY
from tokend.httpd.application import Application, PreparedAnswers
from tokend.httpd.connection import Connection
from tokend.httpd.listener import CLOSE_SECONDS, Listener
from tokend.httpd.loopback_guard import LoopbackGuard
from tokend.httpd.places import ConnectionLimits
from tokend.httpd.request_parser import Limits
from tokend.httpd.time_limits import LimitedConnection, enforce_time_limits
from tokend.httpd.unix_socket import BACKLOG
from tokend.machine.thread_pool import Threads
from tokend.plugin.secret_source import SecretSource

# Every user of the host can connect here, and cannot be counted: at most this part of the places of the Unix socket and
# of the descriptors is for this port.
SHARE = 8


class LoopbackServer:
    """Serve an application on one loopback address, from `start` to `close`.

    ``source`` returns where the secret is now. ``port`` may be 0; after `start` it is the number that the kernel
    chose. ``sock`` is a listening socket that somebody else made (socket activation).
    """

    def __init__(
        self,
        application: Application,
        host: str,
        port: int,
        source: Callable[[], SecretSource | None],
        *,
        threads: Threads,
        limits: Limits | None = None,
        sock: socket.socket | None = None,
    ) -> None:
        self.application = application
        self.answers: PreparedAnswers | None = None
        self.host, self.port = host, port
        self.limits = limits or Limits()
        self._source = source
        self._threads = threads
        self._passed = sock
        # Made by `start`.
        self.listener: Listener[LimitedConnection]
        self._time_limits: asyncio.Task[None]

    async def start(self) -> None:
        """Listen. Raises OSError, naming the address or the secret's trouble; nothing is left behind then."""
        guard = LoopbackGuard(self.application, self._source, threads=self._threads)
        await guard.require_secret()
        sock = self._bind() if self._passed is None else self._passed
        self.port = guard.port = sock.getsockname()[1]
        self.application = guard
        self.listener = Listener(
            sock,
            self._connect,
            limits=ConnectionLimits(max(1, min(self.limits.max_connections, _soft_limit()) // SHARE)),
            denied=self.application.log_denial,
        )
        await self.listener.start()
        self._time_limits = asyncio.create_task(enforce_time_limits(self.listener, self.limits))
        structlog.get_logger("tokend.api").info("loopback.listening", host=self.host, port=self.port)

    async def close(self, *, grace_seconds: float = CLOSE_SECONDS) -> None:
        """Stop listening, give due answers ``grace_seconds``, close every connection."""
        self._time_limits.cancel()
        await self.listener.close(grace_seconds=grace_seconds)

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family, backlog=BACKLOG)
        except OSError as error:
            where = f"[{self.host}]" if ":" in self.host else self.host
            raise OSError(f"cannot listen on {where}:{self.port}: {os.strerror(error.errno or 0)}") from None

    def _connect(self, accepted: socket.SocketType, _address: object) -> Connection:
        sock = socket.socket(accepted.family, accepted.type, 0, fileno=accepted.detach())
        return Connection(self, NOBODY, sock)


def _soft_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 30 if soft == resource.RLIM_INFINITY else soft
