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

from tokend.cli.streams import complain
from tokend.client import TokenClient, TokendError

# Container engines, too, give a process this long before they kill it.
GRACE_SECONDS = 10.0
CHANGED = signal.SIGRTMIN
# Signals that people and supervisors send. SIGTSTP is left to the kernel, which stops parent and child alike.
PASSED_ON = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT,
    signal.SIGWINCH, signal.SIGALRM,
)  # fmt: skip
# Signals that ask for an end: each cancels a restart that is under way, and no further restart begins.
ENDING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
# siginfo's si_code of a signal from the kernel: Ctrl-C, which the terminal sends to the whole foreground group.
_BY_KERNEL = 0x80

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
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
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
        # Monotonic time at which the child is killed; None while no restart is under way.
        self._deadline: float | None = None
        self._ending = False
        self._pid = self._start()

    def step(self) -> int | None:
        """Act on the next signal or deadline. Returns the exit status when the child has ended by itself, else None."""
        found = self._next_signal()
        if found is None:
            os.kill(self._pid, signal.SIGKILL)
            self._deadline = time.monotonic() + GRACE_SECONDS
        elif found.si_signo == signal.SIGCHLD:
            return self._reap()
        elif found.si_signo == CHANGED:
            self._renew()
        else:
            self._pass_on(found)
        return None

    def _next_signal(self) -> signal.struct_siginfo | None:
        if self._deadline is None:
            return signal.sigwaitinfo(_AWAITED)
        return signal.sigtimedwait(_AWAITED, max(0.0, self._deadline - time.monotonic()))

    def _start(self) -> int:
        defaults = {signal.SIGPIPE, signal.SIGXFSZ}  # Python ignores these two
        variables = self._environment.variables
        return os.posix_spawn(self._program, list(self._argv), variables, setsigmask=self._mask, setsigdef=defaults)

    def _reap(self) -> int | None:
        """Return the status of a child that ended by itself; start the next child if this one ended for a restart."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid == 0:
            return None  # SIGCHLD also reports a stop
        code = os.waitstatus_to_exitcode(status)
        if self._deadline is None:
            return code if code >= 0 else 128 - code
        self._deadline = None
        self._pid = self._start()
        return None

    def _renew(self) -> None:
        """End the child, so that the next one starts with the newest environment."""
        newest = self.environments.get()
        if self._ending or newest.generations == self._environment.generations:
            return
        self._environment = newest
        if self._deadline is None:
            self._deadline = time.monotonic() + GRACE_SECONDS
            os.kill(self._pid, signal.SIGTERM)
            os.kill(self._pid, signal.SIGCONT)  # a stopped process handles SIGTERM only after SIGCONT

    def _pass_on(self, found: signal.struct_siginfo) -> None:
        if found.si_signo in ENDING:
            self._ending, self._deadline = True, None
        if found.si_code != _BY_KERNEL:
            os.kill(self._pid, found.si_signo)


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
