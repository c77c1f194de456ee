"""The real daemon as a process of its own, in a directory of its own, beside a sandbox of its upstreams."""

import http.client
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from tests.daemon.tables import DAEMON, SECRETS
from tokend.sandbox import Options, Sandbox, start

T = TypeVar("T")
# Longer than anything here takes on a busy machine; only a failing test waits for it.
PATIENCE_SECONDS = 20.0
_COUNT = itertools.count()


def until(look: Callable[[], T | Literal[False] | None], what: str = "it", *, seconds: float = PATIENCE_SECONDS) -> T:
    """Look until there is something true, and return it; what fails meanwhile by AssertionError or OSError is no."""
    deadline, trouble = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
        except (AssertionError, OSError, http.client.HTTPException) as error:
            trouble = error
        threading.Event().wait(0.01)
    raise AssertionError(f"waited {seconds:g} s in vain for {what}") from trouble


def loopback_address(port: int = 9464) -> str:
    """A host and port of 127.0.0.0/8 for a program that needs one to listen at: no other test has them.

    A free port of 127.0.0.1 could be taken by any other program until then.
    """
    return f"127.{random.SystemRandom().randint(1, 254)}.{os.getpid() % 250}.{next(_COUNT) % 250 + 1}:{port}"


@dataclass(frozen=True)
class Response:
    """A whole answer, with lower-case header names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass
class Daemon:
    """One running daemon. ``notes`` are the datagrams that systemd would have got, in order; ``stored`` is what it
    would keep of the descriptors that came with them, to be passed to the next one."""

    home: "Home"
    process: "subprocess.Popen[bytes]"
    notes: list[str] = field(default_factory=list)
    heard_at: float = field(default_factory=time.monotonic)
    stored: list[tuple[str, int]] = field(default_factory=list)

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> Response:
        """Make one request on a connection of its own; header names are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            body = json.dumps(body)
            sent["Content-Type"] = "application/json"
        connection = _UnixConnection(self.home.socket)
        try:
            connection.request(method, target, body=body, headers=sent)
            reply = connection.getresponse()
            return Response(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
        finally:
            connection.close()

    def get(self, target: str, **headers: str) -> Response:
        return self.ask("GET", target, **headers)

    def lease(self, name: str) -> dict[str, Any]:
        """The valid token of ``name``; AssertionError while there is none."""
        answer = self.get(f"/v1/tokens/{name}")
        assert answer.status == 200, answer.body
        return dict(answer.json)

    def status(self) -> dict[str, Any]:
        return dict(self.get("/v1/status").json)

    def row(self, name: str) -> dict[str, Any]:
        """One token's status; empty if there is none of that name."""
        return next((row for row in self.status()["tokens"] if row["name"] == name), {})

    def settled(self) -> "Daemon":
        """Wait until every required token is valid and in every required sink."""
        until(lambda: self.get("/readyz").status == 200, "readyz")
        return self

    def quiet(self) -> "Daemon":
        """Wait until no datagram has come for longer than the daemon collects changes of its status."""
        until(lambda: time.monotonic() - self.heard_at > 1.3, "silence")
        return self

    def log(self, event: str | None = None) -> list[str]:
        """What it has written so far: all lines, or those of one event."""
        lines = self.home.log.read_text().splitlines()
        return [line for line in lines if event is None or f"event={event}" in line]

    def noted(self, start: str) -> int:
        """How many datagrams began so."""
        return sum(note.startswith(start) for note in list(self.notes))

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM, *, seconds: float = PATIENCE_SECONDS) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


