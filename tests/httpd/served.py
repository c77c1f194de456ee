"""A real server on a real Unix socket with uvloop in a thread of its own, and a blunt client for it."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import structlog
import uvloop
from structlog.testing import capture_logs

from tests.api.fake_engine import FakeEngine
from tokend.access.peer import Peer, identify
from tokend.access.policy import AccessPolicy
from tokend.api.routes import Router
from tokend.api.token_api import TokenApi
from tokend.httpd.request_parser import Limits
from tokend.httpd.unix_server import SocketServer
from tokend.httpd.unix_socket import SocketFile
from tokend.values.status import ConfigStatus, PluginStatus

T = TypeVar("T")
# Longer than anything here takes on a busy machine; only a failing test waits for it.
PATIENCE_SECONDS = 10.0
LOADED_AT = datetime(2025, 1, 1, tzinfo=UTC)
# Of the life before this one.
LAST_EVENT = 1_000_000


@dataclass
class Reply:
    """One parsed answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        assert self.headers["content-type"] == "application/problem+json"
        problem = self.json
        assert problem["status"] == self.status
        assert problem["type"]
        assert problem["title"]
        assert problem["detail"]
        return str(problem["code"])


class Client:
    """A raw connection: sends the given bytes, reads answers by Content-Length."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_SECONDS)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self, *, head_only: bool = False) -> Reply:
        line = self.file.readline()
        assert line.startswith(b"HTTP/1.1 "), line
        headers: dict[str, str] = {}
        while (header := self.file.readline()) not in (b"\r\n", b""):
            name, _, value = header.decode().partition(":")
            headers[name.lower()] = value.strip()
        assert headers.get("cache-control") == "no-store" or int(line.split()[1]) < 200
        size = 0 if head_only else int(headers.get("content-length", "0"))
        return Reply(int(line.split()[1]), headers, self.file.read(size))

    def ends(self) -> bool:
        """Read to the end of the connection; True if nothing more came."""
        try:
            return self.file.read() == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class Served:
    """A running server with its engine."""

    path: Path
    engine: FakeEngine
    server: SocketServer
    service: TokenApi
    loop: asyncio.AbstractEventLoop
    config_error: str | None = None
    restart_needed: tuple[str, ...] = ()
    plugins: tuple[PluginStatus, ...] = ()
    left_out: frozenset[str] = frozenset()

    def client(self) -> Client:
        return Client(self.path)

    def ask(self, method: str, target: str, *, body: Any = None, **headers: str) -> Reply:
        """Send one request on a connection of its own; header names are written with underscores."""
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
        data = b""
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers.setdefault("Content_Type", "application/json")
            lines.append(f"Content-Length: {len(data)}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        with self.client() as client:
            client.send("\r\n".join([*lines, "", ""]).encode("latin-1") + data)
            return client.reply(head_only=method == "HEAD")

    def get(self, target: str, **headers: str) -> Reply:
        return self.ask("GET", target, **headers)

    def post(self, target: str, body: Any = None, **headers: str) -> Reply:
        return self.ask("POST", target, body=body, **headers)

    def inside(self, call: Callable[[], T]) -> T:
        """Run ``call`` in the server's loop and return its result."""

        async def run() -> T:
            return call()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(PATIENCE_SECONDS)


def eventually(condition: Callable[[], bool]) -> bool:
    """Poll until the condition holds; False if it never did."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.01)
    return True


@contextmanager
def logged() -> Iterator[list[Any]]:
    """Collect every log line, whatever level is configured, and put the configuration back."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(0))
    try:
        with capture_logs() as lines:
            yield lines
    finally:
        structlog.configure(**before)


@contextmanager
def served(
    directory: Path,
    engine: FakeEngine | None = None,
    *,
    limits: Limits | None = None,
    admins: tuple[str, ...] = ("root",),
    own_uid: int | None = None,
    place: SocketFile | None = None,
    sock: socket.socket | None = None,
    path: Path | None = None,
    metrics: Any = None,
    audit_reads: bool = False,
    identify: Callable[[socket.SocketType], Peer] = identify,
) -> Iterator[Served]:
    """Run a server in its own thread; everything is closed and joined at the end."""
    engine = engine or FakeEngine()
    if place is None and sock is None:
        place = SocketFile(directory / "tokend.sock")
    started: threading.Event = threading.Event()
    found: list[Served] = []
    failed: list[BaseException] = []
    stop: list[asyncio.Event] = []

    async def main() -> None:
        try:
            service = TokenApi(
                engine,
                AccessPolicy(lambda: admins, own_uid=own_uid),
                config_state=lambda: ConfigStatus(
                    LOADED_AT,
                    found[0].config_error,
                    found[0].restart_needed,
                    found[0].plugins,
                    found[0].left_out,
                ),
                metrics=metrics,
                audit_reads=audit_reads,
                last_event=LAST_EVENT,
            )
            server = SocketServer(
                Router(service),
                answers=service.answers,
                place=place,
                sock=sock,
                limits=limits,
                path_check_seconds=0.02,
                identify=identify,
            )
            await server.start()
            where = place.path if place is not None else path
            assert where is not None
            found.append(Served(where, engine, server, service, asyncio.get_running_loop()))
            stop.append(asyncio.Event())
        except BaseException as error:
            failed.append(error)
            return
        finally:
            started.set()
        await stop[0].wait()
        await server.close(grace_seconds=0.2)
        found[0].service.changes.close()

    thread = threading.Thread(target=lambda: uvloop.run(main()))
    thread.start()
    started.wait(PATIENCE_SECONDS)
    if failed:
        thread.join()
        raise failed[0]
    try:
        yield found[0]
    finally:
        found[0].loop.call_soon_threadsafe(stop[0].set)
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
