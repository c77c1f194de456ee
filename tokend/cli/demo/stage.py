"""Where the demo plays: its directory, its processes, how it speaks, and how it looks at what happened."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import click

from tokend.client import TokenClient, TokendError

T = TypeVar("T")

# The slowest scene waits for a refresh that comes at half of a 20 s life.
PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.1
STOP_SECONDS = 5.0
# What would lead the demo's daemon to somebody's real configuration, state or supervisor.
NOT_INHERITED = frozenset(
    {"CONFIGURATION_DIRECTORY", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "RUNTIME_DIRECTORY", "STATE_DIRECTORY"}
    | {"TOKEND_CONFIG", "TOKEND_SOCKET", "WATCHDOG_USEC"}
)


class DemoFailedError(Exception):
    """Something that the demo shows did not happen."""


class Stage:
    """The demo's directory and processes, from entering to leaving; then both are gone (unless ``keep``)."""

    def __init__(self, *, keep: bool) -> None:
        self.keep = keep
        self.directory = Path(tempfile.mkdtemp(prefix="tokend-demo-"))
        self.started = time.monotonic()
        self.url = ""  # the sandbox's, once it listens
        self.client = TokenClient(socket=str(self.directory / "tokend.sock"))
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        # Whoever ends the demo politely ends its processes too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self.keep:
            click.echo(f"Left for you to look at: {self.directory}")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    # -------------------------------------------------------------- speaking

    def say(self, mark: str, who: str, what: str) -> None:
        """Print one line: when, about whom, what was seen."""
        colour = {"✓": "green", "!": "yellow", "✗": "red"}.get(mark)
        elapsed = time.monotonic() - self.started
        colours = False if "NO_COLOR" in os.environ else None  # None: if it is a terminal
        click.echo(f"{elapsed:5.1f}s {click.style(mark, fg=colour)} {who:<12} {what}", color=colours)

    def last_lines(self) -> str:
        """The end of each process's log, for whoever must find out why it failed."""
        logs = sorted(self.directory.glob("*.log"))
        return "\n".join("\n".join([f"{log.name}:", *log.read_text().splitlines()[-10:]]) for log in logs)

    # -------------------------------------------------------------- looking

    def until(self, what: str, look: Callable[[], T | None]) -> T:
        """Look until there is something; raises `DemoFailedError` when patience ends."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for process in self._processes:
                if process.poll() is not None:
                    raise DemoFailedError(f"a process of the demo ended early with status {process.returncode}")
            with suppress(TokendError, OSError):  # not yet
                if (found := look()) is not None:
                    return found
            time.sleep(LOOK_SECONDS)
        raise DemoFailedError(f"waited {PATIENCE_SECONDS:.0f} s in vain: {what}")

    def row(self, name: str, state: str | None = None) -> Mapping[str, Any] | None:
        """One token's status; None if it is in another state."""
        rows = self.client.status()["tokens"]
        return next((row for row in rows if row["name"] == name and state in (None, row["state"])), None)

    def describe(self, name: str) -> str:
        """What may be shown of a token."""
        row = self.row(name)
        if row is None:
            raise DemoFailedError(f"{name} is not in the status")
        left = float(row["seconds_left"] or 0)
        return f"fingerprint {row['fingerprint']}, generation {row['generation']}, {left:.0f} s left"

    def call(self, path: str, headers: Mapping[str, str] | None = None, body: object = None) -> int:
        """Send one request to the sandbox, as an app would; the status of the answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=dict(headers or {}))  # noqa: S310  (http to loopback)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE_SECONDS) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code

    # -------------------------------------------------------------- acting

    def write_secret(self, name: str, value: str) -> None:
        """Put a secret into its file, whole, for the owner alone."""
        path = self.directory / "secrets" / name
        new = path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(value + "\n")
        new.replace(path)

    def spawn(self, name: str, *arguments: str) -> None:
        """Start ``python -m`` with ``arguments``; what it prints goes to a log beside the configuration."""
        environ = {key: value for key, value in os.environ.items() if key not in NOT_INHERITED}
        with (self.directory / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                start_new_session=True,  # Ctrl-C is for the demo alone; it ends them itself
            )
        self._processes.append(process)
