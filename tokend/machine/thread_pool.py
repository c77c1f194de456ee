"""Threads for blocking calls: a fixed number, created at start. A thread that hangs is abandoned and replaced.

docs/decisions/0015 has the reason why neither anyio's threads nor an executor can do this.
"""

import asyncio
import contextvars
import math
import queue
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import anyio

from tokend.values.errors import TokendError

T = TypeVar("T")

# A thread in a hung filesystem cannot be ended, only abandoned. At most this many are abandoned at a time.
MOST_STUCK = 32
# A thread is occupied until the loop has taken its result. On a busy machine that takes a tenth of a second: four
# threads saved 40 records a second, and a thousand short-lived tokens were refreshed 15 s late.
STATE_THREADS, SINK_THREADS = 16, 8
# Calls that run when the daemon ends get this long: enough for a disk that works.
LAST_SECONDS = 2.0
AT_THE_END = f"no result within {LAST_SECONDS:g} s at the end of the daemon"
# A command after a write may take half a minute: commands must not delay writes.
COMMAND_THREADS = 16
# Programs that print tokens, and calls of kinds of providers, such as the reading of a token's file. Few configurations
# have them.
PROGRAM_THREADS, CALL_THREADS = 16, 8
# Each name is looked up once at a time.
LOOKUP_THREADS = 16


class Threads(Protocol):
    """Run blocking calls away from the loop, in a bounded number of threads."""

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        """Run ``call`` in a thread. After ``seconds``, abandon the thread and raise TimeoutError."""


class _Job:
    """A call and its result. ``done`` belongs to the loop; the pool's lock protects everything else."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call
        self.context = contextvars.copy_context()
        self.loop = asyncio.get_running_loop()
        self.done = anyio.Event()
        self.result: Any = None
        self.error: BaseException | None = None
        self.ended = self.given_up = False

    def work(self) -> None:
        try:
            self.result = self.context.run(self.call)
        except BaseException as error:
            self.error = error


class _Crew:
    """The threads of one pool. They hold no reference to the pool, and end when it is gone."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.lock = threading.Lock()  # the loop and the threads change the counts
        self.threads = self.idle = self.running = self.stuck = 0

    def hire(self) -> None:
        """Start one more thread. Raises RuntimeError where none can be started."""
        # daemon=True: the interpreter does not join it at exit, where a thread that hangs would block for ever.
        threading.Thread(target=self._work, name="tokend", daemon=True).start()
        with self.lock:
            self.threads += 1

    def begin(self, job: _Job) -> None:
        """Give a job to an idle thread, or to a new one. Raises RuntimeError where no thread can be started."""
        with self.lock:
            free = self.idle > 0
            self.idle -= free
        if not free:
            self.hire()
        with self.lock:
            self.running += 1
        self.jobs.put(job)

    def end(self) -> None:
        """End the idle threads."""
        for _ in range(self.threads):
            self.jobs.put(None)

    def _work(self) -> None:
        while (job := self.jobs.get()) is not None:
            job.work()
            with self.lock:
                job.ended = True
                self.running -= 1
                self.stuck -= job.given_up
                leaves = self.threads - self.stuck > self.size  # another thread has replaced this one
                self.threads -= leaves
                self.idle += not leaves
            with suppress(RuntimeError):  # the loop has ended: there is no waiter
                job.loop.call_soon_threadsafe(job.done.set)
            if leaves:
                return
            del job  # an idle thread must not keep a result alive


