"""Blocking calls, away from the loop: a fixed number of threads, made at start, and one that hangs is replaced."""

import asyncio
import contextvars
import queue
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import anyio

from tokend.values.errors import TokendError

T = TypeVar("T")

# A thread stuck in a hung filesystem cannot be ended, only left behind; this many are left behind at most.
MOST_STUCK = 32
# A thread is held until the loop has taken its result: on a busy machine, where that takes a tenth of a second, four of
# them saved 40 records a second, and a thousand short-lived tokens were asked for a quarter of a minute late.
STATE_THREADS, SINK_THREADS = 16, 8
# What is under way at the end gets this long: enough for any disk that works, and nobody waits for one that does not.
LAST_SECONDS = 2.0
# The commands after a write may take half a minute each: they must not stand in the way of the writes.
COMMAND_THREADS = 16
# Names are looked up once each at a time.
LOOKUP_THREADS = 16


class Threads(Protocol):
    """Run blocking calls away from the loop, in a bounded number of threads."""

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        """Run ``call`` in a thread; after ``seconds`` the thread is given up and TimeoutError raised."""


class _Job:
    """A call, and what comes of it. ``done`` is the loop's, everything else is under the pool's lock."""

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
    """The threads of one pool, which know nothing of it: they end when it is gone."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.lock = threading.Lock()  # the counts are changed by the loop and by the threads
        self.threads = self.idle = self.running = self.stuck = 0

    def hire(self) -> None:
        """Start one more. Raises RuntimeError where none can be started."""
        # Not waited for at exit: one that hangs would keep the interpreter from ending.
        threading.Thread(target=self._work, name="tokend", daemon=True).start()
        with self.lock:
            self.threads += 1

    def begin(self, job: _Job) -> None:
        """Have a job done by a thread that is free, or by a new one. Raises RuntimeError where there is none."""
        with self.lock:
            free = self.idle > 0
            self.idle -= free
        if not free:
            self.hire()
        with self.lock:
            self.running += 1
        self.jobs.put(job)

    def end(self) -> None:
        """Let those go who wait for a job."""
        for _ in range(self.threads):
            self.jobs.put(None)

    def _work(self) -> None:
        while (job := self.jobs.get()) is not None:
            job.work()
            with self.lock:
                job.ended = True
                self.running -= 1
                self.stuck -= job.given_up
                leaves = self.threads - self.stuck > self.size  # another one was made in its place
                self.threads -= leaves
                self.idle += not leaves
            with suppress(RuntimeError):  # the loop has ended, and nobody waits
                job.loop.call_soon_threadsafe(job.done.set)
            if leaves:
                return
            del job  # a result must not live on in a thread that waits


class ThreadPool:
    """Run calls in at most ``size`` threads at a time, besides those that were given up.

    `open` makes the threads; without it each is made when there is first need of it. They are kept: a machine that has
    run out of threads takes none of ours.
    """

    def __init__(self, size: int) -> None:
        self._limiter: anyio.CapacityLimiter | None = None
        self._waits: set[anyio.CancelScope] = set()
        self._crew = _Crew(size)
        weakref.finalize(self, self._crew.end).atexit = False

    @property
    def running(self) -> int:
        """Calls that have not ended, given up or not."""
        return self._crew.running

    @property
    def stuck(self) -> int:
        """Calls that nobody waits for any more and that have not ended."""
        return self._crew.stuck

    def open(self) -> None:
        """Make all threads now. Raises `TokendError` where the machine has none left."""
        try:
            while self._crew.threads < self._crew.size:
                self._crew.hire()
                self._crew.idle += 1
        except RuntimeError as error:
            raise TokendError(
                f"no thread can be started ({error}): is there a limit (TasksMax= of the unit, ulimit -u)?"
            ) from None

    def hasten(self) -> None:
        """Give what is under way no more than `LAST_SECONDS`: we end. Its callers get their TimeoutError then."""
        for wait in self._waits:
            wait.deadline = min(wait.deadline, anyio.current_time() + LAST_SECONDS)

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        """Run ``call`` in a thread. Raises TimeoutError after ``seconds``; the call may still end later.

        TimeoutError also where no thread can be had: the machine is out of them, or too many hang. It then says so.
        """
        crew = self._crew
        if crew.stuck >= MOST_STUCK:
            raise TimeoutError(f"{crew.stuck} threads hang already")
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(crew.size)
        # The limiter is ours, so that waiting for a free thread does not count as the call's own time.
        async with self._limiter:
            job = _Job(call)
            try:
                crew.begin(job)
            except RuntimeError as error:
                raise TimeoutError(f"no thread can be started: {error}") from None
            try:
                with anyio.move_on_after(seconds) as wait:
                    self._waits.add(wait)
                    await job.done.wait()
            finally:
                self._waits.discard(wait)
                # Out of time, or the caller was cancelled. (A call that has ended, by its own error too, is none.)
                with crew.lock:
                    job.given_up = not job.ended
                    crew.stuck += job.given_up
        if not job.ended:
            raise TimeoutError
        if (trouble := job.error) is not None:
            job.error = None  # its traceback holds the job: what they hold in common would outlive the call
            try:
                raise trouble
            finally:
                del trouble
        result: T = job.result
        return result


class Pools:
    """The threads of one daemon, by what they wait for: a disk that hangs must not hold up the names."""

    def __init__(self) -> None:
        self.disk = ThreadPool(STATE_THREADS)
        self.sinks = ThreadPool(SINK_THREADS)
        self.commands = ThreadPool(COMMAND_THREADS)
        self.looks = ThreadPool(1)
        self.guards = ThreadPool(1)
        self.lookups = ThreadPool(LOOKUP_THREADS)

    @property
    def running(self) -> int:
        """Calls that have not ended, given up or not."""
        return sum(pool.running for pool in self._every)

    @property
    def _every(self) -> tuple[ThreadPool, ...]:
        return (self.disk, self.sinks, self.commands, self.looks, self.guards, self.lookups)

    def hasten(self) -> None:
        """The same, of all."""
        for pool in self._every:
            pool.hasten()

    def open(self) -> None:
        """Make them, but for the guard of a port that few open."""
        for pool in (self.disk, self.sinks, self.commands, self.looks, self.lookups):
            pool.open()
