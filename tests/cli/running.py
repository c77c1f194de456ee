"""A real daemon, a real sandbox, and the real command line: what the tests of `tokend.cli` and `tokend.client` use."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tokend.client import NotRunningError, TokenClient
from tokend.sandbox import Options, start

# Longer than anything takes on a busy machine; only a failing test waits for it.
PATIENCE_SECONDS = 40.0
# Anybody but root and the daemon's own uid.
SOMEBODY = 54321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

# Loopback's discard port: nothing listens, so that connecting is refused at once.
NOWHERE = "http://127.0.0.1:9"
ONE_LOGIN = """\
[daemon]
socket = "tokend.sock"
state_directory = "state"

[providers.one]
kind = "projectx"
base_url = "{url}"
username = {{ file = "secrets/projectx-username" }}
api_key = {{ file = "secrets/projectx-key" }}
"""
# Two tokens of a `jwt` provider that are minted in one second are the same token, unless each has a `jti`.
CONFIG = """\
[daemon]
socket = "tokend.sock"
socket_mode = "0666"
state_directory = "state"

[providers.topstepx]
kind = "projectx"
base_url = "{url}"
username = {{ file = "secrets/projectx-username" }}
api_key = {{ file = "secrets/projectx-key" }}

[[providers.topstepx.sinks]]
kind = "dotenv"
path = "bot.env"
key = "JWT_TOKEN"

[providers.tt]
kind = "tt"
base_url = "{url}"
environment = "uat"
api_key = {{ file = "secrets/tt-key" }}
api_secret = {{ file = "secrets/tt-secret" }}
app_name = "Test"
company_name = "YourCompany"

[[providers.tt.sinks]]
kind = "json"
path = "tt.json"

[providers.partner]
kind = "jwt"
secret = {{ file = "secrets/partner" }}
ttl = "15m"
claims = {{ clientId = "sandbox-client" }}
jti = true

[providers.private]
kind = "jwt"
secret = {{ file = "secrets/partner" }}
ttl = "15m"
claims = {{ clientId = "private" }}
jti = true
access = {{ users = ["54322"] }}

[providers.wallet]
kind = "request-jwt"
key = {{ file = "secrets/wallet-key" }}
secret = {{ file = "secrets/wallet-secret" }}

[providers.login-links]
kind = "auth-token"
base_url = "{url}"
client_secret = {{ file = "secrets/xerve" }}
sign_paths = ["GET /api/v1/get-balance", "POST /api/v1/credit-balance"]

[providers.refused]
kind = "projectx"
base_url = "{url}"
username = {{ file = "secrets/projectx-username" }}
api_key = {{ file = "secrets/wrong" }}

[providers.away]
kind = "projectx"
base_url = "{nowhere}"
username = {{ file = "secrets/projectx-username" }}
api_key = {{ file = "secrets/projectx-key" }}
"""
# The sandbox's defaults; all obviously fake.
SECRETS = {
    "projectx-username": "sandbox-user",
    "projectx-key": "sandbox-projectx-key",
    "tt-key": "sandbox-tt-key",
    "tt-secret": "sandbox-tt-secret",
    "partner": "sandbox-partner-secret",
    "wallet-key": "sandbox-wallet-key",
    "wallet-secret": "sandbox-wallet-secret",
    "xerve": "sandbox-xerve-secret",
    "wrong": "a-wrong-key",
}
# What the environment of the tests must not decide.
_FOREIGN = {
    "XDG_RUNTIME_DIR", "NOTIFY_SOCKET", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CONFIGURATION_DIRECTORY",
    "JOURNAL_STREAM", "NO_COLOR", "FORCE_COLOR",
}  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class Running:
    """A daemon that runs: its directory, and how to ask it."""

    directory: Path
    config: Path
    client: TokenClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = TokenClient(str(self.socket))

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.directory / "tokend.sock"

    def tokend(self, *arguments: str, **environ: str) -> Ended:
        """Run the command line with $TOKEND_SOCKET set."""
        return tokend(*arguments, TOKEND_SOCKET=str(self.socket), **environ)

    def row(self, name: str) -> Mapping[str, Any]:
        """A token's row of the status."""
        return next(row for row in self.client.status()["tokens"] if row["name"] == name)

    def becomes(self, name: str, state: str) -> Mapping[str, Any]:
        """Wait until a provider is in a state; returns its row."""
        assert eventually(lambda: self.row(name)["state"] == state), self.row(name)
        return self.row(name)


