"""What the benchmark runs: the two C programs, the sandbox, and the daemon with one provider of each kind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

HERE = Path(__file__).parent
# For each thing that is waited for; far beyond what a busy machine needs.
PATIENCE_SECONDS = 30.0
# The token that is read: its JSON has about 1 KB.
READ = "tt"
HELD = ("topstepx", "tt", "partner")
TOKEND = (sys.executable, "-m", "tokend")

CONFIG = """\
[daemon]
socket = "tokend.sock"
state_directory = "state"

[providers.topstepx]
kind = "projectx"
base_url = "{url}"
username = {{ env = "PROJECTX_USER" }}
api_key = {{ env = "PROJECTX_KEY" }}

[[providers.topstepx.sinks]]
kind = "dotenv"
path = "bot.env"
key = "JWT_TOKEN"

[providers.tt]
kind = "tt"
base_url = "{url}"
environment = "uat"
api_key = {{ env = "TT_KEY" }}
api_secret = {{ env = "TT_SECRET" }}
app_name = "Bench"
company_name = "YourCompany"

[[providers.tt.sinks]]
kind = "json"
path = "tt_token.json"

[providers.partner]
kind = "jwt"
secret = {{ env = "PARTNER_SECRET" }}
ttl = "12h"
claims = {{ clientId = "sandbox-client" }}

[[providers.partner.sinks]]
kind = "raw"
path = "partner.jwt"

[providers.wallet]
kind = "request-jwt"
key = {{ env = "WALLET_KEY" }}
secret = {{ env = "WALLET_SECRET" }}

[providers.login-links]
kind = "auth-token"
base_url = "{url}"
client_secret = {{ env = "CLIENT_SECRET" }}
"""
# The sandbox's own defaults; nothing here is a secret.
ENVIRON = {
    "PROJECTX_USER": "sandbox-user",
    "PROJECTX_KEY": "sandbox-projectx-key",
    "TT_KEY": "sandbox-tt-key",
    "TT_SECRET": "sandbox-tt-secret",
    "PARTNER_SECRET": "sandbox-partner-secret",
    "WALLET_KEY": "sandbox-wallet-key",
    "WALLET_SECRET": "sandbox-wallet-secret",
    "CLIENT_SECRET": "sandbox-xerve-secret",
}


class BenchError(Exception):
    """Something that the benchmark needs did not happen."""


def build(directory: Path) -> None:
    """Compile the load generator and the reference server."""
    for name in ("load", "reference"):
        subprocess.run(["cc", "-O2", "-o", str(directory / name), str(HERE / f"{name}.c")], check=True)


@contextmanager
def running(directory: Path, *argv: str, environ: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a directory; it is ended and waited for in the end. What it says is shown if it fails."""
    with (directory / "output.txt").open("w+b") as output:
        process = subprocess.Popen(argv, cwd=directory, env=environ, stdout=output, stderr=output)
    try:
        yield process
    except BenchError:
        sys.stderr.write((directory / "output.txt").read_text()[-4000:])
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)


@contextmanager
def sandbox(directory: Path) -> Iterator[str]:
    """Run the five vendors; yields their address."""
    port_file = directory / "port"
    with running(directory, *TOKEND, "sandbox", "--port-file", str(port_file)) as process:
        wait_for(process, port_file.exists)
        yield f"http://127.0.0.1:{port_file.read_text().strip()}"


def configure(directory: Path, url: str) -> None:
    """Write the daemon's configuration."""
    (directory / "config.toml").write_text(CONFIG.format(url=url))


def daemon(directory: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Run the daemon of a configured directory."""
    return running(directory, *TOKEND, "run", "--config", "config.toml", environ={**os.environ, **ENVIRON})


def wait_for(process: subprocess.Popen[bytes], condition: Callable[[], bool], *, pause_seconds: float = 0.01) -> None:
    """Poll until the condition holds; raises if the process ends first, or too much time passes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if process.poll() is not None:
            raise BenchError(f"{process.args!r} ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise BenchError(f"{process.args!r} was not ready within {PATIENCE_SECONDS:.0f} s")
        time.sleep(pause_seconds)


def answer(path: Path, target: str) -> tuple[int, bytes] | None:
    """Ask once; status and body, or None if nobody answers yet."""
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        asking.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        with asking.makefile("rb") as file:
            head, _, body = file.read().partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def all_valid(path: Path) -> bool:
    """Tell whether every held token is there."""
    found = answer(path, "/v1/status")
    if found is None:
        return False
    rows = {row["name"]: row for row in json.loads(found[1])["tokens"]}
    return all(rows[name]["valid"] for name in HELD)


def resident_megabytes(pid: int) -> float:
    """What a process has in memory now (VmRSS)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise BenchError(f"process {pid} is gone")
