"""Commands: their output and status, their limits, and their end together with the daemon."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.files.children import until
from tokend.machine import command
from tokend.machine.command import (
    CommandStop,
    EndedCommand,
    end_commands,
    failure_of_command,
    kill_commands,
    run_command,
)

ENVIRON = {"PATH": os.environ["PATH"]}


def ended(pid: int) -> bool:
    """Whether a process has ended, waited for or not."""
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


class Running(threading.Thread):
    """A command in a thread; ``result`` is its end or its exception."""

    def __init__(self, script: str, seconds: float = 300, **environ: str) -> None:
        super().__init__(daemon=True)
        self.script, self.seconds, self.environ = script, seconds, {**ENVIRON, **environ}
        self.result: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.result = run_command(["sh", "-c", self.script], self.environ, seconds=self.seconds)
        except Exception as error:
            self.result = error


def test_output_and_status_are_returned() -> None:
    """The output is not in the repr: it may be a secret."""
    done = run_command(["sh", "-c", "printf planted-fake; exit 3"], ENVIRON, seconds=60, output_limit=100)
    assert (done.status, done.output) == (3, b"planted-fake")
    assert "planted-fake" not in repr(done)
    assert run_command(["sh", "-c", "kill -9 $$"], ENVIRON, seconds=60).status == -9
    assert run_command(["sh", "-c", "echo unread"], ENVIRON, seconds=60).output == b""


def test_an_endless_output_is_cut_and_its_command_killed() -> None:
    """At one byte more than the limit."""
    done = run_command(["cat", "/dev/zero"], ENVIRON, seconds=60, output_limit=1000)
    assert (done.status, done.output) == (-signal.SIGKILL, bytes(1001))


def test_a_program_that_others_could_change_is_not_started(tmp_path: Path) -> None:
    """It would run as the daemon's user: by its path, and by its name in $PATH."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o757)
    for name in (str(program), "program"):
        with pytest.raises(PermissionError, match=f"unsafe_path: every user may write to {program}"):
            run_command([name], {"PATH": f"{tmp_path}:{os.environ['PATH']}"}, seconds=10)
    assert not (tmp_path / "ran").exists()
    program.chmod(0o755)
    assert run_command([str(program)], ENVIRON, seconds=10).status == 0
    assert (tmp_path / "ran").exists()


def test_a_command_that_cannot_be_started_is_an_error() -> None:
    """As `subprocess.Popen` raises it."""
    with pytest.raises(FileNotFoundError):
        run_command(["/nonexistent/program"], ENVIRON, seconds=60)


@pytest.mark.parametrize("output_limit", [0, 100])
def test_a_command_out_of_time_is_killed_with_all_it_started(tmp_path: Path, output_limit: int) -> None:
    """Whether its output is read or not."""
    script = f"sleep 300 & echo $! >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; wait"
    with pytest.raises(TimeoutError):
        run_command(["sh", "-c", script], ENVIRON, seconds=0.5, output_limit=output_limit)
    until(lambda: ended(int((tmp_path / "pid").read_text())), "the end of the child")


@pytest.mark.parametrize(("end", "trap", "status"), [
    (end_commands, "", -signal.SIGTERM), (end_commands, "trap '' TERM;", -signal.SIGKILL),
    (end_commands, "trap 'exit 5' TERM;", 5), (kill_commands, "trap '' TERM;", -signal.SIGKILL),
])  # fmt: skip
def test_all_commands_end_with_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: Any, trap: str, status: int
) -> None:
    """With their children; those that hear nothing are killed."""
    if status != -signal.SIGKILL:
        monkeypatch.setattr(command, "GRACE_SECONDS", 60.0)  # a busy machine may take more than the daemon has
    script = f"{trap} sleep 300 & echo $! >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; wait; wait; wait"
    running = Running(script)
    until((tmp_path / "pid").exists, "the start")
    child = int((tmp_path / "pid").read_text())
    end()
    running.join(60)
    assert isinstance(running.result, EndedCommand)
    assert running.result.status == status
    until(lambda: ended(child), "the end of the child")
    assert not command._running.pids