def environment(**environ: str) -> dict[str, str]:
    """The tests' environment without what would decide for the command."""
    own = {k: v for k, v in os.environ.items() if k not in _FOREIGN and not k.startswith("TOKEND_")}
    return {**own, **environ}


def tokend(*arguments: str, **environ: str) -> Ended:
    """Run the command line as a process of its own, to its end."""
    argv = [sys.executable, "-m", "tokend", *arguments]
    done = subprocess.run(
        argv, env=environment(**environ), capture_output=True, timeout=PATIENCE_SECONDS, stdin=subprocess.DEVNULL
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def tokend_as(uid: int, *arguments: str, **environ: str) -> Ended:
    """Run the command line as another user, who need not be able to read Python: all is imported before."""
    program = (
        "import importlib, os, sys\n"
        "from tokend.cli import commands, get, output_formats\n"
        "importlib.import_module(commands.COMMANDS[sys.argv[1]][0])\n"
        "import grp, pwd, tokend.client.tokens, tokend.__main__\n"
        f"os.setgroups([]); os.setresgid({uid}, {uid}, {uid}); os.setresuid({uid}, {uid}, {uid})\n"
        "sys.exit(tokend.__main__.main())\n"
    )
    argv = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(argv, env=environment(**environ), capture_output=True, timeout=PATIENCE_SECONDS)
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def eventually(condition: Callable[[], bool]) -> bool:
    """Poll until the condition holds; False if it never did."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.02)
    return True


@contextmanager
def short_directory() -> Iterator[Path]:
    """A new directory whose path leaves room for a socket's, and which everybody may enter."""
    directory = Path(tempfile.mkdtemp(prefix="tk-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def write_config(directory: Path, text: str, *, url: str = NOWHERE) -> Path:
    """Write secrets and a configuration into a directory; returns the configuration's path."""
    secrets = directory / "secrets"
    secrets.mkdir(mode=0o700, exist_ok=True)
    for name, value in SECRETS.items():
        (secrets / name).write_text(value + "\n")
    config = directory / "config.toml"
    config.write_text(text.format(url=url, nowhere=NOWHERE))
    return config


@contextmanager
def daemon(config: Path, *options: str) -> Iterator[Running]:
    """Run the daemon of a configuration until the end of the block."""
    running = Running(config.parent, config)
    argv = [sys.executable, "-m", "tokend", "run", "--config", str(config), *options]
    with (config.parent / "tokend.log").open("wb") as log:
        process = subprocess.Popen(argv, env=environment(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        assert eventually(lambda: process.poll() is not None or _answers(running)), _log(config)
        assert process.poll() is None, _log(config)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)


def _log(config: Path) -> str:
    return (config.parent / "tokend.log").read_text()


@contextmanager
def everything() -> Iterator[Running]:
    """A daemon with all kinds, one provider that is refused and one whose upstream is away, against a sandbox."""
    with (
        short_directory() as directory,
        start(Options(tt_interval=0.01)) as sandbox,
        daemon(write_config(directory, CONFIG, url=sandbox.url)) as running,
    ):
        for name in ("topstepx", "tt", "partner", "private"):
            running.becomes(name, "valid")
        yield running


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    """One daemon for all tests of a worker: none of them may leave it other than it was."""
    with everything() as started:
        yield started


def _answers(running: Running) -> bool:
    try:
        running.client.list()
    except NotRunningError:
        return False
    return True


def lines(text: str) -> Sequence[str]:
    """The lines of an output that ends with a newline."""
    assert text.endswith("\n"), text
    return text[:-1].split("\n")
