"""A listener on loopback for the one request with which a browser ends a login.

It takes GET with the exact path and the `Host` of the redirect, of at most 8 KiB, and answers with a page that repeats
nothing of the request. Everything else is refused, and listening goes on.
"""

import errno
import os
import queue
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

from tokend.cli.login.pages import PAGES, Page, page_bytes
from tokend.values.url import is_loopback

LARGEST_REQUEST_BYTES = 8192
# From the connection to the last byte of the head, and for the answer.
CONNECTION_SECONDS = 5.0
ANSWER_SECONDS = 60.0
LAST_PAGES_SECONDS = 2.0
MOST_CONNECTIONS = 16
_REQUEST_LINE = re.compile(rb"([A-Z]+) (/[\x21-\x7e]*) HTTP/1\.[01]", re.ASCII)
_USUAL_PORTS = {"http": 80, "https": 443}
_TEMPORARY = frozenset({errno.ECONNABORTED, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.EAGAIN})


@dataclass(slots=True)
class Arrival:
    """One address at which a browser has arrived. `answer` says which page it gets."""

    address: str
    _page: "queue.Queue[Page]" = field(default_factory=lambda: queue.Queue(1))
    # Set when the page was sent, or the browser has gone away.
    sent: threading.Event = field(default_factory=threading.Event)

    def answer(self, page: Page) -> None:
        """Show the browser a page."""
        self._page.put_nowait(page)

    def page(self) -> Page:
        """Wait for the page."""
        try:
            return self._page.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            return "later"


class RedirectListener:
    """Listen on a port of loopback. ``fileno`` is readable while an `Arrival` can be taken."""

    def __init__(self) -> None:
        self._sockets = [_bound(socket.AF_INET, "127.0.0.1", 0)]
        self.port: int = self._sockets[0].getsockname()[1]
        self._arrivals: queue.Queue[Arrival] = queue.Queue()
        self._answered: list[Arrival] = []
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._context: ssl.SSLContext | None = None
        self._hosts: frozenset[str] = frozenset()
        self._origin = self._path = ""
        self._is_closed = False

    @property
    def proposal(self) -> str:
        """The address to propose as the redirect: this listener's, at a free port."""
        return f"http://127.0.0.1:{self.port}/"

    def serve(self, redirect_uri: str, context: ssl.SSLContext | None = None) -> None:
        """Take browsers that are sent to ``redirect_uri``, by TLS with a ``context``. Raises `OSError`."""
        parts = urlsplit(redirect_uri)
        port = parts.port or _USUAL_PORTS[parts.scheme]
        host = (parts.hostname or "").lower()
        if not is_loopback(f"[{host}]" if ":" in host else host):
            raise ValueError("a redirect to another machine")
        self._rebind(host, port)
        self.port = port
        self._context, self._origin = context, f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path or "/"
        bare = parts.netloc.lower().removesuffix(f":{port}")
        # A browser leaves the usual port out.
        self._hosts = frozenset({f"{bare}:{port}", *([bare] if port == _USUAL_PORTS[parts.scheme] else ())})
        for listening in self._sockets:
            listening.listen(MOST_CONNECTIONS)
            threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._wake_reader

    def take(self) -> Arrival | None:
        """Return the next arrival; None if there is none."""
        try:
            os.read(self._wake_reader, 1)
        except BlockingIOError:
            return None
        self._answered.append(self._arrivals.get_nowait())
        return self._answered[-1]

    def close(self) -> None:
        """Stop listening. Browsers that have arrived get their pages first."""
        self._is_closed = True
        deadline = time.monotonic() + LAST_PAGES_SECONDS
        for arrival in self._answered:
            arrival.sent.wait(max(0.0, deadline - time.monotonic()))
        for listening in self._sockets:
            with suppress(OSError):  # it may not listen yet
                listening.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
            listening.close()

    # -------------------------------------------------------------- below

    def _rebind(self, host: str, port: int) -> None:
        families = {"localhost": [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]}
        wanted = families.get(host) or [(socket.AF_INET6 if ":" in host else socket.AF_INET, host)]
        kept = [one for one in self._sockets if one.getsockname()[:2] == (wanted[0][1], port)]
        for one in self._sockets:
            if one not in kept:
                one.close()
        self._sockets = kept
        for number, (family, address) in enumerate(wanted):
            if number == 0 and kept:
                continue
            try:
                self._sockets.append(_bound(family, address, port))
            except OSError:
                if number == 0:
                    raise
                # localhost may be ::1 for a browser; this machine has no IPv6, or the port is taken there.

    def _accept(self, listening: socket.socket) -> None:
        while not self._is_closed:
            self._places.acquire()  # while there is none, a browser waits in the kernel's queue
            try:
                connection, _ = listening.accept()
            except OSError as error:
                self._places.release()
                if error.errno in _TEMPORARY and not self._is_closed:
                    time.sleep(0.05)
                    continue
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(CONNECTION_SECONDS)
                if self._context is None:
                    self._converse(connection)
                else:
                    with self._context.wrap_socket(connection, server_side=True) as secured:
                        self._converse(secured)
        except (OSError, ValueError):
            return  # the browser, or a stranger, has gone away
        finally:
            self._places.release()

    def _converse(self, connection: socket.socket) -> None:
        head = _read_head(connection)
        status, target = self._judged(head)
        if target is None:
            self._send(connection, status, "refused")
            return
        arrival = Arrival(self._origin + target)
        self._arrivals.put(arrival)
        os.write(self._wake_writer, b".")
        page = arrival.page()
        try:
            self._send(connection, PAGES[page][0], page)
        finally:
            arrival.sent.set()

    def _judged(self, head: bytes | None) -> tuple[HTTPStatus, str | None]:
        """Return the target of a request that a browser may have been sent here with; else None, and the status."""
        if head is None:
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, None
        line, *headers = head.split(b"\r\n")
        match = _REQUEST_LINE.fullmatch(line)
        if match is None:
            return HTTPStatus.BAD_REQUEST, None
        pairs = (one.partition(b":") for one in headers)
        hosts = [value.strip() for name, _, value in pairs if name.lower() == b"host"]
        if len(hosts) != 1 or hosts[0].decode("latin-1").lower() not in self._hosts:
            return HTTPStatus.MISDIRECTED_REQUEST, None
        target = match[2].decode()
        if target.partition("?")[0] != self._path:
            return HTTPStatus.NOT_FOUND, None
        if match[1] != b"GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, None
        if "?" not in target:
            return HTTPStatus.BAD_REQUEST, None
        return HTTPStatus.OK, target

    def _send(self, connection: socket.socket, status: HTTPStatus, page: Page) -> None:
        connection.sendall(page_bytes(status, page))
        connection.settimeout(1.0)
        with suppress(OSError):  # the page was sent; a close with unread bytes would take it back
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


def _read_head(connection: socket.socket) -> bytes | None:
    """Read to the end of the head, within one limit of time; None if it is too long."""
    deadline = time.monotonic() + CONNECTION_SECONDS
    received = b""
    while b"\r\n\r\n" not in received:
        if len(received) > LARGEST_REQUEST_BYTES:
            return None
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        chunk = connection.recv(4096)
        if not chunk:
            raise ConnectionError
        received += chunk
    head = received.partition(b"\r\n\r\n")[0]
    return head if len(head) <= LARGEST_REQUEST_BYTES else None
