"""The limits of a machine, for the real daemon: a flood of connections, no descriptors, no threads."""

import os
import re
import signal
import socket
import subprocess
from contextlib import suppress
from functools import partial

from tests.daemon.harness import Daemon, Home, until
from tests.faults.needs import need, when_asked_for
from tests.faults.upstream import kind, living, provider, upstream

pytestmark = when_asked_for
# People who own no other process here, so that the limit of processes is one daemon's alone.
ONE, ANOTHER = 54329, 54330


def generation(daemon: Daemon, name: str) -> int:
    """Of the token that is served now."""
    return int(daemon.lease(name)["generation"])


def is_later(daemon: Daemon, name: str, before: int) -> bool:
    """Return whether a token later than generation ``before`` is served."""
    return generation(daemon, name) > before


def renewed(daemon: Daemon, name: str, *, times: int = 1, seconds: float = 30) -> None:
    """Wait until the token was renewed, on the socket and in its file."""
    for _ in range(times):
        before = generation(daemon, name)
        until(partial(is_later, daemon, name, before), f"the next token of {name}", seconds=seconds)
    until(lambda: daemon.home.out(name).read_text() == daemon.lease(name)["access_token"], f"the file of {name}")


def test_a_flood_of_connections_keeps_nobody_from_its_token(home: Home) -> None:
    """docs/promises.md 71: under a limit of 256 descriptors, 1,000 connections: they are capped, 64 stay reserved,
    tokens are renewed and published, and a reader who comes when they have gone is served."""
    with upstream(living(minutes=0.1)) as one:
        daemon = home.start(provider("px", one.url), wrap=("prlimit", "--nofile=256:256")).settled()
        connections = []
        for _ in range(1000):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(2)
            connections.append(connection)
            with suppress(OSError):
                connection.connect(str(home.socket))
                connection.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        requests, file = len(one.requests), home.out("px").read_text()
        until(lambda: len(one.requests) > requests, "a request during the flood", seconds=30)
        until(lambda: home.out("px").read_text() != file, "a new file during the flood", seconds=30)
        for connection in connections:
            connection.close()
        until(lambda: daemon.lease("px"), "a reader after the flood")
        assert daemon.log("token.refresh_failed") == daemon.log("worker.crashed") == []


def test_without_a_free_descriptor_what_fails_is_named_and_recovers(home: Home) -> None:
    """docs/promises.md 61, 71: the limit falls while it runs: on open connections status says why nothing is
    renewed, and it goes on when there are descriptors again."""
    need("prlimit")
    with upstream(living(minutes=0.2)) as one:
        daemon = home.start(provider("px", one.url)).settled()
        kept = socket.socket(socket.AF_UNIX)
        kept.settimeout(20)
        kept.connect(str(home.socket))

        def ask() -> bytes:
            kept.sendall(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
            data = b""
            while b"\r\n\r\n" not in data or len(data) < int(_length(data)) + data.index(b"\r\n\r\n") + 4:
                data += kept.recv(65536)
            return data

        assert b'"valid":true' in ask()
        limit = ("prlimit", "--pid", str(daemon.process.pid))
        subprocess.run([*limit, "--nofile=8:"], check=True)
        until(lambda: b"oo many open files" in ask(), "the words", seconds=30)
        requests = len(one.requests)
        subprocess.run([*limit, "--nofile=1024:"], check=True)
        until(lambda: len(one.requests) > requests, "the next request", seconds=30)
        kept.close()
        renewed(daemon, "px")
        assert daemon.log("worker.crashed") == daemon.log("daemon.crashed") == []


def _length(data: bytes) -> bytes:
    found = re.search(rb"content-length: (\d+)", data, re.IGNORECASE)
    return b"0" if found is None else found[1]


def test_without_a_thread_to_be_had_everything_goes_on(home: Home) -> None:
    """docs/promises.md 73: the pools were made at start. Nothing is lost when the machine has no thread left: names are
    looked up, secrets read, the state saved, files written, the configuration reloaded."""
    need("setpriv", "prlimit", root=True)
    with upstream(living(minutes=0.2)) as one:
        home.write(provider("px", one.url), provider("named", f"http://localhost:{one.port}"))
        who = _become(ONE, home)
        daemon = home.start(ready=False, wrap=who)
        daemon.settled()
        # Who sets a limit has to be the one that it is for, where the kernel gives nobody more.
        subprocess.run([*who, "prlimit", "--pid", str(daemon.process.pid), "--nproc=1:1"], check=True)
        renewed(daemon, "px")
        renewed(daemon, "named")
        assert daemon.ask("POST", "/v1/reload").status == 200
        # A directory that was not watched: listening starts again, in threads that do not exist.
        (home.path / "elsewhere").mkdir()
        (home.path / "elsewhere" / "user").write_text("sandbox-user")
        third = provider("third", one.url).replace("s/px-user", "elsewhere/user")
        home.write(provider("px", one.url), provider("named", f"http://localhost:{one.port}"), third)
        until(lambda: daemon.lease("third"), "the new provider")
        renewed(daemon, "px")
        row = daemon.row("px")
        assert (row["state"], [sink["state"] for sink in row["sinks"]]) == ("valid", ["ok"])
        assert daemon.log("token.refresh_failed") == daemon.log("sink.failed") == daemon.log("state.write_failed") == []
        assert daemon.log("daemon.crashed") == daemon.log("worker.crashed") == []
        assert daemon.end(signal.SIGTERM) == 0


def test_a_start_without_threads_says_what_is_missing(home: Home) -> None:
    """docs/promises.md 73: one sentence that names the limit, and exit code 1; not a daemon that cannot work."""
    need("setpriv", "prlimit", root=True)
    with upstream(kind) as one:
        home.write(provider("px", one.url))
        daemon = home.start(ready=False, wrap=(*_become(ANOTHER, home), "prlimit", "--nproc=5:5"))
        assert daemon.process.wait(20) == 1
        assert home.log.read_text() == (
            "tokend: no thread can be started (can't start new thread): is there a limit (TasksMax= of the unit, "
            "ulimit -u)?\n"
        )


def _become(uid: int, home: Home) -> tuple[str, ...]:
    """Give somebody a home, and the command after this one; who may read the interpreter wherever it is."""
    for path in (home.path, *home.path.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)
    who = ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
    return (*who, "--inh-caps=+dac_override", "--ambient-caps=+dac_override")
