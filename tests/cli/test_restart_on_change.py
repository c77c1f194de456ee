"""`tokend exec --restart-on-change`: restarts, signals, exit status."""

import os
import signal

import pytest

from tests.cli.running import Running, eventually, short_directory
from tests.cli.test_exec import PROGRAM, executing


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
