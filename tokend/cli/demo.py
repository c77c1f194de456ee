"""``tokend demo``: the whole of tokend in half a minute, on loopback, with no account anywhere.

The sandbox and the daemon run as real processes; every line is printed after the thing it says was seen to happen.
"""

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
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from tokend.client import Lease, TokenClient, TokendError

T = TypeVar("T")

# Each scene has its own patience: the slowest waits for a refresh that comes at half of a 20 s life.
PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.1
HELD = ("topstepx", "tt", "partner")

CONFIG = """\
# Written by `tokend demo`. The upstreams are the sandbox, lives are short, every secret is fake.
[daemon]
socket = "tokend.sock"
state_directory = "state"

[providers.topstepx]                 # a login: ProjectX / TopstepX
kind = "projectx"
base_url = "{url}"
username = {{ file = "secrets/projectx-username" }}
api_key = {{ file = "secrets/projectx-key" }}

[[providers.topstepx.sinks]]
kind = "dotenv"
path = "out/bot.env"
key = "JWT_TOKEN"

[[providers.topstepx.sinks]]
kind = "json"
path = "out/topstepx.json"

[providers.tt]                       # Trading Technologies REST
kind = "tt"
base_url = "{url}"
environment = "uat"
api_key = {{ file = "secrets/tt-key" }}
api_secret = {{ file = "secrets/tt-secret" }}
app_name = "Demo"
company_name = "YourCompany"

[[providers.tt.sinks]]
kind = "json"
path = "out/tt_token.json"
layout = "tt"

[providers.partner]                  # a JWT signed on this machine
kind = "jwt"
secret = {{ file = "secrets/partner" }}
ttl = "15s"
claims = {{ clientId = "sandbox-client" }}

[[providers.partner.sinks]]
kind = "raw"
path = "out/partner.jwt"

[providers.wallet]                   # on demand: one JWT per payment
kind = "request-jwt"
key = {{ file = "secrets/wallet-key" }}
secret = {{ file = "secrets/wallet-secret" }}

[providers.login-links]              # on demand: one single-use login link per user
kind = "auth-token"
base_url = "{url}"
client_secret = {{ file = "secrets/xerve" }}
"""
# The sandbox's own defaults.
SECRETS = {
    "projectx-username": "sandbox-user",
    "projectx-key": "sandbox-projectx-key",
    "tt-key": "sandbox-tt-key",
    "tt-secret": "sandbox-tt-secret",
    "partner": "sandbox-partner-secret",
    "wallet-key": "sandbox-wallet-key",
    "wallet-secret": "sandbox-wallet-secret",
    "xerve": "sandbox-xerve-secret",
}
ORDER = {"currency": "BTC", "amount": "0.001", "orderId": "12345"}
USER = {"clientId": "CLIENT_001", "username": "demo", "displayName": "Demo User", "ipAddress": "127.0.0.1"}


class DemoFailedError(Exception):
    """Something that the demo shows did not happen."""


