"""Reads while fifty providers refresh against an upstream that takes 100 ms for each answer."""

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench import stage
from tests.bench.loads import Load, Server, best, load
from tests.daemon.tables import PARTNER, PX

PROVIDERS = 50
# Many more than the vendor allows, each as slow as one that is far away.
SANDBOX = ("--latency", "100ms", "--projectx-limit", "1000000000")
READ = "/v1/tokens/partner"
CONNECTIONS = 8
# Of a token's life of 2 s the daemon waits half, and never less than 1 s.
SHORT_LIFE = ("--ttl", "2s")
# Everybody's wishes are bounded; an admin's to one in 5 s and provider.
FLOOR_SECONDS = 5.1


@dataclass(frozen=True)
class Refreshing:
    """Reads alone, with some fifty refreshes a second, and in the moments in which all fifty are in flight."""

    quiet: Load
    steady: Load
    refreshes: float
    burst: Load


def while_refreshing(directory: Path, *, rounds: int, seconds: float) -> Refreshing:
    """Measure in a directory of its own."""
    directory.mkdir()
    table = PX.partition("[[")[0]
    tables = [PARTNER, *(table.replace("px]", f"px{number}]") for number in range(PROVIDERS))]
    with stage.sandbox(directory, *SANDBOX, *SHORT_LIFE) as url:
        stage.configure(directory, url, *tables)
        with stage.daemon(directory) as process:
            server = _ready(directory, process.pid)
            before, started = _refreshes(server), time.monotonic()
            steady = best([_load(directory, server, seconds) for _ in range(rounds)])
            refreshes = (_refreshes(server) - before) / (time.monotonic() - started)
    with stage.sandbox(directory, *SANDBOX) as url:
        stage.configure(directory, url, *tables)
        with stage.daemon(directory) as process:
            server = _ready(directory, process.pid)
            time.sleep(FLOOR_SECONDS)
            quiet = best([_load(directory, server, seconds) for _ in range(rounds)])
            bursts = [_burst(directory, server) for _ in range(rounds)]
    return Refreshing(quiet, steady, refreshes, min(bursts, key=lambda one: one.p99))


def _ready(directory: Path, pid: int) -> Server:
    server = Server(pid, directory / stage.SOCKET, READ)
    deadline = time.monotonic() + stage.PATIENCE_SECONDS
    while not stage.all_valid(server.socket):
        if time.monotonic() > deadline:
            raise stage.BenchError("not every provider has a token")
        time.sleep(0.05)
    stage.pin(pid, 1)
    return server


def _burst(directory: Path, server: Server) -> Load:
    """Let all providers refresh at once, a moment after reading has begun, and read for as long as that takes."""
    with ExitStack() as asking:
        for number in range(PROVIDERS):
            target = f"/v1/tokens/px{number}/refresh"
            timer = threading.Timer(0.1, stage.answer, (server.socket, target), {"method": "POST"})
            timer.start()
            asking.callback(timer.join)
        measured = _load(directory, server, 0.5)
    time.sleep(FLOOR_SECONDS)
    return measured


def _load(directory: Path, server: Server, seconds: float) -> Load:
    return load(directory.parent, server, CONNECTIONS, seconds=seconds)


def _refreshes(server: Server) -> float:
    found = stage.answer(server.socket, "/metrics")
    lines = [] if found is None else found[1].decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("tokend_token_refreshes_total{"))
