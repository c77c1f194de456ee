"""Fake daemon on a Unix socket: reads one request per connection, then gives the next scripted answer."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.cli.running import PATIENCE_SECONDS, short_directory

# Bytes to send, or a function that handles the connection and whose result does not matter.
Answer = bytes | Callable[[socket.socket], object]


@dataclass
class FakeDaemon:
    """Where it listens, and the requests that it has read."""

    path: str
    requests: list[bytes] = field(default_factory=list)

    def heads(self) -> list[str]:
        """The first line of each request."""
        return [request.split(b"\r\n")[0].decode() for request in self.requests]


@contextmanager
def answering(*answers: Answer) -> Iterator[FakeDaemon]:
    """Answer the first connection with the first answer, and so on; the last one is repeated."""
    with short_directory() as directory, socket.socket(socket.AF_UNIX) as server:
        fake = FakeDaemon(str(directory / "a.sock"))
        server.bind(fake.path)
        server.listen()
        thread = threading.Thread(target=_serve, args=(server, fake, answers))
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()


def problem(status: int, code: str, detail: str = "why") -> bytes:
    """A problem document as an answer."""
    body = f'{{"status": {status}, "code": "{code}", "detail": "{detail}"}}'.encode()
    return http(body, status=status, content_type="application/problem+json")


def http(body: bytes, *, status: int = 200, content_type: str = "application/json") -> bytes:
    """A whole answer."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _serve(server: socket.socket, fake: FakeDaemon, answers: tuple[Answer, ...]) -> None:
    for number in range(1_000_000):
        try:
            connection, _ = server.accept()
        except OSError:
            return
        answer = answers[min(number, len(answers) - 1)]
        with connection:
            connection.settimeout(PATIENCE_SECONDS)
            try:
                fake.requests.append(_request(connection))
                if isinstance(answer, bytes):
                    connection.sendall(answer)
                else:
                    answer(connection)
            except OSError:
                continue  # the client gave up, as some tests want it to


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (part := connection.recv(65536)):
            raise ConnectionError("the client left")
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while lengths and len(body) < int(lengths[0]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def silence_of(path: Path) -> None:
    """Make a file that is a socket, but nobody's."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
