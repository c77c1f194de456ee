"""Stage of the demo: its directory, its processes, its output, and its observations."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import click

from tokend.client import TokenClient, TokendError

T = TypeVar("T")

# The slowest scene waits 10 s, for a refresh at half of a 20 s life.
PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.1
STOP_SECONDS = 5.0
# Time, mark and subject stand before the event.
EVENT_COLUMN = 22
NARROWEST_COLUMNS, WIDEST_COLUMNS = 80, 100
# With these variables the demo's daemon would use the user's real configuration, state or supervisor.
NOT_INHERITED = frozenset(
    {"CONFIGURATION_DIRECTORY", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "RUNTIME_DIRECTORY", "STATE_DIRECTORY"}
    | {"TOKEND_CONFIG", "TOKEND_SOCKET", "WATCHDOG_USEC"}
)


class DemoFailedError(Exception):
    """A scene of the demo failed."""


class Stage:
    """Directory and processes of the demo, as a context manager, which removes both at its end (unless ``keep``)."""

    def __init__(self, *, keep: bool) -> None:
        self.keep = keep
        self.directory = Path(tempfile.mkdtemp(prefix="tokend-demo-"))
        self.started = time.monotonic()
        self.url = ""  # URL of the sandbox, set when it listens
        self.client = TokenClient(socket=str(self.directory / "tokend.sock"))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        # SIGTERM must end the demo's processes, too: sys.exit runs __exit__.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes.values()):
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self.keep:
            click.echo(f"Kept: {self.directory}")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def say(self, mark: str, who: str, what: str) -> None:
        """Print one line: seconds since the start, mark, subject, event. What does not fit goes on below the event."""
        colour = {"✓": "green", "!": "yellow", "✗": "red"}.get(mark)
        elapsed = time.monotonic() - self.started
        colours = False if "NO_COLOR" in os.environ else None  # None: if it is a terminal
        width = min(shutil.get_terminal_size((NARROWEST_COLUMNS, 24)).columns, WIDEST_COLUMNS)
        lines = textwrap.wrap(what, max(width - EVENT_COLUMN, 20), break_long_words=False, break_on_hyphens=False)
        text = ("\n" + " " * EVENT_COLUMN).join(lines)
        click.echo(f"{elapsed:5.1f}s {click.style(mark, fg=colour)} {who:<12} {text}", color=colours)

    def last_lines(self) -> str:
        """Return the last lines of each process's log, to find the reason of a failure."""
        logs = sorted(self.directory.glob("*.log"))
        return "\n".join("\n".join([f"{log.name}:", *log.read_text().splitlines()[-10:]]) for log in logs)

    def until(self, what: str, look: Callable[[], T | None]) -> T:
        """Call ``look`` until it returns a value other than None. Raises `DemoFailedError` after `PATIENCE_SECONDS`."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for process in self._processes.values():
                if process.poll() is not None:
                    raise DemoFailedError(f"a process of the demo ended early with status {process.returncode}")
            with suppress(TokendError, OSError):  # not yet
                if (found := look()) is not None:
                    return found
            time.sleep(LOOK_SECONDS)
        raise DemoFailedError(f"did not happen within {PATIENCE_SECONDS:.0f} s: {what}")

    def row(self, name: str, state: str | None = None) -> Mapping[str, Any] | None:
        """Return one token's status; None if the token is in another state."""
        rows = self.client.status()["tokens"]
        return next((row for row in rows if row["name"] == name and state in (None, row["state"])), None)

    def describe(self, name: str) -> str:
        """Describe a token without its secret."""
        row = self.row(name)
        if row is None:
            raise DemoFailedError(f"{name} is not in the status")
        left = float(row["seconds_left"] or 0)
        return f"fingerprint {row['fingerprint']}, {left:.0f} s left"

    def call(self, path: str, headers: Mapping[str, str] | None = None, body: object = None) -> int:
        """Send one request to the sandbox, like an app, and return the status of the answer."""
        try:
            with self._open(path, headers, body) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code

    def read(self, path: str, headers: Mapping[str, str] | None = None, body: object = None) -> Any:
        """Send one request to the sandbox and return the JSON of the answer. Raises OSError for any other status."""
        with self._open(path, headers, body) as reply:
            return json.loads(reply.read())

    def submit(self, url: str, **fields: str | list[str]) -> None:
        """Send a form, as a browser does. Raises OSError where it is refused."""
        request = urllib.request.Request(url, data=urlencode(fields, doseq=True).encode())  # noqa: S310  (http to loopback)
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE_SECONDS).close()

    def _open(self, path: str, headers: Mapping[str, str] | None, body: object) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=dict(headers or {}))  # noqa: S310  (http to loopback)
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE_SECONDS)

    def write_secret(self, name: str, value: str) -> None:
        """Replace a secret's file atomically, with mode 0600."""
        path = self.directory / "secrets" / name
        new = path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(value + "\n")
        new.replace(path)

    def spawn(self, name: str, *arguments: str) -> None:
        """Start ``python -m`` with ``arguments``. Its output goes to the end of a log in the demo's directory."""
        environ = {key: value for key, value in os.environ.items() if key not in NOT_INHERITED}
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                start_new_session=True,  # Ctrl-C must reach only the demo, which then ends its processes in order
            )
        self._processes[name] = process

    def kill(self, name: str) -> None:
        """Kill a process that was started as ``name``."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()
