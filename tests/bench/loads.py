"""The load generator, and what it makes of a server: rates, latencies, and the CPU that each request costs there."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import stage


@dataclass(frozen=True)
class Server:
    """A process that answers on a Unix socket; with a ``body`` it is sent POST."""

    pid: int
    socket: Path
    target: str
    body: str = ""


@dataclass(frozen=True)
class Load:
    """One run of the generator; microseconds.

    ``generator`` is the generator's own CPU as a share of a core, ``cpu`` the server's per request.
    """

    requests: int
    rate: float
    p50: float
    p99: float
    generator: float
    cpu: float


def load(directory: Path, server: Server, connections: int, *, seconds: float, mode: str = "keepalive") -> Load:
    """Let the generator of a directory run against a server."""
    argv = [str(directory / "load"), str(server.socket), server.target, str(connections), str(seconds), mode]
    before = stage.cpu_seconds(server.pid)
    process = subprocess.Popen(argv + ([server.body] if server.body else []), stdout=subprocess.PIPE, text=True)
    stage.pin(process.pid, 0)
    line, _ = process.communicate(timeout=seconds + stage.PATIENCE_SECONDS)
    spent = stage.cpu_seconds(server.pid) - before
    if process.returncode != 0:
        raise stage.BenchError(f"the load generator failed: {line.strip()}")
    words = line.split()
    requests, rate, p50, p99, generator = (
        float(words[words.index(name) + 1]) for name in ("requests", "requests/s", "p50_us", "p99_us", "cpu")
    )
    return Load(int(requests), rate, p50, p99, generator, 1e6 * spent / max(requests, 1))


def in_turns(
    directory: Path, servers: Sequence[Server], connections: int, *, rounds: int, seconds: float, mode: str
) -> list[list[Load]]:
    """For each server its runs. Taken in turns, so that whatever else runs on the machine disturbs all alike."""
    turns = [
        [load(directory, server, connections, seconds=seconds, mode=mode) for server in servers] for _ in range(rounds)
    ]
    return [list(runs) for runs in zip(*turns, strict=True)]


def best(loads: Sequence[Load]) -> Load:
    """The fastest run: whatever else runs on the machine only ever slows."""
    return max(loads, key=lambda one: one.rate)


@contextmanager
def reference(directory: Path, body_bytes: int) -> Iterator[Server]:
    """Run the C server."""
    path = directory / "reference.sock"
    with stage.running(directory, str(directory / "reference"), str(path), str(body_bytes)) as process:
        stage.wait_for(process, lambda: stage.listens(path))
        stage.pin(process.pid, 1)
        yield Server(process.pid, path, "/")
    path.unlink()
