"""Processes of the benchmark: the two C programs, the sandbox, and the daemon with one provider of each kind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.daemon.tables import ALL_KINDS, DAEMON, SECRETS

HERE = Path(__file__).parent
# For each thing that is waited for; far beyond what a busy machine needs.
PATIENCE_SECONDS = 30.0
# The token that is read: its JSON has about 1 KB.
READ = "tt"
# Where the daemon of `configure` listens, below its directory.
SOCKET = Path("run/t.sock")
TOKEND = (sys.executable, "-m", "tokend")


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
def sandbox(directory: Path, *options: str) -> Iterator[str]:
    """Run the five vendors; yields their address."""
    port_file = directory / "port"
    with running(directory, *TOKEND, "sandbox", "--port-file", str(port_file), *options) as process:
        wait_for(process, port_file.exists)
        # A real upstream is elsewhere: this one must not take the cores from what is measured.
        os.setpriority(os.PRIO_PROCESS, process.pid, 19)
        yield f"http://127.0.0.1:{port_file.read_text().strip()}"
        port_file.unlink()


def configure(directory: Path, url: str, *tables: str) -> None:
    """Write the daemon's configuration, with one provider of each kind unless others are given, and its secrets."""
    (directory / "out").mkdir(exist_ok=True)
    (directory / "s").mkdir(mode=0o700, exist_ok=True)
    for name, value in SECRETS.items():
        (directory / "s" / name).write_text(value)
    (directory / "config.toml").write_text(DAEMON + "".join(tables or (ALL_KINDS,)).format(url=url))


def daemon(directory: Path, tree: Path | None = None) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Run the daemon of a configured directory, from the checkout ``tree`` if one is given."""
    return running(directory, *TOKEND, "run", "--config", "config.toml", environ=environ_of(tree))


def environ_of(tree: Path | None) -> dict[str, str]:
    """Return the environment in which Python imports tokend from ``tree`` instead of from where it is installed."""
    return dict(os.environ) if tree is None else {**os.environ, "PYTHONPATH": str(tree)}


def wait_for(process: subprocess.Popen[bytes], condition: Callable[[], bool], *, pause_seconds: float = 0.01) -> None:
    """Poll until the condition holds; raises if the process ends first, or too much time passes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if process.poll() is not None:
            raise BenchError(f"{process.args!r} ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise BenchError(f"{process.args!r} was not ready within {PATIENCE_SECONDS:.0f} s")
        time.sleep(pause_seconds)


def listens(path: Path) -> bool:
    """Whether a server takes connections: the name of its socket exists before it does."""
    with socket.socket(socket.AF_UNIX) as asking, suppress(FileNotFoundError, ConnectionRefusedError):
        asking.connect(str(path))
        return True
    return False


def answer(path: Path, target: str, *, method: str = "GET") -> tuple[int, bytes] | None:
    """Ask once, without a body; status and body, or None if nobody answers yet."""
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        asking.sendall(
            f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        with asking.makefile("rb") as file:
            head, _, body = file.read().partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def rows(path: Path) -> list[dict[str, Any]]:
    """The tokens as the daemon lists them; none if nobody answers yet."""
    found = answer(path, "/v1/tokens")
    return [] if found is None else list(json.loads(found[1])["tokens"])


def all_valid(path: Path) -> bool:
    """Return whether every held token is there."""
    found = rows(path)
    return bool(found) and all(row["valid"] or row["state"] == "on_demand" for row in found)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and all its threads, as finely as the kernel counts it (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def pin(pid: int, index: int) -> None:
    """Keep server and load off each other's core, where there are two: the scheduler's moods are no figures.

    Every thread of a process: a server has one core, whatever it is written in.
    """
    cores = sorted(os.sched_getaffinity(0))
    for thread in Path(f"/proc/{pid}/task").iterdir() if len(cores) > 1 else ():
        os.sched_setaffinity(int(thread.name), {cores[index]})


def resident_megabytes(pid: int) -> float:
    """What a process has in memory now (VmRSS)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise BenchError(f"process {pid} is gone")