def test_what_does_not_hear_the_end_is_killed_when_its_command_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command ends in good time, its child ignores the signal."""
    monkeypatch.setattr(command, "GRACE_SECONDS", 1.0)
    child = f"trap '' TERM; echo $$ >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; exec sleep 300"
    running = Running('trap "exit 5" TERM; sh -c "$CHILD" & wait; wait', CHILD=child)
    until((tmp_path / "pid").exists, "the start")
    end_commands()
    running.join(60)
    assert running.result.status == 5
    until(lambda: ended(int((tmp_path / "pid").read_text())), "the end of the child")


def test_what_a_command_has_started_may_tidy_up_when_the_command_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as the command itself may."""
    monkeypatch.setattr(command, "GRACE_SECONDS", 60.0)
    work = f"sleep 300 & trap 'kill $!; sleep 0.5; touch {tmp_path}/tidy; exit' TERM; touch {tmp_path}/ready; wait"
    running = Running('trap "exit 5" TERM; sh -c "$CHILD" & wait; wait', CHILD=work)
    until((tmp_path / "ready").exists, "the start")
    end_commands()
    running.join(60)
    assert running.result.status == 5
    assert (tmp_path / "tidy").exists()


def test_a_command_that_is_being_started_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end comes between the start of the process and its registration."""
    start = subprocess.Popen

    def ends_meanwhile(*arguments: Any, **keys: Any) -> Any:
        process = start(*arguments, **keys)
        kill_commands()
        return process

    monkeypatch.setattr(subprocess, "Popen", ends_meanwhile)
    assert run_command(["sleep", "300"], ENVIRON, seconds=60).status == -signal.SIGKILL


def test_a_second_end_finds_nothing(tmp_path: Path) -> None:
    """What has ended is signalled no more: another process may have its id."""
    code = textwrap.dedent("""
        from tokend.machine.command import end_commands, run_command
        run_command(["true"], {"PATH": "/usr/bin:/bin"}, seconds=60)
        import os
        os.killpg = None  # would raise
        end_commands()
        end_commands()
    """)
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(root)})


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["true"], None),
        (["sh", "-c", "exit 7"], "sh failed with exit status 7"),
        (["sh", "-c", "kill -9 $$"], "sh was ended by signal 9"),
        (["/nonexistent/program"], "/nonexistent/program cannot be run: No such file or directory"),
        (["a\0b"], "a\0b cannot be run: embedded null byte"),
    ],
)
def test_why_a_command_fails_is_told_in_a_sentence(argv: list[str], told: str | None) -> None:
    """Callers show it to the operator."""
    assert failure_of_command(argv, {}, seconds=60) == told


def test_a_command_that_hangs_has_failed() -> None:
    """The sentence names the limit."""
    assert failure_of_command(["sleep", "300"], {}, seconds=0.2) == "sleep did not end within 0.2 s"


def test_a_command_gets_what_is_added_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's environment may hold secrets."""
    monkeypatch.setenv("FAKE_SECRET", "planted-fake")
    script = 'test "$TOKEND_FILE" = /run/x && test -n "$PATH" && test -z "$FAKE_SECRET"'
    assert failure_of_command(["sh", "-c", script], {"TOKEND_FILE": "/run/x"}, seconds=60) is None


def test_a_command_that_is_not_wanted_any_more_is_ended_with_its_group(tmp_path: Path) -> None:
    """From another thread: the one that waits for it is not free."""
    stop, result = CommandStop(), list[EndedCommand]()
    script = f"sleep 600 & echo $! > {tmp_path}/child; wait"
    thread = threading.Thread(
        target=lambda: result.append(run_command(["sh", "-c", script], ENVIRON, seconds=300, stop=stop)), daemon=True
    )
    thread.start()
    until(lambda: (tmp_path / "child").exists() and bool((tmp_path / "child").read_text().strip()), "the child")
    stop.stop()
    thread.join(20)
    assert result[0].status == -signal.SIGKILL
    until(lambda: ended(int((tmp_path / "child").read_text())), "its end")


def test_a_command_that_is_not_wanted_before_it_begins_is_not_started(tmp_path: Path) -> None:
    """It waited for a thread meanwhile. A stop after the end does nothing, also if the pid is another command's."""
    stop, mark = CommandStop(), tmp_path / "ran"
    assert run_command(["true"], ENVIRON, seconds=60, stop=stop).status == 0
    stop.stop()
    with pytest.raises(TimeoutError):
        run_command(["touch", str(mark)], ENVIRON, seconds=60, stop=stop)
    assert not mark.exists()


def test_a_stop_while_a_command_is_being_started_counts() -> None:
    """Between its start and the note of its pid."""
    stop = CommandStop()
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    command._running.add(process.pid, command._running.ends)
    try:
        stop.stop()
        stop.begun(process.pid)
        assert process.wait(20) == -signal.SIGKILL
    finally:
        command._running.remove(process.pid)