@dataclass
class Home:
    """A directory with a configuration, secrets and a place for token files; and what runs in it."""

    path: Path
    sandbox: Sandbox
    environ: dict[str, str] = field(default_factory=dict)
    daemons: list[Daemon] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def socket(self) -> Path:
        return self.path / "run" / "t.sock"

    @property
    def log(self) -> Path:
        return self.path / "log"

    def text(self, *tables: str, url: str | None = None, daemon: str = DAEMON) -> str:
        """A configuration of these providers."""
        return daemon + "".join(tables).format(url=url or self.sandbox.url)

    def write(self, *tables: str, url: str | None = None, daemon: str = DAEMON) -> None:
        """Put a configuration of these providers in place, atomically as a good editor does."""
        self.save(self.config, self.text(*tables, url=url, daemon=daemon))

    @staticmethod
    def save(path: Path, text: str) -> None:
        new = path.with_name(f".{path.name}.new")
        new.write_text(text)
        new.chmod(0o600)
        new.replace(path)

    def secret(self, name: str, value: str) -> None:
        self.save(self.path / "s" / name, value + "\n")

    def out(self, name: str) -> Path:
        return self.path / "out" / name

    def requests(self, vendor: str) -> int:
        """How many requests the vendor has got."""
        return int(self.sandbox.stage.journal.report()["counts"].get(vendor, 0))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "tokend", *arguments]

    def run(
        self, *arguments: str, seconds: float = PATIENCE_SECONDS, **environ: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run one command of tokend to its end."""
        return subprocess.run(
            self.command(*arguments),
            capture_output=True, text=True, check=False, timeout=seconds, cwd=self.path,
            env={**_environ(), **self.environ, "TOKEND_SOCKET": str(self.socket), **environ},
        )  # fmt: skip

    def start(
        self,
        *tables: str,
        ready: bool = True,
        wrap: tuple[str, ...] = (),
        passing: Sequence[tuple[str, int]] = (),
        **environ: str,
    ) -> Daemon:
        """Start a daemon (with these providers, or with the configuration as it stands) and wait for READY=1.

        ``passing`` are descriptors by name, passed as systemd does.
        """
        if tables:
            self.write(*tables)
        heard = self.path / f"n{len(self.daemons)}"
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(str(heard))
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*wrap, *_passing(passing), *self.command("run", "--config", str(self.config))],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.path, start_new_session=True,
                pass_fds=[descriptor for _, descriptor in passing],
                env={**_environ(), "NOTIFY_SOCKET": str(heard), **self.environ, **environ},
            )  # fmt: skip
        daemon = Daemon(self, process)
        self.daemons.append(daemon)
        threading.Thread(target=_listen, args=(notify, daemon), daemon=True).start()
        if ready:
            until(lambda: daemon.noted("READY=1") or process.poll() is not None, "READY=1")
            assert process.poll() is None, self.log.read_text()
        return daemon


def _listen(notify: socket.socket, daemon: Daemon) -> None:
    with notify:
        notify.settimeout(0.1)
        ended = False
        while True:
            try:
                note, descriptors, *_ = socket.recv_fds(notify, 4096, 8)
                _store(daemon, note.decode(), descriptors)
                daemon.notes.append(note.decode())
                daemon.heard_at = time.monotonic()
            except TimeoutError:
                if ended:
                    return
                ended = daemon.process.poll() is not None  # once more: the last words may be on their way


def _store(daemon: Daemon, note: str, descriptors: list[int]) -> None:
    """Keep or drop descriptors as systemd's store does."""
    told = dict(line.partition("=")[::2] for line in note.splitlines())
    if "FDSTORE" in told:
        daemon.stored += [(told["FDNAME"], descriptor) for descriptor in descriptors]
    elif "FDSTOREREMOVE" in told:
        for kept in [kept for kept in daemon.stored if kept[0] == told["FDNAME"]]:
            os.close(kept[1])
            daemon.stored.remove(kept)


def _passing(passing: Sequence[tuple[str, int]]) -> list[str]:
    """A command before the daemon's, that puts the descriptors where systemd puts them."""
    if not passing:
        return []
    code = (
        "import os, sys\n"
        f"high = [os.dup2(one, 100 + one) for one in {[descriptor for _, descriptor in passing]}]\n"
        "for index, one in enumerate(high): os.dup2(one, 3 + index); os.close(one)\n"
        f"os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='{len(passing)}',\n"
        f"    LISTEN_FDNAMES={':'.join(name for name, _ in passing)!r})\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    return [sys.executable, "-c", code]


def _environ() -> dict[str, str]:
    return {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH") if key in os.environ}


@contextmanager
def at_home(**options: Any) -> Iterator[Home]:
    """A home with its sandbox; whatever runs in it is killed at the end, and the directory is gone."""
    path = Path(tempfile.mkdtemp(prefix="tk-"))
    with start(Options(**options)) as sandbox:
        home = Home(path, sandbox)
        (path / "s").mkdir(mode=0o700)
        (path / "out").mkdir()
        for name, value in SECRETS.items():
            home.secret(name, value)
        try:
            yield home
        finally:
            for daemon in home.daemons:
                if daemon.process.poll() is None:
                    daemon.process.send_signal(signal.SIGCONT)
                    daemon.process.kill()
                daemon.process.wait()
                for _, descriptor in daemon.stored:
                    os.close(descriptor)
            shutil.rmtree(path, ignore_errors=True)


def metric(daemon: Daemon, name: str) -> float:
    """The value of one series, as Prometheus would read it."""
    match = re.search(rf"^{re.escape(name)} (\S+)$", daemon.get("/metrics").body.decode(), re.MULTILINE)
    assert match is not None, name
    return float(match[1])
