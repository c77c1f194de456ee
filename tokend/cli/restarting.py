"""One child that is run anew with each new token, and is given every signal that was meant for it.

No handlers: the signals stay blocked, and one loop takes them one by one (sigwaitinfo(2)), so that none falls between
two children. The watching threads say by a real-time signal of their own that there is something new.
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

# As long as container engines give a process before they kill it.
GRACE_SECONDS = 10.0
CHANGED = signal.SIGRTMIN
# What people and supervisors send. Stopping (SIGTSTP) stays with the kernel, which stops parent and child alike.
PASSED_ON = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT,
    signal.SIGWINCH, signal.SIGALRM,
)  # fmt: skip
# Who sends one of these wants an end: it calls a restart off, and none is begun any more.
ENDING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
# siginfo's si_code of a signal that the kernel made: Ctrl-C, sent by the terminal to the whole foreground group.
_BY_KERNEL = 0x80

_WAITED_FOR = frozenset({*PASSED_ON, signal.SIGCHLD, CHANGED})


@dataclass(frozen=True)
class Environment:
    """Variables for a child, and the generations of the tokens among them. Its repr shows no value."""

    variables: Mapping[str, str] = field(repr=False)
    generations: Mapping[str, int | None]


_Arrivals: TypeAlias = "SimpleQueue[Environment]"


def run(
    program: str, argv: Sequence[str], first: Environment, *, client: TokenClient, renewed: Callable[[], Environment]
) -> int:
    """Run the child until it ends by itself; returns its exit status. Raises `OSError` if it cannot be run at all.

    ``renewed`` is called in a thread, and gives the environment for the next child or raises a `TokendError`.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, children would leave no status
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)
    child = _Child(program, argv, first, mask)
    for name, generation in first.generations.items():
        watching = (client, name, generation, renewed, child.arrivals)
        threading.Thread(target=_watch, args=watching, daemon=True).start()
    while (status := child.step()) is None:
        pass
    return status


class _Child:
    """The running child, and what is going on with it."""

    def __init__(
        self, program: str, argv: Sequence[str], first: Environment, mask: "set[signal.Signals] | set[int]"
    ) -> None:
        self.arrivals: _Arrivals = SimpleQueue()
        self._program = program
        self._argv = argv
        self._environment = first
        self._mask = mask
        # While a restart is under way: when the child is killed.
        self._deadline: float | None = None
        self._ending = False
        self._pid = self._start()

    def step(self) -> int | None:
        """Wait for the next thing to happen and do what it asks for; returns the status once all is over."""
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
            return signal.sigwaitinfo(_WAITED_FOR)
        return signal.sigtimedwait(_WAITED_FOR, max(0.0, self._deadline - time.monotonic()))

    def _start(self) -> int:
        defaults = {signal.SIGPIPE, signal.SIGXFSZ}  # which Python ignores
        variables = self._environment.variables
        return os.posix_spawn(self._program, list(self._argv), variables, setsigmask=self._mask, setsigdef=defaults)

    def _reap(self) -> int | None:
        """See whether the child has ended (it may just have been stopped); start it anew if that is why."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid == 0:
            return None
        code = os.waitstatus_to_exitcode(status)
        if self._deadline is None:
            return code if code >= 0 else 128 - code
        self._deadline = None
        self._pid = self._start()
        return None

    def _renew(self) -> None:
        """Have the child end, so that it is started anew with what arrived."""
        arrived = self.arrivals.get()
        if self._ending or arrived.generations == self._environment.generations:
            return
        self._environment = arrived
        if self._deadline is None:
            self._deadline = time.monotonic() + GRACE_SECONDS
            os.kill(self._pid, signal.SIGTERM)
            os.kill(self._pid, signal.SIGCONT)  # a stopped one would not hear of it

    def _pass_on(self, found: signal.struct_siginfo) -> None:
        if found.si_signo in ENDING:
            self._ending, self._deadline = True, None
        if found.si_code != _BY_KERNEL:
            os.kill(self._pid, found.si_signo)


def _watch(
    client: TokenClient, name: str, generation: int | None, renewed: Callable[[], Environment], arrivals: _Arrivals
) -> None:
    """Put an environment into the queue at each generation other than the one that the child began with."""
    try:
        for lease in client.watch(name):
            if lease.generation == generation:
                continue
            try:
                arrivals.put(renewed())
            except TokendError as error:
                complain(f"not restarted with the new {name}: {error}")
            else:
                os.kill(os.getpid(), CHANGED)
    except TokendError as error:
        complain(f"{name} is no longer watched: {error}")
