"""A real HTTP server on loopback that answers as a store does, and misbehaves at the request that a test names.

A test that fails because the server has a bug shows the server's exception: see `PlayedServer.close`.
"""

import gzip
import json
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tokend.values.errors import SinkError, SinkRejectedError, SinkUnavailableError

# A peer that sends nothing for so long has forgotten the connection.
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Asked:
    """One request. ``path`` is raw, with its query; header names are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """One answer; a body that is no bytes is sent as JSON, None as none at all."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def whole(self) -> bytes:
        """The bytes of the answer."""
        body = (
            b"" if self.body is None else self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        )
        own = {} if self.status == 204 else {"Content-Length": str(len(body))}
        own |= {"Content-Type": "application/json"} if body else {}
        lines = "".join(f"{name}: {value}\r\n" for name, value in (own | dict(self.headers)).items())
        return f"HTTP/1.1 {self.status} Said\r\n{lines}\r\n".encode("latin-1") + body


@dataclass(frozen=True)
class Fault:
    """What happens instead of an answer. ``send`` gets the connection, and the request whose secrets it may echo.

    ``acts``: the store executes the request first. ``means`` is the error that the sink must raise; None: it may raise
    any `SinkError`, or go on. ``hangs``: it lasts until the sink's own limit.
    """

    send: Callable[[socket.socket, Asked], None]
    acts: bool = False
    means: type[SinkError] | None = SinkError
    hangs: bool = False


class PlayedServer:
    """The server; ``answer`` is the store. ``fault`` is played once, after ``fault_after`` further requests."""

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[Asked] = []
        self.connections = 0
        self.fault: Fault | None = None
        self.fault_after = 0
        self._bugs: list[Exception] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def play(self, fault: Fault | None, *, after: int = 0) -> None:
        """Let the next request but ``after`` meet the fault."""
        with self._lock:
            self.fault, self.fault_after = fault, after

    @property
    def open_now(self) -> int:
        """How many connections are open."""
        with self._lock:
            return len(self._open)

    def close_connections(self) -> None:
        """End all connections, as a server does with those that are idle."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop, and raise what went wrong in here."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.close_connections()
        self._thread.join()
        if self._bugs:
            raise AssertionError("the played store failed") from self._bugs[0]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE_SECONDS)
        try:
            with connection, connection.makefile("rb") as reader, suppress(OSError):
                while (asked := _read(reader)) is not None:
                    if not self._serve_one(connection, asked):
                        return
        except Exception as error:
            self._bugs.append(error)
        finally:
            with self._lock:
                self._open.discard(connection)

    def _serve_one(self, connection: socket.socket, asked: Asked) -> bool:
        with self._lock:
            self.requests.append(asked)
            fault = self.fault if self.fault_after == 0 else None
            self.fault_after -= self.fault is not None and fault is None
            if fault is not None:
                self.fault = None
            answer = self._answer(asked) if fault is None or fault.acts else Answer()
        if fault is not None:
            fault.send(connection, asked)
            return False
        connection.sendall(answer.whole())
        return asked.headers.get("connection", "").lower() != "close"


def _read(reader: Any) -> Asked | None:
    first = reader.readline()
    if not first:
        return None
    method, path, _ = first.decode("latin-1").split(" ", 2)
    headers = {}
    while (line := reader.readline().strip()) != b"":
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return Asked(method, path, headers, reader.read(int(headers.get("content-length", "0"))))


# ------------------------------------------------------------------ the faults


def _silent(connection: socket.socket, asked: Asked) -> None:
    connection.recv(1)


def _nothing(connection: socket.socket, asked: Asked) -> None:
    """Close without an answer."""


def _bytes(raw: bytes) -> Callable[[socket.socket, Asked], None]:
    return lambda connection, asked: connection.sendall(raw)


def _for_ever(begin: bytes, again: bytes) -> Callable[[socket.socket, Asked], None]:
    def send(connection: socket.socket, asked: Asked) -> None:
        connection.sendall(begin)
        while True:
            connection.sendall(again)

    return send


def _dripping(connection: socket.socket, asked: Asked) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
    pause = threading.Event()
    while True:
        connection.sendall(b" ")
        pause.wait(0.01)


def _echoing(status: int, headers: Mapping[str, str] | None = None) -> Callable[[socket.socket, Asked], None]:
    """An error whose body has everything that was sent, and what would move a terminal's cursor."""

    def send(connection: socket.socket, asked: Asked) -> None:
        said = repr((asked.headers, asked.body)) + "\x1b[2J\r\nsecond line"
        body = {"message": said, "error": said, "errors": [{"message": said, "extensions": {"code": said}}]}
        connection.sendall(Answer(status, body, headers or {}).whole())

    return send


