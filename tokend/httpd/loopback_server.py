"""The same interface on a TCP port of this machine, for clients that cannot speak Unix sockets; off by default.

The kernel does not tell who is at the other end, so everybody here is nobody special: no admin, and only tokens without
``access``. A secret stands in for identity. It is looked at with each request: nothing is answered from remembered
texts. Pages in a browser reach this port too; they are refused by their Host (DNS rebinding) and by `routes`.
"""

import asyncio
import hmac
import ipaddress
import os
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog

from tokend.access.peer import NOBODY, Peer
from tokend.httpd.application import Application, PreparedAnswers
from tokend.httpd.connection import Connection
from tokend.httpd.fd_reserve import first_reserved
from tokend.httpd.problem import RequestError
from tokend.httpd.request import Request
from tokend.httpd.request_parser import Limits
from tokend.httpd.response import Response
from tokend.httpd.unix_socket import BACKLOG
from tokend.machine.thread_pool import Threads
from tokend.plugin.secret_reading import read_secret
from tokend.plugin.secret_source import SecretSource
from tokend.values.errors import SecretError
from tokend.values.secret import Secret

# Whoever supervises us may ask these without the secret: they tell of no token.
OPEN = frozenset((b"/livez", b"/readyz"))
CHECK_SECONDS = 0.5
CLOSE_SECONDS = 2.0
# The file is local and small; where its disk hangs nobody is let in.
SECRET_SECONDS = 5.0
_HOST = re.compile(r"(localhost|127\.[0-9.]+|\[::1\])(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
_BEARER = re.compile(rb"bearer +(.*)", re.IGNORECASE | re.DOTALL)


class LoopbackServer:
    """HTTP on one loopback address, from `start` to `close`.

    ``source`` tells where the secret is now; without one, or where it cannot be read, nobody is let in. ``port`` may
    be 0, and is what the kernel chose after `start`.
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
    ) -> None:
        self._api = application
        self.application: Application = self
        self.answers: PreparedAnswers | None = (
            None  # the secret is checked with each request, so no request text is remembered
        )
        self.host, self.port = host, port
        self.limits = limits or Limits()
        self.closing = False
        self._log = structlog.get_logger("tokend.api")
        self._source = source
        self._threads = threads
        self._trouble: str | None = None
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._connections: set[Connection] = set()
        self._left = asyncio.Event()

    async def start(self) -> None:
        """Listen. Raises OSError, naming the address; nothing is left behind then."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            sock = socket.create_server((self.host, self.port), family=family, backlog=BACKLOG)
        except OSError as error:
            where = f"[{self.host}]" if ":" in self.host else self.host
            raise OSError(f"cannot listen on {where}:{self.port}: {os.strerror(error.errno or 0)}") from None
        self.port = sock.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: LoopbackConnection(self), sock=sock, backlog=BACKLOG)
        self._sweeper = asyncio.create_task(self._sweep())
        self._log.info("loopback.listening", host=self.host, port=self.port)

    async def close(self, *, grace_seconds: float = CLOSE_SECONDS) -> None:
        """Stop listening, give due answers ``grace_seconds``, close every connection."""
        self.closing = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close_soon()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                while self._connections:
                    self._left.clear()
                    await self._left.wait()
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)

    # -------------------------------------------------------------- what its connections ask

    def admits(self, descriptor: int) -> bool:
        """Tell whether there is room for one more connection."""
        if descriptor >= first_reserved() or len(self._connections) >= self.limits.max_connections:
            self.log_denial(NOBODY, "too many connections to the loopback port")
            return False
        return True

    def replace(self, arrival: object, connection: Connection) -> None:  # noqa: ARG002  # nothing arrives bare here
        """Note a new connection."""
        self._connections.add(connection)

    def leave(self, connection: Connection) -> None:
        """Strike out a connection that is closed."""
        self._connections.discard(connection)
        self._left.set()

    async def respond(self, request: Request) -> Response:
        """Answer any request. Without the secret the answer says nothing about tokens."""
        try:
            self._refuse_foreign(request)
            if request.target.partition(b"?")[0] not in OPEN:
                await self._ask_for_secret(request)
        except RequestError as error:
            return self.refuse(NOBODY, error)
        return await self._api.respond(request)

    def refuse(self, peer: Peer, error: RequestError) -> Response:
        """Answer a request that is not let in or cannot be read."""
        return self._api.refuse(peer, error)

    def log_denial(self, peer: Peer, detail: str) -> None:
        """Write the audit line of a connection that was closed unanswered."""
        self._api.log_denial(peer, detail)

    # -------------------------------------------------------------- who is let in

    def _refuse_foreign(self, request: Request) -> None:
        """Raise unless the request was meant for this machine, by the name that the client knows us by."""
        match = _HOST.fullmatch(request.header(b"host") or "")
        # The absolute form (to a proxy) has a name of its own, which may be another.
        ours = match is not None and request.target.startswith(b"/") and int(match[2] or 80) == self.port
        if match is not None and match[1].startswith("127."):
            try:
                ipaddress.IPv4Address(match[1])
            except ValueError:
                ours = False
        if not ours:
            text = f"Host must be localhost, 127.0.0.1 or [::1], with port {self.port}"
            raise RequestError(403, "denied", text)

    async def _ask_for_secret(self, request: Request) -> None:
        """Raise unless the request carries the secret, raw or as a bearer token."""
        given = (request.header(b"authorization") or "").encode("latin-1")
        if given:
            expected = await self._secret()
            bearer = _BEARER.fullmatch(given)
            candidates = [given] if bearer is None else [given, bearer[1]]
            # All of them, whatever the first one says: the time tells nothing.
            found = [hmac.compare_digest(one, expected.reveal_bytes()) for one in candidates]
            if any(found):
                return
        how = "is wrong" if given else "is missing"
        raise _unauthorized(f"the secret of the loopback port {how}: send Authorization: Bearer SECRET")

    async def _secret(self) -> Secret:
        source = self._source()
        if source is None:
            raise _unauthorized("the loopback port is not configured any more, and ends with the next restart")
        try:
            secret = await self._threads.run(partial(read_secret, source), seconds=SECRET_SECONDS)
        except SecretError as error:
            self._complain(error.detail)
        except TimeoutError:
            self._complain(f"{source} could not be read in time")
        else:
            self._trouble = None
            return secret
        # Where it is, is the administrator's affair.
        raise _unauthorized("the daemon cannot read the secret of the loopback port; its log has the details")

    def _complain(self, trouble: str) -> None:
        # Once, not at each request.
        if trouble != self._trouble:
            self._log.error("loopback.no_secret", detail=trouble)
            self._trouble = trouble

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            now = asyncio.get_running_loop().time()
            for connection in list(self._connections):
                connection.check(now)


class LoopbackConnection(Connection):
    """One TCP connection: nothing of it is remembered."""

    def __init__(self, server: LoopbackServer) -> None:
        super().__init__(server, NOBODY, replaces=None, received=b"", unsent=b"")
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._server.admits(transport.get_extra_info("socket").fileno()):
            super().connection_made(transport)
        else:
            self._closing = True
            transport.abort()  # type: ignore[attr-defined]  # a stream transport


def _unauthorized(detail: str) -> RequestError:
    return RequestError(401, "denied", detail, headers=(("WWW-Authenticate", "Bearer"),))
