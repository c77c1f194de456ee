"""A real hand-out on a real Unix socket with uvloop in a thread of its own, and clients that only connect."""

import asyncio
import errno
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
import uvloop

from tests.api.fake_engine import FakeEngine, FakeEntry, FakeHeld
from tokend.access.policy import AccessPolicy
from tokend.credentials.raw_token_connection import Rule
from tokend.credentials.raw_token_server import Bounds, RawTokenServer
from tokend.credentials.rules import readers_rule
from tokend.httpd.unix_socket import SocketFile
from tokend.plugin.settings import Access

T = TypeVar("T")
# Longer than anything here takes on a busy machine; only a failing test waits for it.
PATIENCE_SECONDS = 10.0
MEBIBYTE = 1024 * 1024
# Any uid but root's and that of the tests.
STRANGER = 54321
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can act as other users, with setpriv"
)

# Connects (from an abstract name, if one is given in hex); says how much came, and what of it is not zero.
_CLIENT = """
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.settimeout(10)
if len(sys.argv) > 2:
    client.bind(bytes.fromhex(sys.argv[2]))
client.connect(sys.argv[1])
got = b"".join(iter(lambda: client.recv(65536), b""))
print(len(got), got.strip(bytes(1)).decode())
"""
# A policy that lets no user in.
NOBODY = Access(users=("no-such-user",))


@dataclass
class Running:
    """A running hand-out; ``failed`` is what ended it."""

    path: Path
    server: RawTokenServer
    loop: asyncio.AbstractEventLoop
    failed: list[BaseException] = field(default_factory=list)

    def inside(self, call: Callable[[], T]) -> T:
        """Run ``call`` in its loop and return the result."""

        async def run() -> T:
            return call()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(PATIENCE_SECONDS)

    @property
    def open(self) -> int:
        """How many clients it attends to."""
        return self.inside(lambda: self.server.connections)


def connected(path: Path, name: bytes | None = None) -> socket.socket:
    """A client; it connects from an abstract name as systemd does, if one is given.

    A socket that is just made refuses clients for a moment, until it listens.
    """
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE_SECONDS)
    if name is not None:
        client.bind(name)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while client.connect_ex(str(path)) == errno.ECONNREFUSED and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    client.getpeername()  # raises OSError if it is not connected
    return client


def everything(client: socket.socket) -> bytes:
    """All that comes until the end."""
    with client:
        return b"".join(iter(lambda: client.recv(65536), b""))


def given(path: Path, name: bytes | None = None) -> bytes:
    """Connect, and read to the end."""
    return everything(connected(path, name))


def from_systemd(name: str = "demo") -> bytes:
    """A name as systemd connects from, which no other test has."""
    return f"\0{secrets.token_hex(8)}/unit/bot.service/{name}".encode()


def is_refusal(got: bytes) -> bool:
    """Return whether systemd would let the unit fail: more than it accepts, and nothing in it."""
    return len(got) > MEBIBYTE and not got.strip(b"\0")


def given_to(uid: int, path: Path, name: bytes | None = None) -> tuple[int, str]:
    """The same as another user: how much came, and what of it is not zero."""
    who = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    asked = [str(path), *([] if name is None else [name.hex()])]
    # Not the tests' own interpreter, which may lie where others cannot reach.
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    done = subprocess.run([*who, python, "-c", _CLIENT, *asked], capture_output=True, text=True, check=True)
    size, _, content = done.stdout.rstrip("\n").partition(" ")
    return int(size), content


@contextmanager
def place() -> Iterator[Path]:
    """A directory with a short name that everybody can reach."""
    directory = Path(tempfile.mkdtemp(prefix="tk-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def handing_out(
    engine: FakeEngine,
    rule: Callable[[FakeEngine], Rule],
    *,
    path: Path,
    sock: socket.socket | None = None,
    mode: int = 0o666,
    bounds: Bounds | None = None,
) -> Iterator[Running]:
    """Run it in its own thread until the block ends."""
    bounds = bounds or Bounds(path_check_seconds=0.02)
    started: threading.Event = threading.Event()
    found: list[Running] = []
    failed: list[BaseException] = []
    stop: list[asyncio.Event] = []

    async def main() -> None:
        where: dict[str, Any] = {"place": SocketFile(path, mode=mode)} if sock is None else {"sock": sock}
        server = RawTokenServer(engine, rule(engine), bounds=bounds, **where)
        stop.append(asyncio.Event())
        found.append(Running(path, server, asyncio.get_running_loop(), failed))
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(serve, server, tasks)
                await stop[0].wait()
                tasks.cancel_scope.cancel()
        finally:
            started.set()

    async def serve(server: RawTokenServer, tasks: Any) -> None:
        try:
            await server.serve(started.set)
        except OSError as error:
            failed.append(error)
            tasks.cancel_scope.cancel()

    thread = threading.Thread(target=lambda: uvloop.run(main()))
    thread.start()
    assert started.wait(PATIENCE_SECONDS)
    try:
        yield found[0]
    finally:
        with suppress(RuntimeError):  # it may end by itself meanwhile, and its loop with it
            found[0].loop.call_soon_threadsafe(stop[0].set)
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def rule(engine: FakeEngine) -> Rule:
    """The peers that may read `demo`; root has no special rights here, so that it can be refused."""
    rules = AccessPolicy(lambda: (), own_uid=1)
    rules._almighty = frozenset()
    return readers_rule(engine, rules, "demo")


def without_token(engine: FakeEngine) -> FakeEntry:
    entry = engine.entries["demo"] = FakeEntry("demo", FakeHeld(), engine.clock)
    return entry
