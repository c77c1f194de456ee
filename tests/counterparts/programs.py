"""Real stores for the tests of remote sinks: found, started on loopback with a free port, waited for, and ended.

A program that is not installed is a skip with a reason, or a failure with ``TOKEND_REQUIRE_COUNTERPARTS=1``.
"""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlencode

import pytest

# Longer than any of them takes to start on a busy machine.
PATIENCE_SECONDS = 60.0
# A port that is free now may be taken by another test before the program has it.
STARTS = 3


@dataclass(frozen=True)
class Counterpart:
    """A running program: its port of 127.0.0.1, its process id, and the file with all its output."""

    port: int
    pid: int
    output: Path

    @property
    def url(self) -> str:
        """Its URL, for a program that speaks HTTP."""
        return f"http://127.0.0.1:{self.port}"


def program(name: str, *, package: str) -> str:
    """The path of an installed program; ``package`` is the advice for where it is missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        lack(f"{name} is not installed: {package}")
    return found


def needs_package(name: str, *, package: str) -> None:
    """Skip where a Python package is not installed; it is not imported here."""
    if importlib.util.find_spec(name) is None:
        lack(f"the package {name} is not installed: {package}")


def node_package(name: str, *, package: str) -> str:
    """The directory of NODE_PATH that has a package for node; ``package`` is the advice for where it is missing."""
    directories = filter(None, os.environ.get("NODE_PATH", "").split(":"))
    found = next((one for one in directories if Path(one, name, "package.json").exists()), None)
    if found is None:
        lack(f"NODE_PATH has no {name}: {package}")
    return found


def lack(what: str) -> NoReturn:
    """Skip because of what this machine lacks, or fail where every counterpart is required."""
    if os.environ.get("TOKEND_REQUIRE_COUNTERPARTS") == "1":
        pytest.fail(what)
    pytest.skip(what)


@contextmanager
def started(
    argv: Callable[[int], Sequence[str]],
    directory: Path,
    *,
    answers: Callable[[Counterpart], bool],
    environ: Mapping[str, str] | None = None,
) -> Iterator[Counterpart]:
    """Run a program until the end of the block. ``argv`` makes its command line for a free port.

    It begins when ``answers`` is true. The program has ``directory`` as its working and home directory, and nothing of
    this process' environment but PATH.
    """
    running = found = None
    own = {"PATH": os.environ["PATH"], "HOME": str(directory), "LANG": "C.UTF-8", **(environ or {})}
    for attempt in range(STARTS):
        port = free_port()
        output = directory / f"output-{attempt}"
        with output.open("wb") as log:
            running = subprocess.Popen(
                argv(port), cwd=directory, env=own, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        found = Counterpart(port, running.pid, output)
        if _wait(running, found, answers):
            break
    else:
        assert found is not None
        pytest.fail(f"it ended {STARTS} times before it answered: {_tail(found.output)}")
    try:
        yield found
    finally:
        _end(running)


def answers_http(path: str = "/", *, statuses: Sequence[int] = (200,)) -> Callable[[Counterpart], bool]:
    """Return a test of whether a program answers a GET of ``path`` with one of these statuses."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def asked(one: Counterpart) -> bool:
        try:
            with opener.open(f"{one.url}{path}", timeout=5) as reply:
                return reply.status in statuses
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code in statuses
        except OSError:
            return False

    return asked


def post_form(server: Counterpart, path: str, **fields: str) -> Any:
    """Send a form as the client ``app``, which has no secret; the answer, also of a refusal."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    data = urlencode({"client_id": "app", **fields}).encode()
    try:
        with opener.open(f"{server.url}{path}", data, timeout=20) as reply:
            return json.loads(reply.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return json.loads(refused.read())


def nats_server_in(directory: Path) -> AbstractContextManager[Counterpart]:
    """A NATS server with JetStream, without accounts."""
    server = program("nats-server", package="apt-get install nats-server")
    return started(
        lambda port: [server, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(directory / "streams")],
        directory,
        answers=answers_tcp,
    )


def answers_tcp(one: Counterpart) -> bool:
    """Whether somebody accepts connections at the program's port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", one.port), timeout=5):
        return True
    return False


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(running: "subprocess.Popen[bytes]", one: Counterpart, answers: Callable[[Counterpart], bool]) -> bool:
    """Wait for the first answer; False if the program has ended instead."""
    until = time.monotonic() + PATIENCE_SECONDS
    while running.poll() is None:
        # Another program may have taken the port: only an answer of one that still runs counts.
        if answers(one) and running.poll() is None:
            return True
        if time.monotonic() > until:
            _end(running)
            pytest.fail(f"no answer within {PATIENCE_SECONDS:.0f} s: {_tail(one.output)}")
        time.sleep(0.02)
    return False


def _end(running: "subprocess.Popen[bytes]") -> None:
    running.terminate()
    try:
        running.wait(5)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()


def _tail(output: Path) -> str:
    return output.read_text(encoding="utf-8", errors="replace")[-2000:]
