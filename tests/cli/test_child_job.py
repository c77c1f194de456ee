"""The child's group on a terminal: Ctrl-C, Ctrl-Z and `fg` of an interactive shell, by a real pseudo-terminal."""

import os
import pty
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cli.running import PATIENCE_SECONDS, Running, environment

# Reads the terminal, so that it must be in the foreground.
READER = 'echo "reader $$ ready"; while read -r line; do echo "got $line"; done; echo over'


class Terminal:
    """An interactive bash on a pseudo-terminal."""

    def __init__(self, master: int) -> None:
        self._master = master
        self.text = ""

    def type(self, text: str) -> None:
        """Type as a person would."""
        os.write(self._master, text.encode())

    def expect(self, text: str) -> None:
        """Wait for an output that was not waited for before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self.text:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} did not come: {self.text!r}"
            if select.select([self._master], [], [], left)[0]:
                self.text += os.read(self._master, 65536).decode(errors="replace")
        self.text = self.text.partition(text)[2]


@contextmanager
def bash(**environ: str) -> Iterator[Terminal]:
    """An interactive shell with job control, until the end of the block."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment(PS1="> ", TERM="dumb", **environ))  # noqa: S606
    try:
        terminal = Terminal(master)
        terminal.expect("> ")
        yield terminal
    finally:
        os.kill(pid, signal.SIGKILL)
        os.close(master)
        os.waitpid(pid, 0)


def command(running: Running, script: str) -> str:
    """A command line for the shell."""
    return f"python -m tokend exec --restart-on-change --env T=partner -- bash -c '{script}'\n"


def test_the_child_reads_the_terminal_and_stops_and_goes_on_as_a_job(running: Running) -> None:
    """It is the foreground: input arrives, Ctrl-Z gives the shell back, `fg` goes on, Ctrl-D ends it."""
    with bash(TOKEND_SOCKET=str(running.socket)) as shell:
        shell.type(command(running, READER))
        shell.expect("ready\r\n")
        shell.type("one\n")
        shell.expect("got one")
        shell.type("\x1a")
        shell.expect("Stopped")
        shell.type("echo shell$((1+1))\n")
        shell.expect("shell2")
        shell.type("fg\n")
        shell.type("two\n")
        shell.expect("got two")
        shell.type("\x04")
        shell.expect("over")
        shell.type("echo code=$?\n")
        shell.expect("code=0")


def test_ctrl_c_ends_the_child_and_the_shell_has_its_terminal_again(running: Running) -> None:
    """The exit code is the shell's own for that."""
    with bash(TOKEND_SOCKET=str(running.socket)) as shell:
        shell.type(command(running, READER))
        shell.expect("ready\r\n")
        shell.type("\x03")
        shell.expect("> ")
        shell.type("echo code=$?\n")
        shell.expect("code=130")


def test_a_restart_keeps_the_terminal(running: Running) -> None:
    """The next child reads it as the first one did."""
    with bash(TOKEND_SOCKET=str(running.socket)) as shell:
        shell.type(command(running, READER))
        shell.expect("ready\r\n")
        running.client.refresh("partner")
        shell.expect("ready\r\n")
        shell.type("again\n")
        shell.expect("got again")
        shell.type("\x04")
        shell.expect("over")


def test_in_a_pipeline_the_other_programs_keep_the_terminal(running: Running) -> None:
    """The child shares their group: Ctrl-C ends all."""
    with bash(TOKEND_SOCKET=str(running.socket)) as shell:
        shell.type(command(running, READER).rstrip() + " | cat\n")
        shell.expect("ready\r\n")
        shell.type("one\n")
        shell.expect("got one")
        shell.type("\x03")
        shell.expect("> ")
        shell.type("echo code=$?\n")
        shell.expect("code=130")
