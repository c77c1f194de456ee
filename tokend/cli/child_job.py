"""The child of ``tokend exec --restart-on-change`` with its descendants: a process group, and perhaps the terminal."""

import os
import signal
from collections.abc import Mapping, Sequence

# Signals that ask for an end: the whole group gets them, as from a terminal or from systemd. Others go to the child.
ENDING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
# siginfo's si_code of a signal from the kernel: Ctrl-C, which the terminal sends to the whole foreground group.
BY_KERNEL = 0x80


class ChildJob:
    """One running child. ``pid`` is its process id, and the id of its group if it has one of its own.

    It has one of its own unless it shares a terminal with other programs: a process outside of the foreground group may
    not read the terminal, and one that takes the foreground stops the others.
    """

    def __init__(
        self, program: str, argv: Sequence[str], variables: Mapping[str, str], mask: "set[signal.Signals] | set[int]"
    ) -> None:
        """Start the child. ``mask`` is its signal mask. Raises `OSError` if it cannot be run."""
        self._terminal = _own_foreground_terminal()
        self._has_group = self._terminal is not None or not os.isatty(0)
        defaults = {signal.SIGPIPE, signal.SIGXFSZ}  # Python ignores these two
        group = 0 if self._has_group else os.getpgrp()
        self.pid = os.posix_spawn(program, list(argv), variables, setpgroup=group, setsigmask=mask, setsigdef=defaults)
        self._give_terminal()

    def end(self) -> None:
        """Ask the whole group to end; stopped members are woken."""
        self._signal_group(signal.SIGTERM)
        self._signal_group(signal.SIGCONT)  # a stopped process handles SIGTERM only after SIGCONT

    def kill(self) -> None:
        """Kill the whole group."""
        self._signal_group(signal.SIGKILL)

    def pass_on(self, found: signal.struct_siginfo) -> None:
        """Pass a signal on that this process got."""
        if found.si_signo == signal.SIGCONT:
            self._continue()
        elif self._has_group and found.si_signo in ENDING:
            self._signal_group(found.si_signo)
        elif self._has_group or found.si_code != BY_KERNEL:
            os.kill(self.pid, found.si_signo)

    def reap(self) -> int | None:
        """Return the exit code of a child that ended, as a shell reports it; None if it runs on.

        If the terminal has stopped it (Ctrl-Z), this process stops as well, so that the shell goes on.
        """
        pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
        if pid == 0:
            return None
        if os.WIFSTOPPED(status):
            if self._terminal is not None:
                self._take_terminal()
                os.kill(os.getpid(), signal.SIGSTOP)
                # Continued; or process 1 of a container, which the kernel does not stop.
                self._continue()
            return None
        self._take_terminal()
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def is_empty(self) -> bool:
        """Return whether no process of the group is left, after the child has ended."""
        if not self._has_group:
            return True
        try:
            while os.waitpid(-self.pid, os.WNOHANG)[0]:
                pass  # orphans become our children if we are process 1
        except ChildProcessError:
            pass
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False  # those that are left run as another user
        return False

    def _take_terminal(self) -> None:
        """Make this process's group the foreground of its terminal again."""
        if self._terminal is not None and os.tcgetpgrp(self._terminal) == self.pid:
            os.tcsetpgrp(self._terminal, os.getpgrp())

    def _continue(self) -> None:
        self._give_terminal()
        self._signal_group(signal.SIGCONT)

    def _give_terminal(self) -> None:
        """Make the child's group the foreground, if this process's group is."""
        if self._terminal is not None and os.tcgetpgrp(self._terminal) == os.getpgrp():
            os.tcsetpgrp(self._terminal, self.pid)
            self._signal_group(signal.SIGCONT)  # it may have been stopped because it read before this moment

    def _signal_group(self, number: int) -> None:
        try:
            if self._has_group:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return  # it has ended meanwhile, or runs as another user


def _own_foreground_terminal() -> int | None:
    """Return the descriptor of a terminal that an interactive shell has given to this process alone; None without one.

    In a script this process does not lead its group; in a pipeline its output is no terminal.
    """
    try:
        alone = os.isatty(0) and os.isatty(1) and os.getpgrp() == os.getpid()
        return 0 if alone and os.tcgetpgrp(0) == os.getpgrp() else None
    except OSError:
        return None  # a terminal, but not the one that controls this process
