"""Processes of a soak: the daemon, its upstream, the readers; and the configuration, which is changed all the time."""

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

from tests.soak import plan
from tests.soak.plan import Plan, Provider

PATIENCE_SECONDS = 60.0
ENDING_SECONDS = 30.0
PER_FILE = 100
MAIN = """\
include = ["conf.d/*.toml"]

[daemon]
socket = "t.sock"
state_directory = "state"
log_format = "logfmt"
"""
HELD = """
[providers.{name}]
kind = "{kind}"
{own}
refresh_before = "50%"
timeout = "{timeout}s"
{more}
[[providers.{name}.sinks]]
{sink}
"""
ON_DEMAND = """
[providers.{name}]
kind = "{kind}"
{own}
timeout = "{timeout}s"
"""
# What each kind needs.
OWN = {
    "projectx": 'base_url = "{url}"\nusername = {{ env = "SOAK_USER" }}\napi_key = {key}',
    "tt": 'base_url = "{url}"\nenvironment = "uat"\napi_key = {key}\napi_secret = {{ env = "SOAK_SECRET" }}\n'
    'app_name = "soak"\ncompany_name = "soak"',
    "jwt": 'secret = {{ env = "SOAK_SIGNING_KEY" }}\nttl = "{life}s"\nclaims = {{ sub = "{name}" }}',
    "auth-token": 'base_url = "{url}"\nclient_secret = {{ env = "SOAK_SECRET" }}\nexpiration = "1m"',
}
ENVIRON = {
    "SOAK_USER": "soak-user",
    "SOAK_KEY": plan.GOOD_KEY,
    "SOAK_SECRET": plan.SECRET,
    "SOAK_SIGNING_KEY": plan.SIGNING_KEY.decode(),
}
SINKS = {
    "json": 'kind = "json"\npath = "../out/{file}"',
    "raw": 'kind = "raw"\npath = "../out/{file}"',
    "template": 'kind = "template"\npath = "../out/{file}"\ntemplate = "begin\\n{{{{ access_token }}}}\\nend"',
    "dotenv": 'kind = "dotenv"\npath = "../out/{file}"\nkey = "{key}"',
}


class SoakError(Exception):
    """Something that the soak needs did not happen."""


class Stage:
    """The directory of a soak, its processes, and its daemon's socket."""

    def __init__(self, soak: Plan) -> None:
        self.soak = soak
        self.home = soak.home
        self.port = self.runs = 0
        self.daemon: subprocess.Popen[bytes]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run upstream and daemon. Both are ended at the end, and waited for."""
        for name in ("out", "conf.d", "secrets"):
            (self.home / name).mkdir(parents=True)
        self.soak.save()
        with self.process("upstream", "-m", "tests.soak.upstream", str(self.home)) as upstream:
            self.wait((self.home / "port").exists, upstream, "the upstream")
            self.port = int((self.home / "port").read_text())
            self.configure()
            try:
                self.start()
                yield
            finally:
                self.end(signal.SIGTERM)

    def start(self) -> None:
        """Start the daemon, and wait until it answers."""
        self.daemon = self._launch("daemon", "-m", "tokend", "run", "--config", str(self.home / "config.toml"))
        self.runs += 1
        self.wait(lambda: self.ask("GET", "/livez")[0] == 200, self.daemon, "the daemon")

    def end(self, how: signal.Signals) -> int:
        """End the daemon; gives its exit code."""
        return _end(self.daemon, how)

    def readers(self) -> AbstractContextManager["subprocess.Popen[bytes]"]:
        """Run the readers for as long as the context lasts."""
        return self.process("readers", "-m", "tests.soak.readers", str(self.home))

    @contextmanager
    def process(self, name: str, *argv: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a Python process for as long as the context lasts."""
        process = self._launch(name, *argv)
        try:
            yield process
        finally:
            _end(process, signal.SIGTERM)

    def _launch(self, name: str, *argv: str) -> "subprocess.Popen[bytes]":
        """Start a Python process that writes to ``NAME.out``."""
        with (self.home / f"{name}.out").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | ENVIRON,
                # As a service has it: where the kernel shares processors out by session, it has a share of its own.
                start_new_session=True,
            )

    def wait(self, condition: Callable[[], bool], process: "subprocess.Popen[bytes]", what: str) -> None:
        """Poll until the condition holds. Raises `SoakError` where that takes too long, or the process has ended."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                if condition():
                    return
            except OSError:
                pass
            if process.poll() is not None or time.monotonic() > deadline:
                raise SoakError(f"waited in vain for {what}")
            time.sleep(0.05)

    # -------------------------------------------------------------- the daemon's socket

    def ask(self, method: str, target: str) -> tuple[int, bytes]:
        """Make one request."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(PATIENCE_SECONDS)
            asking.connect(str(self.home / "t.sock"))
            asking.sendall(f"{method} {target} HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n".encode())
            with asking.makefile("rb") as file:
                head, _, body = file.read().partition(b"\r\n\r\n")
        if not head:
            raise ConnectionError("it was closed without an answer")
        return int(head.split()[1]), body

    def rows(self) -> dict[str, dict[str, object]]:
        """The list of all tokens, by name."""
        return {row["name"]: row for row in json.loads(self.ask("GET", "/v1/tokens")[1])["tokens"]}

    # -------------------------------------------------------------- the configuration

    def configure(self) -> None:
        """Write it for the first time."""
        (self.home / "config.toml").write_text(MAIN)
        providers = self.soak.providers()
        for number, start in enumerate(range(0, len(providers), PER_FILE)):
            text = "".join(self.table(provider) for provider in providers[start : start + PER_FILE])
            self.save(f"{number:03d}.toml", text)
        revocable = self.soak.revocable()
        for provider in revocable:
            self.secret(provider, plan.GOOD_KEY)
        self.save("revocable.toml", "".join(self.table(provider) for provider in revocable))
        self.save("on-demand.toml", self.table(self.soak.on_demand()))

    def table(self, provider: Provider, *, name: str | None = None, more: str = "") -> str:
        """One provider's table; ``name`` instead of its own."""
        key = f'{{ file = "../secrets/{provider.name}" }}' if provider.is_revocable else '{ env = "SOAK_KEY" }'
        own = OWN[provider.kind].format(
            name=provider.name, url=f"http://{provider.address}:{self.port}", key=key, life=provider.life_seconds
        )
        return (ON_DEMAND if provider.is_on_demand else HELD).format(
            name=name or provider.name,
            kind=provider.kind,
            own=own,
            timeout=int(plan.TIMEOUT_SECONDS),
            more=more,
            sink=SINKS[provider.sink].format(file=provider.file, key=provider.key),
        )

    def save(self, name: str, text: str) -> None:
        """Put a part of the configuration in place, atomically."""
        _replace(self.home / "conf.d" / name, text)

    def drop(self, name: str) -> None:
        """Take a part of the configuration away."""
        (self.home / "conf.d" / name).unlink()

    def secret(self, provider: Provider, key: str) -> None:
        """Give a revocable provider another key."""
        _replace(self.home / "secrets" / provider.name, key)


def _end(process: "subprocess.Popen[bytes]", how: signal.Signals) -> int:
    process.send_signal(how)
    try:
        return process.wait(ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.chmod(0o600)
    new.rename(path)
