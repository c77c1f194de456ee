"""Streams of the command line: terminals, pipes that end early, streams that are closed or full."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import PATIENCE_SECONDS, Running, environment, lines

COMMANDS = (("get", "tt"), ("list",), ("status",), ("header", "tt"), ("--help",))


def run_shell(running: Running, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which "$@" is the command."""
    return subprocess.run(
        ["bash", "-c", script, "bash", sys.executable, "-m", "tokend", *arguments],
        env=environment(TOKEND_SOCKET=str(running.socket)), capture_output=True, text=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip


def on_terminal(running: Running, *arguments: str, **environ: str) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "tokend", *arguments],
            env=environment(TOKEND_SOCKET=str(running.socket), TERM="xterm", **environ),
            stdout=theirs, stderr=theirs, timeout=PATIENCE_SECONDS, check=True,
        )  # fmt: skip
        return os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize(("where", "why"), [(">&-", "Bad file descriptor"), (">/dev/full", "No space left on device")])
def test_a_stdout_that_cannot_be_written_is_1_and_one_sentence(
    running: Running, command: tuple[str, ...], where: str, why: str
) -> None:
    """Closed or full: nobody must believe that the token was written."""
    done = run_shell(running, f'"$@" {where}', *command)
    assert done.returncode == 1
    assert lines(done.stderr) == [f"tokend: cannot write to standard output: {why}"]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("errors", ["", "2>&-"])
def test_a_reader_that_has_gone_is_no_error_worth_a_word(
    running: Running, command: tuple[str, ...], errors: str
) -> None:
    """`| true`: at most exit code 1, and nothing on stderr."""
    done = run_shell(running, f'"$@" {errors} | true; echo ${{PIPESTATUS[0]}}', *command)
    assert done.stdout in ("0\n", "1\n")
    assert done.stderr == ""


def test_the_first_line_is_enough_for_head(running: Running) -> None:
    """`tokend status | head -1` prints it and no complaint."""
    done = run_shell(running, '"$@" | head -1', "status")
    assert done.stdout.startswith("tokend is ")
    assert done.stderr == ""


@pytest.mark.parametrize(("command", "code"), [(("get", "nosuch"), 5), (("verify", "nosuch"), 5), (("bogus",), 2)])
def test_a_closed_stderr_leaves_the_exit_code_as_it_is(running: Running, command: tuple[str, ...], code: int) -> None:
    """Without a readable stderr the exit code still shows the failure."""
    assert run_shell(running, '"$@" 2>&-', *command).returncode == code


def test_a_terminal_gets_colours(running: Running) -> None:
    """States are coloured on a terminal, nowhere else."""
    assert "\x1b[32mvalid" in on_terminal(running, "list")
    assert "\x1b[32mvalid" in on_terminal(running, "status", "tt")
    assert "\x1b" not in running.tokend("list").out + running.tokend("status").out


def test_no_color_is_honoured(running: Running) -> None:
    """NO_COLOR, if it is not empty: no escape sequence at all."""
    assert "\x1b" not in on_terminal(running, "list", NO_COLOR="1")
    assert "\x1b" not in on_terminal(running, "status", NO_COLOR="1")
    assert "\x1b[32m" in on_terminal(running, "list", NO_COLOR="")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_encoding_without_our_characters_costs_only_those(running: Running, encoding: str) -> None:
    """The help has an ellipsis, which not every terminal can show: the rest is still printed."""
    plain = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}
    done = running.tokend("get", "--help", **plain)
    assert (done.code, done.err) == (0, "")
    assert "Print a token" in done.out
    assert "NAME_TOKEN=" in done.out


def test_the_console_script_is_the_same_command(running: Running) -> None:
    """`tokend` as pip installs it."""
    script = Path(sys.executable).with_name("tokend")
    if not script.exists():
        pytest.skip("tokend is not installed beside this interpreter")
    done = subprocess.run(
        [script, "get", "tt", "--socket", str(running.socket)], env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, running.client.get("tt").access_token + "\n")
