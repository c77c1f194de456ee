"""Admission to the loopback port: the Host that the client asks for, and the port's secret.

Over TCP the kernel does not say who the peer is, so a secret stands in for identity. It is checked with each request.
Web pages in a browser reach the port too; their Host (DNS rebinding) is refused here, their Origin by the application.
"""

import asyncio
import hmac
import ipaddress
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http import HTTPStatus

import structlog

from tokend.access.peer import NOBODY, Peer
from tokend.access.socket_scope import SocketScope
from tokend.httpd.application import Application
from tokend.httpd.problem import RequestError
from tokend.httpd.request import Request
from tokend.httpd.response import Response
from tokend.machine.thread_pool import Threads
from tokend.plugin.secret_reading import read_secret
from tokend.plugin.secret_source import SecretSource
from tokend.values.errors import SecretError
from tokend.values.secret import Secret

# A supervisor may ask for these without the secret: to `WITHOUT_SECRET` they say nothing about tokens.
OPEN = frozenset((b"/livez", b"/readyz"))
# The peer of a TCP connection that has not sent the secret: it may see no token.
WITHOUT_SECRET = Peer(NOBODY.uid, NOBODY.groups, scope=SocketScope(()))
# The file is local and small; while its disk hangs, nobody is let in.
SECRET_SECONDS = 5.0
_HOST = re.compile(r"(localhost|127\.[0-9.]+|\[::1\])(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
_BEARER = re.compile(rb"bearer +(.*)", re.IGNORECASE | re.DOTALL)


# So many answers to wrong secrets a second leave at once; the others wait, for at most the longest delay.
# Right secrets never wait.
WRONG_PER_SECOND = 10
LONGEST_DELAY_SECONDS = 30.0


class WrongSecrets:
    """Rate limit of answers to wrong secrets, of all clients together: the kernel does not name them."""

    def __init__(self) -> None:
        self._next = 0.0

    def delay(self, now: float) -> float:
        """Count a wrong secret at ``now`` (monotonic seconds); return how long its answer has to wait."""
        self._next = min(max(self._next, now - 1 + 1 / WRONG_PER_SECOND), now + LONGEST_DELAY_SECONDS)
        delay = max(0.0, self._next - now)
        self._next += 1 / WRONG_PER_SECOND
        return delay


class LoopbackGuard:
    """Pass requests with the right Host and secret on to an application, and refuse all others.

    ``port`` is set when it is known. ``source`` returns where the secret is now; while it returns None or the secret
    cannot be read, nobody is let in.
    """

    def __init__(
        self, application: Application, source: Callable[[], SecretSource | None], *, threads: Threads, port: int = 0
    ) -> None:
        self._application = application
        self.port = port
        self._source = source
        self._threads = threads
        self._wrong = WrongSecrets()
        self._trouble: str | None = None
        self._log = structlog.get_logger("tokend.api")

    async def respond(self, request: Request) -> Response:
        """Answer any request. Without the secret, the answer says nothing about tokens."""
        try:
            self._check_host(request)
            await self._check_secret(request)
        except RequestError as error:
            if error.status != HTTPStatus.UNAUTHORIZED or request.target.partition(b"?")[0] not in OPEN:
                return self.refuse(NOBODY, error)
            request = replace(request, peer=WITHOUT_SECRET)
        return await self._application.respond(request)

    async def require_secret(self) -> None:
        """Raise OSError unless the secret can be read now: without one the port would serve nobody."""
        source = self._source()
        if source is None:
            raise OSError("the loopback port has no listen_secret: set it in [daemon]")
        try:
            await self._threads.run(partial(read_secret, source), seconds=SECRET_SECONDS)
        except SecretError as error:
            raise OSError(f"the loopback port is off: listen_secret: {error.detail}") from None
        except TimeoutError:
            raise OSError(f"the loopback port is off: {source} could not be read in time") from None

    def refuse(self, peer: Peer, error: RequestError) -> Response:
        """Answer a request that is refused here or cannot be read."""
        return self._application.refuse(peer, error)

    def log_denial(self, peer: Peer, detail: str) -> None:
        """Write the audit line of a connection that was closed unanswered."""
        self._application.log_denial(peer, f"{detail} to the loopback port")

    def _check_host(self, request: Request) -> None:
        """Raise `RequestError` unless the client asked for this machine and this port by name."""
        match = _HOST.fullmatch(request.header(b"host") or "")
        # The absolute form (to a proxy) has a host of its own, which may be another.
        ours = match is not None and request.target.startswith(b"/") and int(match[2] or 80) == self.port
        if match is not None and match[1].startswith("127."):
            try:
                ipaddress.IPv4Address(match[1])
            except ValueError:
                ours = False
        if not ours:
            text = f"Host must be localhost, 127.0.0.1 or [::1], with port {self.port}"
            raise RequestError(403, "denied", text)

    async def _check_secret(self, request: Request) -> None:
        """Raise `RequestError` unless the request carries the secret, raw or as a bearer token."""
        given = (request.header(b"authorization") or "").encode("latin-1")
        if given:
            expected = await self._secret()
            bearer = _BEARER.fullmatch(given)
            candidates = [given] if bearer is None else [given, bearer[1]]
            # All candidates are compared, so that the time does not depend on the first one.
            found = [hmac.compare_digest(one, expected.reveal_bytes()) for one in candidates]
            if any(found):
                return
            await asyncio.sleep(self._wrong.delay(asyncio.get_running_loop().time()))
        how = "is wrong" if given else "is missing"
        raise _unauthorized(f"the secret of the loopback port {how}: send Authorization: Bearer SECRET")

    async def _secret(self) -> Secret:
        source = self._source()
        if source is None:
            raise _unauthorized("the loopback port is not configured any more, and ends with the next restart")
        try:
            secret = await self._threads.run(partial(read_secret, source), seconds=SECRET_SECONDS)
        except SecretError as error:
            self._log_failure(error.detail)
        except TimeoutError:
            self._log_failure(f"{source} could not be read in time")
        else:
            self._trouble = None
            return secret
        # The place of the secret is for the administrator only.
        raise _unauthorized("the daemon cannot read the secret of the loopback port; its log has the details")

    def _log_failure(self, trouble: str) -> None:
        """Log why the secret cannot be read, once and not with each request."""
        if trouble != self._trouble:
            self._log.error("loopback.no_secret", detail=trouble)
            self._trouble = trouble


def _unauthorized(detail: str) -> RequestError:
    return RequestError(401, "denied", detail, headers=(("WWW-Authenticate", "Bearer"),))
