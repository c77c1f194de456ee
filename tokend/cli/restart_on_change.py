"""Supervision of one child for ``tokend exec --restart-on-change``: restarts with each new token, signals passed on.

No signal handlers: the signals stay blocked, and one loop takes them one by one (sigwaitinfo(2)), so that none is lost
between two children. The threads that watch tokens report a new one by a real-time signal.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TypeAlias

from tokend.cli.child_job import ENDING, ChildJob
from tokend.cli.streams import complain
from tokend.client import TokenClient, TokendError

# Container engines, too, give a process this long before they kill it.
GRACE_SECONDS = 10.0
# Pause between two looks at a group whose first process has ended.
POLL_SECONDS = 0.05
CHANGED = signal.SIGRTMIN
# Signals that people and supervisors send. SIGTSTP is left to the kernel, which stops parent and child alike.
PASSED_ON = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT,
    signal.SIGWINCH, signal.SIGALRM,
)  # fmt: skip
_AWAITED = frozenset({*PASSED_ON, signal.SIGCHLD, CHANGED})


@dataclass(frozen=True)
class Environment:
    """Variables for a child, and the generations of the tokens among them. The repr shows no value."""

    variables: Mapping[str, str] = field(repr=False)
    generations: Mapping[str, int | None]


_Environments: TypeAlias = "SimpleQueue[Environment]"


def run(
    program: str, argv: Sequence[str], first: Environment, *, client: TokenClient, renewed: Callable[[], Environment]
) -> int:
    """Run the child until it ends by itself, and return its exit status. Raises `OSError` if it cannot be run at all.

    ``renewed`` is called in a thread. It returns the environment for the next child or raises a `TokendError`.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # while SIGCHLD is ignored, children leave no status
    # SIGTTOU: a process outside of the foreground may give the terminal away only while the signal is blocked.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*_AWAITED, signal.SIGTTOU})
    child = _Child(program, argv, first, mask)
    for name, generation in first.generations.items():
        watching = (client, name, generation, renewed, child.environments)
        threading.Thread(target=_watch, args=watching, daemon=True).start()
    while (status := child.step()) is None:
        pass
    return status


class _Child:
    """The running child and its restart, if one is under way."""

    def __init__(
        self, program: str, argv: Sequence[str], first: Environment, mask: "set[signal.Signals] | set[int]"
    ) -> None:
        self.environments: _Environments = SimpleQueue()
        self._program = program
        self._argv = argv
        self._environment = first
        self._mask = mask
        # Monotonic time at which the group is killed; None while neither a restart nor the end is under way.
        self._deadline: float | None = None
        self._killed = False
        self._ending = False
        # The exit status of the child, while others of its group are left.
        self._status: int | None = None
        self._start()

    def step(self) -> int | None:
        """Act on the next signal or deadline. Returns the exit status when all is over, else None."""
        found = self._next_signal()
        if found is None:
            return self._time_passed()
        if found.si_signo == signal.SIGCHLD:
            return self._reap()
        if found.si_signo == CHANGED:
            self._renew()
        else:
            self._pass_on(found)
        return None

    def _next_signal(self) -> signal.struct_siginfo | None:
        if self._deadline is None:
            return signal.sigwaitinfo(_AWAITED)
        left = max(0.0, self._deadline - time.monotonic())
        # Nobody reports the end of a grandchild.
        return signal.sigtimedwait(_AWAITED, left if self._status is None else min(left, POLL_SECONDS))

    def _start(self) -> None:
        self._deadline, self._killed, self._status = None, False, None
        self._job = ChildJob(self._program, self._argv, self._environment.variables, self._mask)

    def _time_passed(self) -> int | None:
        if self._status is not None and (self._job.is_empty() or (self._killed and self._is_late())):
            return self._over()
        if self._is_late():
            self._job.kill()
            self._killed, self._deadline = True, time.monotonic() + GRACE_SECONDS
        return None

    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _reap(self) -> int | None:
        """Return the status of a child that ended by itself. If it was asked to end, its group has to end as well."""
        status = self._job.reap() if self._status is None else None
        if status is None:
            return None
        if self._deadline is None and not self._ending:
            return status
        self._status = status
        if self._job.is_empty():
            return self._over()
        self._job.end()
        self._deadline = self._deadline or time.monotonic() + GRACE_SECONDS
        return None

    def _over(self) -> int | None:
        """Return the status if this process has to end, too; else start the next child."""
        if self._ending:
            return self._status
        self._start()
        return None

    def _renew(self) -> None:
        """End the child, so that the next one starts with the newest environment."""
        newest = self.environments.get()
        if self._ending or newest.generations == self._environment.generations:
            return
        self._environment = newest
        if self._deadline is None:
            self._deadline = time.monotonic() + GRACE_SECONDS
            self._job.end()

    def _pass_on(self, found: signal.struct_siginfo) -> None:
        if found.si_signo in ENDING:
            self._ending = True
            if self._status is None:
                self._deadline = None  # the child may take its time
        if self._status is None:
            self._job.pass_on(found)


def _watch(
    client: TokenClient,
    name: str,
    generation: int | None,
    renewed: Callable[[], Environment],
    environments: _Environments,
) -> None:
    """Put an environment into the queue for each generation other than that of the first child."""
    try:
        for lease in client.watch(name):
            if lease.generation == generation:
                continue
            try:
                environments.put(renewed())
            except TokendError as error:
                complain(f"not restarted with the new {name}: {error}")
            else:
                os.kill(os.getpid(), CHANGED)
    except TokendError as error:
        complain(f"{name} is no longer watched: {error}")
