"""An upstream that misbehaves: a ProjectX login on a blocking socket, one thread per connection, and any answer at all.

The sandbox's vendors are true to their documentation; this one is true to nothing.
"""

import contextlib
import itertools
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

# Only a failing test waits that long for a client.
PATIENCE_SECONDS = 60.0


@dataclass
class Talk:
    """One connection, from its first byte on."""

    sock: socket.socket
    upstream: "Upstream"

    def request(self) -> bytes:
        """Read the whole request; b"" where the client went away."""
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := self.sock.recv(65536)):
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while len(body) < sum(lengths):
            body += self.sock.recv(65536)
        self.upstream.requests.append(head + b"\r\n\r\n" + body)
        return head

    def say(self, *parts: bytes) -> None:
        self.sock.sendall(b"".join(parts))

    def gone(self) -> None:
        """Return when the client has hung up."""
        _drain(self.sock)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def _drain(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while sock.recv(65536):
            pass


Behaviour = Callable[[Talk], None]


@dataclass
class Upstream:
    """What listens. ``behaviour`` is what each connection gets; it may be changed at any time."""

    behaviour: Behaviour
    listening: socket.socket
    tls: ssl.SSLContext | None = None
    scheme: str = "http"
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def port(self) -> int:
        return int(self.listening.getsockname()[1])

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def serve(self) -> None:
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                sock, _ = self.listening.accept()
                self.connections += 1
                threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    def _talk(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock.settimeout(PATIENCE_SECONDS)
            if self.tls is not None:
                sock = self._handshake(self.tls, sock)
            with sock:
                self.behaviour(Talk(sock, self))

    @staticmethod
    def _handshake(tls: ssl.SSLContext, sock: socket.socket) -> socket.socket:
        with sock.dup() as kept:
            try:
                return tls.wrap_socket(sock, server_side=True)
            except ssl.SSLError:
                # Closed with a request unread, the connection would be reset, and our alert lost with it.
                _drain(kept)
                raise


@contextlib.contextmanager
def upstream(
    behaviour: Behaviour, *, tls: ssl.SSLContext | None = None, listening: socket.socket | None = None
) -> Iterator[Upstream]:
    """Serve on loopback, or on ``listening``, until the end of the block."""
    listening = listening or socket.create_server(("127.0.0.1", 0), backlog=1024)
    made = Upstream(behaviour, listening, tls, "http" if tls is None else "https")
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)  # wakes accept
        listening.close()
        thread.join(PATIENCE_SECONDS)


def grant(upstream: Upstream, *, minutes: float = 60.0) -> bytes:
    """The body of a login that succeeded; each has another token."""
    token = f"obviously-fake-{next(upstream.numbers)}"
    return json.dumps({"token": token, "success": True, "errorCode": 0, "expiresIn": minutes}).encode()


def response(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole answer."""
    lines = (b"Content-Type: application/json", b"Content-Length: %d" % len(body), *headers)
    return b"HTTP/1.1 " + status + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def kind(talk: Talk) -> None:
    """Grant a valid token."""
    if talk.request():
        talk.say(response(grant(talk.upstream)))


def living(minutes: float) -> Behaviour:
    """Grant tokens that live for so long."""

    def behave(talk: Talk) -> None:
        if talk.request():
            talk.say(response(grant(talk.upstream, minutes=minutes)))

    return behave


def silent(talk: Talk) -> None:
    """Read the request, and never answer."""
    talk.request()
    talk.gone()


def saying(*parts: bytes) -> Behaviour:
    """Read the request, and say these bytes and nothing else."""

    def behave(talk: Talk) -> None:
        talk.request()
        talk.say(*parts)

    return behave


def provider(name: str, url: str, *more: str) -> str:
    """The tables of a provider that logs in at ``url`` and writes ``out/NAME``; ``more`` are lines of its table."""
    lines = "\n".join(more)
    return f"""
[providers.{name}]
kind = "projectx"
base_url = "{url}"
username = {{{{ file = "s/px-user" }}}}
api_key = {{{{ file = "s/px-key" }}}}
{lines}

[[providers.{name}.sinks]]
kind = "raw"
path = "out/{name}"
"""
