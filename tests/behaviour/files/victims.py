"""Processes that are killed, or failed, at one system call. Each is forked from one process that has imported and
warmed up everything, and is traced by strace from outside: a case takes milliseconds."""

import ctypes
import mmap
import os
import pickle
import re
import select
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.faults.needs import lack
from tests.files.children import environment

PR_SET_PTRACER = 0x59616D61
# Of a victim that did not even get so far as to be one.
NOT_TRACED = -1000


class Job(Protocol):
    """What a victim does. It is pickled: a frozen dataclass of a module that can be imported."""

    def warm(self) -> None:
        """Do it once elsewhere: what is imported, cached or held back at the first time is not of the job."""

    def prepare(self) -> Callable[[], object]:
        """Do, untraced, what comes before; the result is called under the tracer."""


@dataclass(frozen=True)
class Outcome:
    """How a victim ended: its wait status, what it returned, or the class and the words of what it raised."""

    status: int
    returned: object = None
    raised: str | None = None
    words: str = ""

    def __str__(self) -> str:
        return f"status {self.status}, returned {self.returned!r}, raised {self.raised}: {self.words}"


@dataclass(frozen=True)
class Point:
    """One system call of a job: the ``number``-th of its ``name``, as strace showed it."""

    name: str
    number: int
    line: str

    def __str__(self) -> str:
        return f"{self.name} no. {self.number}: {self.line[:150]}"


class Victims:
    """Run jobs, one victim at a time. ``directory`` is where strace writes to."""

    def __init__(self, server: "subprocess.Popen[bytes]", directory: Path) -> None:
        self._server = server
        self.directory = directory
        self._trace = directory / "trace"

    def run(self, job: Job, *options: str) -> Outcome:
        """Let a victim do the job under strace with these options."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        pickle.dump((job, options, str(self._trace)), self._server.stdin)
        self._server.stdin.flush()
        outcome: Outcome = pickle.load(self._server.stdout)  # noqa: S301  (from our own child)
        if outcome.status == NOT_TRACED:
            lack(f"strace may not attach to processes here: {outcome.words}")
        return outcome

    def calls(self, job: Job) -> tuple[Outcome, list[Point]]:
        """Every system call of the job, in order."""
        outcome = self.run(job)
        counted: Counter[str] = Counter()
        points = []
        for line in self._trace.read_text(errors="replace").splitlines():
            if (match := re.match(r"(\w+)\(", line)) is not None:
                counted[match[1]] += 1
                points.append(Point(match[1], counted[match[1]], line))
        return outcome, points

    def killed(self, job: Job, point: Point) -> Outcome:
        """Let a victim be killed when it makes this call: all before it was done, it and the rest were not."""
        return self._run_at(job, point, f"signal=KILL:when={point.number}")

    def failed(self, job: Job, point: Point, error: str, *, again: bool = False) -> Outcome:
        """Let this call fail; ``again``: and every later one of its name."""
        return self._run_at(job, point, f"error={error}:when={point.number}{'+' * again}")

    def _run_at(self, job: Job, point: Point, what: str) -> Outcome:
        return self.run(job, "-e", f"trace={point.name}", "-e", f"inject={point.name}:{what}")


@contextmanager
def victims() -> Iterator[Victims]:
    """The process that they are forked from, and a directory; in memory, where that can be, for its speed."""
    if shutil.which("strace") is None:
        lack("strace is not installed")
    memory = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(prefix="tk-", dir=memory if os.access(memory, os.W_OK) else None))
    code = "from tests.behaviour.files.victims import serve; serve()"
    server = subprocess.Popen(
        [sys.executable, "-c", code], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield Victims(server, directory)
    finally:
        server.communicate()
        shutil.rmtree(directory)


# ------------------------------------------------------------------ in the process that they are forked from


def serve() -> None:
    """Answer requests until there are no more."""
    # What a job's reference leads to must be there before the fork: imports make system calls, too. And no log: this
    # process's output is its answers.
    import tests.behaviour.files.jobs
    import tests.conftest  # noqa: F401

    warmed: set[Job] = set()
    while True:
        try:
            job, options, trace = pickle.load(sys.stdin.buffer)  # noqa: S301  (from our own parent)
        except EOFError:
            return
        if job not in warmed:
            warmed.add(job)
            job.warm()
        pickle.dump(_one(job, options, trace), sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _one(job: Job, options: tuple[str, ...], trace: str) -> Outcome:
    # Shared memory, so that a victim needs no system call to report its result.
    words = mmap.mmap(-1, 65536)
    go, ready = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        _victim(job, words, go, ready)
    os.close(go[0])
    os.close(ready[1])
    os.read(ready[0], 1)
    os.close(ready[0])
    argv = ["strace", "-y", "-o", trace, *options, "-p", str(pid)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE) as tracer:
        assert tracer.stderr is not None
        first = tracer.stderr.readline()
        os.close(go[1])
        _, status = os.waitpid(pid, 0)
    if b"attached" not in first:
        return Outcome(NOT_TRACED, words=first.decode())
    if status != 0:
        return Outcome(status)
    return Outcome(status, **pickle.loads(words))  # noqa: S301


def _victim(job: Job, words: mmap.mmap, go: tuple[int, int], ready: tuple[int, int]) -> None:
    told: dict[str, Any]
    try:
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(2**64 - 1), 0, 0, 0)
        call = job.prepare()
        os.close(go[1])
        os.close(ready[1])
        # Whether the tracer sees this call is left to chance, so it is one that no job makes.
        select.select([go[0]], [], [])
        told = {"returned": call()}
    except BaseException as error:
        told = {"raised": type(error).__name__, "words": str(error)}
    words.write(pickle.dumps(told))
    os._exit(0)
