"""`tokend exec --restart-on-change`: restarts, signals, exit status."""

import os
import signal
from pathlib import Path

import pytest

from tests.cli.running import Running, eventually, short_directory
from tests.cli.test_exec import PROGRAM, Child, executing


def test_a_new_token_starts_the_program_again(running: Running) -> None:
    """SIGTERM to the old one, then a new one with the new token; tokend stays."""
    with executing(running, "--restart-on-change") as child:
        first, old = child.wait_for(1)
        assert first != child.process.pid
        running.client.refresh("partner")
        second, new = child.wait_for(2)
        assert second != first
        assert new not in (old, "")
        assert f"{first} got SIGTERM" in child.lines()
        assert child.process.poll() is None
        child.process.send_signal(signal.SIGTERM)
        assert child.status() == 0


def test_a_stopped_program_is_started_again_too(running: Running) -> None:
    """It is woken to hear of its end."""
    with executing(running, "--restart-on-change") as child:
        first, _ = child.wait_for(1)
        os.kill(first, signal.SIGSTOP)
        running.client.refresh("partner")
        child.wait_for(2)
        assert f"{first} got SIGTERM" in child.lines()


@pytest.mark.parametrize(
    "name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGWINCH"]
)
def test_signals_are_passed_on_and_the_status_comes_back(running: Running, name: str) -> None:
    """What the parent is sent, the program hears; its exit status is tokend's."""
    with executing(running, "--restart-on-change", HANDLED=name, STATUS="9") as child:
        pid, _ = child.wait_for(1)
        child.process.send_signal(getattr(signal, name))
        assert child.status() == 9
        assert f"{pid} got {name}" in child.lines()


def test_a_program_that_a_signal_ended_is_128_more(running: Running) -> None:
    """Shells report it in the same way."""
    with executing(running, "--restart-on-change") as child:
        pid, _ = child.wait_for(1)
        os.kill(pid, signal.SIGKILL)
        assert child.status() == 128 + signal.SIGKILL


def test_who_asks_for_the_end_gets_no_new_program(running: Running) -> None:
    """SIGTERM while a restart waits for a slow program, or before: it ends, and that is all."""
    slow = PROGRAM.replace(
        "    sys.exit(", "    while not os.path.exists(os.environ['GO']): time.sleep(0.01)\n    sys.exit("
    )
    with short_directory() as directory, executing(
        running, "--restart-on-change", program=slow, STATUS="5", GO=str(directory / "go")
    ) as child:  # fmt: skip
        pid, _ = child.wait_for(1)
        running.client.refresh("partner")
        assert eventually(lambda: f"{pid} got SIGTERM" in child.lines())
        child.process.send_signal(signal.SIGTERM)
        # The program hears a second SIGTERM: now the parent has taken ours.
        assert eventually(lambda: child.lines().count(f"{pid} got SIGTERM") == 2)
        running.client.refresh("partner")
        (directory / "go").touch()
        assert child.status() == 5
        assert len(child.began()) == 1


# A program that starts another and goes on: the other one is the grandchild of tokend. It ignores SIGTERM if
# $STUBBORN is set.
FAMILY = """\
import os, signal, sys, time
def say(text):
    os.write(1, (text + "\\n").encode())
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN if os.environ.get("STUBBORN") else signal.SIG_DFL)
    say(f"grandchild {os.getpid()} of {os.getppid()}")
    time.sleep(600)
    os._exit(0)
signal.signal(signal.SIGTERM, lambda *_: os._exit(3))
say(f"{os.getpid()} began with {os.environ['T']}")
while True:
    time.sleep(60)
"""


def grandchildren(child: Child) -> list[int]:
    """Their process ids, in order."""
    return [int(line.split()[1]) for line in child.lines() if line.startswith("grandchild ")]


def is_gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]
    except FileNotFoundError:
        return True


def test_a_restart_ends_grandchildren_too(running: Running) -> None:
    """What a shell or a launcher has started holds the old token as well."""
    with executing(running, "--restart-on-change", program=FAMILY) as child:
        child.wait_for(1)
        assert eventually(lambda: len(grandchildren(child)) == 1)
        running.client.refresh("partner")
        child.wait_for(2)
        assert is_gone(grandchildren(child)[0])
        child.process.send_signal(signal.SIGTERM)
        assert child.status() == 3
        assert eventually(lambda: all(map(is_gone, grandchildren(child))))


def test_a_grandchild_that_ignores_sigterm_is_killed(running: Running) -> None:
    """After the time that a program has to end; at the end as well as at a restart."""
    with executing(running, "--restart-on-change", program=FAMILY, STUBBORN="1") as child:
        child.wait_for(1)
        assert eventually(lambda: len(grandchildren(child)) == 1)
        child.process.send_signal(signal.SIGTERM)
        assert child.status() == 3
        assert is_gone(grandchildren(child)[0])


def test_other_signals_go_to_the_program_alone(running: Running) -> None:
    """SIGHUP is a request to the program, not to its workers."""
    program = FAMILY.replace("signal.SIGTERM, lambda", "signal.SIGHUP, lambda")
    with executing(running, "--restart-on-change", program=program) as child:
        child.wait_for(1)
        assert eventually(lambda: len(grandchildren(child)) == 1)
        child.process.send_signal(signal.SIGHUP)
        assert child.status() == 3
        (pid,) = grandchildren(child)
        assert not is_gone(pid)
        os.kill(pid, signal.SIGKILL)
