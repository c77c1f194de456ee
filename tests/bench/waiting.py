"""Long polls: what thousands of them cost while nothing happens, and how soon all are answered when it does."""

import json
import resource
import selectors
import socket
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench import stage

WAITERS = 2000
# Minted on this machine: no upstream is part of the figure. Admins may ask for a new one every 5 s.
TOKEN = "partner"
QUIET_SECONDS = 5.2


@dataclass(frozen=True)
class Waiting:
    """CPU as shares of a core, with and without the waiters; seconds from asking for a new token to the answers."""

    alone: float
    quiet: float
    first: float
    last: float


def long_polls(pid: int, path: Path) -> Waiting:
    """Have `WAITERS` connections wait for a token, then let it change."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    found = stage.answer(path, f"/v1/tokens/{TOKEN}")
    if found is None:
        raise stage.BenchError("the daemon does not answer any more")
    generation = json.loads(found[1])["generation"]
    wish = f'Host: x\r\nPrefer: wait=300\r\nIf-None-Match: "{generation}"\r\n\r\n'
    alone = _share(pid)
    with ExitStack() as open_sockets, selectors.EpollSelector() as selector:
        for _ in range(WAITERS):
            one = open_sockets.enter_context(socket.socket(socket.AF_UNIX))
            one.connect(str(path))
            one.sendall(f"GET /v1/tokens/{TOKEN} HTTP/1.1\r\n{wish}".encode())
            selector.register(one, selectors.EVENT_READ)
        time.sleep(1)  # the last of them is parsed, too
        quiet = _share(pid)
        started = time.perf_counter()
        asking = threading.Thread(
            target=stage.answer, args=(path, f"/v1/tokens/{TOKEN}/refresh"), kwargs={"method": "POST"}
        )
        asking.start()
        times: list[float] = []
        while len(times) < WAITERS:
            for key, _ in selector.select(stage.PATIENCE_SECONDS):
                assert isinstance(key.fileobj, socket.socket)
                if not key.fileobj.recv(65536).startswith(b"HTTP/1.1 200"):
                    raise stage.BenchError("a long poll was not answered with the new token")
                times.append(time.perf_counter() - started)
                selector.unregister(key.fileobj)
        asking.join()
    return Waiting(alone, quiet, times[0], times[-1])


def _share(pid: int) -> float:
    """CPU of the daemon as a share of a core while nothing is asked."""
    before = stage.cpu_seconds(pid)
    time.sleep(QUIET_SECONDS / 2)
    return (stage.cpu_seconds(pid) - before) / (QUIET_SECONDS / 2)
