"""A daemon with logins that rotate, beside a server that is the witness; it is killed and started again."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cli.running import PATIENCE_SECONDS, Running, environment, eventually
from tokend.client import NotRunningError
from tokend.sandbox import Options, Sandbox, start
from tokend.sandbox.faults import Behaviour

LOGINS = 5
TOKEN = "/oauth2/token"
_HEAD = """
[daemon]
socket = "tokend.sock"
state_directory = "state"
"""
_TABLE = """
[providers.{name}]
kind = "oauth2"
grant = "refresh_token"
token_url = "{url}/oauth2/token"
client_id = "sandbox-oauth2-client"
client_secret = {{ file = "secret" }}
refresh_token = {{ file = "{name}.first" }}
audience = ["{name}"]
timeout = "30s"
"""


@dataclass
class Daemons:
    """Lives of daemons with one configuration, one after the other."""

    directory: Path
    sandbox: Sandbox
    names: list[str] = field(default_factory=lambda: [f"p{number}" for number in range(LOGINS)])
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def running(self) -> Running:
        """What asks the daemon."""
        return Running(self.directory, self.directory / "config.toml")

    def configure(self, *, grant: bool = True, more: str = "") -> None:
        """Write the tables, with ``more`` keys; grant first, unless another daemon uses the same logins."""
        text = _HEAD
        for name in self.names:
            first = f"fake-first-{name}"
            if grant:
                self.sandbox.stage.oauth2.grant(None, first)
            self._write(f"{name}.first", first)
            text += _TABLE.format(name=name, url=self.sandbox.url) + more
        self._write("secret", "sandbox-oauth2-secret")
        (self.directory / "config.toml").write_text(text)

    def begin(self) -> None:
        """Start a daemon."""
        argv = [sys.executable, "-m", "tokend", "run", "--config", str(self.directory / "config.toml")]
        with (self.directory / "tokend.log").open("ab") as log:
            self.process = subprocess.Popen(argv, env=environment(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    @property
    def pid(self) -> int:
        """The daemon's process."""
        assert self.process is not None
        return self.process.pid

    def end(self, number: int) -> int:
        """Send a signal and wait for the end; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def states(self) -> list[str]:
        """The state of each provider; empty while no daemon answers."""
        try:
            return [row["state"] for row in self.running.client.status()["tokens"]]
        except NotRunningError:
            return []

    def become(self, state: str) -> None:
        """Wait until all providers are in a state."""
        wanted = [state] * len(self.names)
        assert eventually(lambda: self.states() == wanted), (self.states(), self.log())

    def log(self) -> str:
        """What the daemons have logged."""
        return (self.directory / "tokend.log").read_text()

    # ------------------------------------------------------------ the server

    def meet(self, mode: str | None, **more: Any) -> None:
        """Let each POST for a token meet a fault; None ends it."""
        fault = None if mode is None else Behaviour(mode, path=TOKEN, **more)
        self.sandbox.stage.faults.set("oauth2", fault)

    def all_wait(self) -> None:
        """Wait until each login's request has come, and nobody has an answer."""
        journal = self.sandbox.stage.journal
        assert eventually(lambda: journal.report()["open"].get("oauth2") == len(self.names)), self.log()

    def all_are_executed(self) -> None:
        """Wait until the server has executed each login's request, whether or not it has answered."""
        assert eventually(lambda: len(self.exchanges()) == len(self.names)), self.log()

    def exchanges(self) -> list[dict[str, Any]]:
        """What the server did with each refresh token that it was sent, in order; its first own grant is not used."""
        entries = self.sandbox.stage.journal.entries("oauth2")
        found = [{**entry.detail, "at": entry.time} for entry in entries if entry.method == "POST"]
        return sorted((one for one in found if "grant" in one), key=lambda one: float(one["at"]))

    def harmless(self) -> int:
        """The number of requests that could harm nothing."""
        return sum(entry.method == "GET" for entry in self.sandbox.stage.journal.entries("oauth2"))

    def ended(self) -> list[str]:
        """Why grants have ended."""
        return [one["ended"] for one in self.sandbox.stage.oauth2.report() if one["ended"] is not None]

    def _write(self, name: str, value: str) -> None:
        path = self.directory / name
        path.write_text(value)
        path.chmod(0o600)


@contextmanager
def daemons(directory: Path, **options: Any) -> Iterator[Daemons]:
    """A server with such options, and no daemon yet. A daemon that runs at the end is killed."""
    with start(Options(**options)) as sandbox:
        made = Daemons(directory, sandbox)
        made.configure()
        try:
            yield made
        finally:
            made.meet(None)
            if made.process is not None and made.process.poll() is None:
                made.end(signal.SIGKILL)