@dataclass
class Stage:
    """Where the demo plays: its directory, its processes, and how it speaks."""

    directory: Path
    started: float = field(default_factory=time.monotonic)
    url: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def client(self) -> TokenClient:
        """The daemon's socket, as any program would use it."""
        return TokenClient(socket=str(self.directory / "tokend.sock"))

    def say(self, mark: str, who: str, what: str) -> None:
        """Print one line: when, about whom, what was seen."""
        colour = {"✓": "green", "!": "yellow", "✗": "red"}.get(mark)
        elapsed = time.monotonic() - self.started
        click.echo(f"{elapsed:5.1f}s {click.style(mark, fg=colour)} {who:<12} {what}", color=_wants_colour())

    def until(self, what: str, look: Callable[[], T | None]) -> T:
        """Look until there is something; raises `DemoFailedError` when patience ends."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for process in self.processes:
                if process.poll() is not None:
                    raise DemoFailedError(f"a process of the demo ended early with status {process.returncode}")
            if (found := look()) is not None:
                return found
            time.sleep(LOOK_SECONDS)
        raise DemoFailedError(f"waited {PATIENCE_SECONDS:.0f} s in vain: {what}")


@click.command()
@click.option("--keep", is_flag=True, help="Leave the directory (configuration, tokens, log) when done.")
@click.option("--seconds", type=click.IntRange(10, 3600), default=60, show_default=True,
              help="On a terminal: go on showing refreshes until so many seconds have passed.")  # fmt: skip
def command(keep: bool, seconds: int) -> None:
    """Show tokend at work against a sandbox of its five upstreams.

    Needs no account and no network: everything runs on this machine, in a new temporary directory, with fake
    secrets. Ends by itself, or at Ctrl-C. Exit status 0 only if everything it showed really happened.
    """
    directory = Path(tempfile.mkdtemp(prefix="tokend-demo-"))
    stage = Stage(directory)
    with ExitStack() as stack:
        if keep:
            stack.callback(lambda: click.echo(f"Left for you to look at: {directory}"))
        else:
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
        stack.callback(_stop, stage)
        # Whoever ends the demo politely ends its processes too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            _play(stage)
            if sys.stdout.isatty():
                _go_on(stage, seconds)
        except KeyboardInterrupt:
            click.echo("\nStopped.")
        except (DemoFailedError, TokendError, OSError) as error:
            stage.say("✗", "demo", str(error))
            log = directory / "tokend.log"
            if log.exists():
                click.echo("The daemon's last lines:\n" + "\n".join(log.read_text().splitlines()[-10:]), err=True)
            sys.exit(1)


def _play(stage: Stage) -> None:
    """All scenes, in order."""
    _start_sandbox(stage)
    _start_daemon(stage)
    first = {name: _show_arrival(stage, name) for name in HELD}
    _show_files(stage)
    _show_use(stage)
    _show_on_demand(stage)
    for name in ("topstepx", "partner"):
        _show_refresh(stage, name, first[name].generation)
    _show_wrong_secret(stage)
    stage.say("✓", "demo", "everything shown above really happened")


def _start_sandbox(stage: Stage) -> None:
    port_file = stage.directory / "sandbox.port"
    options = ["--port", "0", "--port-file", str(port_file), "--ttl", "20s", "--tt-ttl", "40s"]
    _spawn(stage, "sandbox", [sys.executable, "-m", "tokend.sandbox", *options])

    def read_port() -> int | None:
        return int(text) if port_file.exists() and (text := port_file.read_text().strip()) else None

    stage.url = f"http://127.0.0.1:{stage.until('the sandbox listens', read_port)}"
    stage.say("✓", "sandbox", f"five upstreams play at {stage.url}")


def _start_daemon(stage: Stage) -> None:
    (stage.directory / "secrets").mkdir(mode=0o700)
    (stage.directory / "out").mkdir()
    for name, value in SECRETS.items():
        _write_secret(stage, name, value)
    config = stage.directory / "config.toml"
    config.write_text(CONFIG.format(url=stage.url))
    stage.say("✓", "config", f"written to {config}: three held tokens, two on demand")
    _spawn(stage, "tokend", [sys.executable, "-m", "tokend", "run", "--config", str(config)])
    stage.until("the daemon answers", lambda: _quietly(stage.client.list))
    stage.say("✓", "daemon", f"serves {stage.directory / 'tokend.sock'}")


def _show_arrival(stage: Stage, name: str) -> Lease:
    lease = stage.until(f"a token for {name}", lambda: _quietly(lambda: stage.client.get(name)))
    stage.say("✓", name, f"token arrived: {_describe(stage, name)}")
    return lease


def _show_files(stage: Stage) -> None:
    for name, file, extract in (
        ("topstepx", "bot.env", lambda text: text.strip().removeprefix("JWT_TOKEN=")),
        ("topstepx", "topstepx.json", lambda text: json.loads(text)["access_token"]),
        ("tt", "tt_token.json", lambda text: json.loads(text)["access_token"]),
        ("partner", "partner.jwt", lambda text: text),
    ):
        path = stage.directory / "out" / file

        def same(path: Path = path, extract: Callable[[str], str] = extract, name: str = name) -> bool | None:
            return (path.exists() and extract(path.read_text()) == stage.client.get(name).access_token) or None

        stage.until(f"{path} holds the token of {name}", same)
        stage.say(
            "✓", name, f"written to out/{file}, mode {path.stat().st_mode & 0o777:04o}, same token as the socket's"
        )


def _show_use(stage: Stage) -> None:
    status, _ = _call(stage.url + "/portfolio", stage.client.get("partner").headers)
    _expect(status == 200, f"the partner API answered {status}")
    stage.say("✓", "partner", "GET /portfolio accepted it: 200")


def _show_on_demand(stage: Stage) -> None:
    path = "/api/wallet/transfer"
    payment = stage.client.issue("wallet", url=path, **ORDER)
    status, _ = _call(stage.url + path, payment.headers, ORDER)
    _expect(status == 200, f"the wallet answered {status}")
    stage.say("✓", "wallet", "issued a JWT that hashes the order; the wallet accepted the payment: 200")
    status, _ = _call(stage.url + path, payment.headers, {**ORDER, "amount": "1000"})
    _expect(status == 401, f"the wallet answered {status} to another order")
    stage.say("✓", "wallet", "the same JWT with another amount: 401, as it should be")
    link = str(stage.client.issue("login-links", **USER).extra["loginLink"])
    path = link[link.index("/login/") :]
    status, _ = _call(stage.url + path)
    _expect(status == 200, f"the login link answered {status}")
    stage.say("✓", "login-links", "issued a single-use login link; it logged the user in: 200")
    status, _ = _call(stage.url + path)
    _expect(status >= 400, f"the used link answered {status}")
    stage.say("✓", "login-links", f"the same link again: {status}, it is used up")


def _show_refresh(stage: Stage, name: str, generation: int | None) -> None:
    def newer() -> bool | None:
        return True if (stage.client.get(name).generation or 0) > (generation or 0) else None

    stage.until(f"{name} is refreshed", newer)
    stage.say("✓", name, f"refreshed by itself: {_describe(stage, name)}")


def _show_wrong_secret(stage: Stage) -> None:
    _write_secret(stage, "projectx-key", "a-wrong-key")
    stage.say("!", "topstepx", "a wrong api_key was put into secrets/projectx-key")
    _quietly(lambda: stage.client.refresh("topstepx"))
    row = stage.until("topstepx is rejected", lambda: _row(stage, "topstepx", "rejected"))
    stage.say("!", "topstepx", f"state rejected: {row['last_error']['detail']}; no timer asks again")
    others = [name for name in HELD if name != "topstepx"]
    _expect(all(_row(stage, name, "valid") for name in others), "another provider was disturbed")
    stage.say("✓", "others", f"{', '.join(others)} noticed nothing")
    _write_secret(stage, "projectx-key", SECRETS["projectx-key"])
    stage.say("!", "topstepx", "the api_key was mended; nobody restarted anything")
    stage.until("topstepx recovers", lambda: _row(stage, "topstepx", "valid"))
    stage.say("✓", "topstepx", f"recovered: {_describe(stage, 'topstepx')}")


def _go_on(stage: Stage, seconds: int) -> None:
    """Show further refreshes until the time is up."""
    left = seconds - (time.monotonic() - stage.started)
    if left <= 1:
        return
    click.echo(f"Watching for {left:.0f} more seconds (Ctrl-C ends it) …")
    seen = {name: stage.client.get(name).generation for name in HELD}
    while time.monotonic() - stage.started < seconds:
        for name in HELD:
            lease = _quietly(lambda name=name: stage.client.get(name))  # type: ignore[misc]
            if lease is not None and lease.generation != seen[name]:
                seen[name] = lease.generation
                stage.say("✓", name, f"refreshed by itself: {_describe(stage, name)}")
        time.sleep(LOOK_SECONDS)


def _describe(stage: Stage, name: str) -> str:
    row = _row(stage, name)
    if row is None:
        raise DemoFailedError(f"{name} is not in the status")
    left = float(row["seconds_left"] or 0)
    return f"fingerprint {row['fingerprint']}, generation {row['generation']}, {left:.0f} s left"


def _row(stage: Stage, name: str, state: str | None = None) -> Mapping[str, Any] | None:
    status = _quietly(stage.client.status)
    rows = [] if status is None else status["tokens"]
    return next((row for row in rows if row["name"] == name and state in (None, row["state"])), None)


def _quietly(call: Callable[[], T]) -> T | None:
    """What the daemon answers, None while it cannot."""
    try:
        return call()
    except (TokendError, OSError):
        return None


def _expect(happened: bool, otherwise: str) -> None:
    if not happened:
        raise DemoFailedError(otherwise)


def _call(url: str, headers: Mapping[str, str] | None = None, body: object = None) -> tuple[int, bytes]:
    """One request to the sandbox, by loopback and nothing else."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=dict(headers or {}))  # noqa: S310  (our own sandbox)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE_SECONDS) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def _write_secret(stage: Stage, name: str, value: str) -> None:
    path = stage.directory / "secrets" / name
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(value + "\n")
    new.replace(path)


def _spawn(stage: Stage, name: str, argv: list[str]) -> None:
    """Start one process of the demo; what it prints goes to a log beside the configuration."""
    inherited = {"NOTIFY_SOCKET", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY", "TOKEND_CONFIG"}
    environ = {key: value for key, value in os.environ.items() if key not in inherited}
    with (stage.directory / f"{name}.log").open("wb") as log:
        stage.processes.append(
            subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, start_new_session=True
            )
        )


def _stop(stage: Stage) -> None:
    for process in reversed(stage.processes):
        process.terminate()
    for process in stage.processes:
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wants_colour() -> bool | None:
    return False if "NO_COLOR" in os.environ else None
