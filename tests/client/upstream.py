"""A small HTTP server on loopback that remembers what it was sent, and answers as a test says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.small_server import QuietHandler, serving


@dataclass(frozen=True)
class Heard:
    """One request, as it arrived. Header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def token(self) -> str | None:
        return self.headers.get("authorization")


@dataclass(frozen=True)
class Said:
    """One answer."""

    status: int = 200
    body: bytes = b"well"
    location: str | None = None


@dataclass
class Upstream:
    """A running server: its origin and what it heard."""

    origin: str = ""
    heard: list[Heard] = field(default_factory=list)

    def tokens(self) -> list[tuple[str, str | None]]:
        """Path and token of each request, in order."""
        return [(request.path, request.token) for request in self.heard]


@contextmanager
def upstream(answer: Callable[[Heard], Said]) -> Iterator[Upstream]:
    """Serve until the end of the block."""
    found = Upstream()

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536
        timeout = 30

        def get(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            heard = Heard(self.command, self.path, headers, self._body(headers))
            found.heard.append(heard)
            said = answer(heard)
            self.send_response(said.status)
            self.send_header("Content-Length", str(len(said.body)))
            if said.location is not None:
                self.send_header("Location", said.location)
            self.end_headers()
            self.wfile.write(said.body)

        def _body(self, headers: dict[str, str]) -> bytes:
            if headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(headers.get("content-length", "0")))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

    with serving(Handler) as found.origin:
        yield found