def _body(body: bytes, *, status: int = 200, kind: str = "application/json") -> Callable[[socket.socket, Asked], None]:
    return _bytes(Answer(status, body, {"Content-Type": kind}).whole())


def _redirect(status: int) -> Callable[[socket.socket, Asked], None]:
    def send(connection: socket.socket, asked: Asked) -> None:
        # To the store itself: a client that follows is seen there.
        place = f"http://{asked.headers['host']}/elsewhere"
        connection.sendall(Answer(status, None, {"Location": place}).whole())

    return send


# An answer that is no JSON object, or an object without what any store would say.
GARBAGE: dict[str, bytes] = {
    "html": b"<html><body>Please sign in to the guest network</body></html>",
    "nothing": b"",
    "half": b'{"data": {',
    "list": b"[]",
    "null": b"null",
    "true": b"true",
    "text": b'"fine"',
    "number": b"12",
    "empty object": b"{}",
    "nan": b'{"data": NaN, "version": Infinity}',
    "deep": b'{"data": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "digits": b'{"data": {"version": ' + b"9" * 5000 + b"}}",
    "twice": b'{"data": {"version": 1}, "data": {"version": 2}}',
    "utf-16": '{"data": {}}'.encode("utf-16"),
    "surrogate": b'{"data": {"version": "\\ud800"}}',
    "wrong types": b'{"data": [1], "errors": 7, "metadata": "x", "value": {}, "version": [], "key": 5, "key_id": null}',
    "other wrong types": b'{"data": {"data": 5, "metadata": [], "version": true}, "errors": "x", "version": {}}',
}  # fmt: skip

FAULTS: dict[str, Fault] = {
    "silent": Fault(_silent, means=SinkUnavailableError, hangs=True),
    "silent after it acted": Fault(_silent, acts=True, means=SinkUnavailableError, hangs=True),
    "dripping": Fault(_dripping, means=SinkUnavailableError, hangs=True),
    "closed": Fault(_nothing),
    "answer lost": Fault(_nothing, acts=True),
    "cut in the head": Fault(_bytes(b"HTTP/1.1 20"), acts=True),
    "cut in the body": Fault(_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"), acts=True),
    "cut in a chunk": Fault(_bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"), acts=True),
    "another protocol": Fault(_bytes(b"SSH-2.0-OpenSSH\r\n\r\n")),
    "huge body": Fault(_for_ever(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536)),
    "huge head": Fault(_for_ever(b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 1000 + b"\r\n")),
    "flood of 1xx": Fault(_for_ever(b"", b"HTTP/1.1 102 Processing\r\n\r\n")),
    "gzip": Fault(_bytes(Answer(200, gzip.compress(b"{}"), {"Content-Encoding": "gzip"}).whole()), acts=True),
    "204 with a body": Fault(_bytes(b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}"), acts=True, means=None),
    **{f"redirect {status}": Fault(_redirect(status)) for status in (301, 302, 303, 307, 308)},
    **{f"status {status}": Fault(_echoing(status), means=SinkRejectedError) for status in (401, 403)},
    "status 429": Fault(_echoing(429, {"Retry-After": "7"}), means=SinkUnavailableError),
    "status 503": Fault(_echoing(503, {"Retry-After": "7"}), means=SinkUnavailableError),
    **{f"status {status}": Fault(_echoing(status)) for status in (400, 402, 407, 418, 500, 502, 504)},
    # A kind may have a meaning for these.
    **{f"status {status}": Fault(_echoing(status), means=None) for status in (404, 405, 409, 410, 412, 413, 422)},
    **{f"body: {name}": Fault(_body(body), acts=True, means=None) for name, body in GARBAGE.items()},
}