class ThreadPool:
    """Run calls in at most ``size`` threads at a time, besides abandoned threads.

    `open` creates all threads; without `open` each is created when it is first needed. Idle threads are kept, so that
    the pool works on when the machine has run out of threads.
    """

    def __init__(self, size: int) -> None:
        self._limiter: anyio.CapacityLimiter | None = None
        self._waits: set[anyio.CancelScope] = set()
        self._ends_at = math.inf  # in the loop's time
        self._crew = _Crew(size)
        weakref.finalize(self, self._crew.end).atexit = False

    @property
    def running(self) -> int:
        """Number of calls that have not ended, abandoned or not."""
        return self._crew.running

    @property
    def stuck(self) -> int:
        """Number of abandoned calls that have not ended."""
        return self._crew.stuck

    def open(self) -> None:
        """Create all threads now. Raises `TokendError` where the machine has no more threads."""
        try:
            while self._crew.threads < self._crew.size:
                self._crew.hire()
                self._crew.idle += 1
        except RuntimeError as error:
            raise TokendError(
                f"no thread can be started ({error}): is there a limit (TasksMax= of the unit, ulimit -u)?"
            ) from None

    def hasten(self) -> None:
        """Limit all calls to `LAST_SECONDS` from now, because the daemon ends. Their callers get TimeoutError.

        That includes calls that wait for a thread: behind a disk that hangs, each would get its whole time otherwise.
        """
        self._ends_at = anyio.current_time() + LAST_SECONDS
        for wait in self._waits:
            wait.deadline = min(wait.deadline, self._ends_at)

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        """Run ``call`` in a thread and return its result. Raises TimeoutError after ``seconds``; the call runs on then.

        Also raises TimeoutError, with a message, after `hasten`, and if the machine has no more threads or many hang.
        """
        crew = self._crew
        if crew.stuck >= MOST_STUCK:
            raise TimeoutError(f"{crew.stuck} threads hang already")
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(crew.size)
        # Waiting for an idle thread does not count as time of the call.
        async with self._limiter:
            if anyio.current_time() >= self._ends_at:
                raise TimeoutError(AT_THE_END)
            job = _Job(call)
            try:
                crew.begin(job)
            except RuntimeError as error:
                raise TimeoutError(f"no thread can be started: {error}") from None
            try:
                with anyio.move_on_after(seconds) as wait:
                    deadline, wait.deadline = wait.deadline, min(wait.deadline, self._ends_at)
                    self._waits.add(wait)
                    await job.done.wait()
            finally:
                self._waits.discard(wait)
                # A call that has not ended is out of time, or its caller was cancelled.
                with crew.lock:
                    job.given_up = not job.ended
                    crew.stuck += job.given_up
        if not job.ended:
            raise TimeoutError(AT_THE_END if wait.deadline < deadline else "")
        if (trouble := job.error) is not None:
            job.error = None  # its traceback refers to the job: a cycle would keep both alive
            try:
                raise trouble
            finally:
                del trouble
        result: T = job.result
        return result


class Pools:
    """The thread pools of one daemon, by purpose: a disk that hangs must not delay names."""

    def __init__(self) -> None:
        self.disk = ThreadPool(STATE_THREADS)
        self.sinks = ThreadPool(SINK_THREADS)
        self.commands = ThreadPool(COMMAND_THREADS)
        # Of providers: a program that hangs must delay no hook of a sink, and a file on a disk that hangs no state.
        self.programs = ThreadPool(PROGRAM_THREADS)
        self.calls = ThreadPool(CALL_THREADS)
        self.looks = ThreadPool(1)
        self.targets = ThreadPool(1)
        self.guards = ThreadPool(1)
        self.lookups = ThreadPool(LOOKUP_THREADS)
        # A directory service that hangs must not delay the names of upstreams.
        self.names = ThreadPool(LOOKUP_THREADS)

    @property
    def running(self) -> int:
        """Number of calls that have not ended, abandoned or not."""
        return sum(pool.running for pool in self._every)

    @property
    def _every(self) -> tuple[ThreadPool, ...]:
        return (
            self.disk, self.sinks, self.commands, self.programs, self.calls, self.looks, self.targets, self.guards,
            self.lookups, self.names,
        )  # fmt: skip

    def hasten(self, *, saving: bool = True) -> None:
        """Call `ThreadPool.hasten` of all pools; without ``saving``, of all but those that an exchange may still need
        to send its request and to save its answer."""
        needed = () if saving else (self.disk, self.calls, self.lookups)
        for pool in self._every:
            if pool not in needed:
                pool.hasten()

    def open(self) -> None:
        """Create all threads, except those that few configurations need: of the loopback port and of some kinds."""
        for pool in (self.disk, self.sinks, self.commands, self.looks, self.targets, self.lookups):
            pool.open()
