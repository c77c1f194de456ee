"""A daemon's socket with hand-made logins, and the command line beside it."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.api.fake_engine import FakeEngine
from tests.cli.running import environment
from tests.httpd.served import Served, eventually, served
from tokend.engine.logins.login_session import LoginSession
from tokend.values.errors import WrongAddressError

PATIENCE_SECONDS = 30.0
NEUTRAL = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "SSH_CONNECTION": "", "SUDO_UID": "", "SUDO_USER": "", "BROWSER": ""}


@dataclass
class Command:
    """A `tokend login` that runs, on a pseudo-terminal of its own or with a pipe as standard input."""

    process: subprocess.Popen[bytes]
    master: int
    shown: str = ""

    def shows(self, text: str) -> str:
        """Read until ``text`` was shown; returns everything so far."""
        while text not in self.shown:
            ready, _, _ = select.select([self.master], [], [], PATIENCE_SECONDS)
            assert ready, f"{text!r} is not in {self.shown!r}"
            try:
                chunk = os.read(self.master, 65536)
            except OSError:  # of a pseudo-terminal whose other side was closed
                chunk = b""
            assert chunk, f"{text!r} is not in {self.shown!r}"
            self.shown += chunk.decode(errors="replace").replace("\r\n", "\n")
        return self.shown

    def types(self, text: str) -> None:
        """Type, or paste, on the terminal."""
        os.write(self.master, text.encode())

    def ends(self) -> int:
        """Wait for the end; returns the exit code. `shown` is complete then."""
        while True:
            ready, _, _ = select.select([self.master], [], [], PATIENCE_SECONDS)
            assert ready, self.shown
            try:
                chunk = os.read(self.master, 65536)
            except OSError:
                chunk = b""
            if not chunk:
                return self.process.wait(PATIENCE_SECONDS)
            self.shown += chunk.decode(errors="replace").replace("\r\n", "\n")

    @property
    def listening_at(self) -> str:
        """The address at which the command waits for the browser."""
        self.shows("Or paste the address")
        return self.shown.partition("tokend waits for the browser at ")[2].partition("\n")[0]


@dataclass
class Logging:
    """The server, its engine, and the commands."""

    server: Served
    began: list[Any] = field(default_factory=list)

    @property
    def session(self) -> LoginSession:
        assert eventually(lambda: self.server.engine.logins.session is not None)
        session = self.server.engine.logins.session
        assert session is not None
        return session

    def refuse_wrong_states(self) -> None:
        """Let the fake logins look at the state, as a kind does."""
        logins = self.server.engine.logins
        finish = logins.finish

        async def checked(name: str, login_id: str, *, uid: int, redirected_to: str) -> LoginSession:
            if "state=fake-state" not in redirected_to:
                raise WrongAddressError("this address belongs to another login")
            return await finish(name, login_id, uid=uid, redirected_to=redirected_to)

        logins.finish = checked  # type: ignore[method-assign]

    @contextmanager
    def login(self, *arguments: str, **environ: str) -> Iterator[Command]:
        """Run `tokend login demo` on a terminal of 100 columns."""
        with command(self.server.path, "login", "demo", *arguments, **environ) as running:
            yield running

    def end(self, state: Any, **more: Any) -> None:
        """End the login as the daemon would."""
        session = self.session
        self.server.inside(lambda: session.end(state, **more))


@contextmanager
def command(socket: Path, *arguments: str, **environ: str) -> Iterator[Command]:
    """Run a command on a pseudo-terminal, with no display and no ssh unless ``environ`` says so."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "tokend", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(TOKEND_SOCKET=str(socket), **{**NEUTRAL, **environ}),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    try:
        yield Command(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def browse(address: str) -> tuple[int, str]:
    """Open an address as a browser would; returns status and page."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=PATIENCE_SECONDS) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@contextmanager
def logging_in(directory: Path) -> Iterator[Logging]:
    """Serve a token `demo`, for whose login the fake logins answer."""
    engine = FakeEngine()
    engine.hold("demo")
    engine.offer("wallet")
    with served(directory, engine) as server:
        yield Logging(server)


@pytest.fixture
def logins(tmp_path: Path) -> Iterator[Logging]:
    """The token `demo` and its hand-made logins."""
    with logging_in(tmp_path) as made:
        yield made
