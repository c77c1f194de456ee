"""`tokend exec`: the program has its signals and its status to itself, and with `--restart-on-change` new tokens."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.running import PATIENCE_SECONDS, Running, environment, eventually, lines, short_directory, tokend
from tests.client.fake_daemon import answering, http

# Says its number and its token, and how it ended: a line each.
PROGRAM = """\
import os, signal, sys, time
def say(text):
    os.write(1, (text + "\\n").encode())
def end(number, _):
    say(f"{os.getpid()} got {signal.Signals(number).name}")
    sys.exit(int(os.environ.get("STATUS", "0")))
for name in os.environ.get("HANDLED", "SIGTERM").split():
    signal.signal(getattr(signal, name), end)
say(f"{os.getpid()} began with {os.environ['T']}")
while True:
    time.sleep(60)
"""


class Child:
    """`tokend exec --restart-on-change` with PROGRAM under it."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path) -> None:
        self.process = process
        self._out = out

    def lines(self) -> list[str]:
        """What the programs have said so far."""
        return self._out.read_text().splitlines()

    def began(self) -> list[tuple[int, str]]:
        """Process id and token of each program so far."""
        return [(int(line.split()[0]), line.split()[-1]) for line in self.lines() if " began with " in line]

    def wait_for(self, number: int) -> tuple[int, str]:
        """Wait for the nth program; returns its process id and its token."""
        assert eventually(lambda: len(self.began()) >= number), self.lines()
        return self.began()[number - 1]

    def status(self) -> int:
        """Wait for the end."""
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def executing(running: Running, *options: str, program: str = PROGRAM, **environ: str) -> Iterator[Child]:
    """Run it until the end of the block."""
    argv = [sys.executable, "-m", "tokend", "exec", "--env", "T=partner", *options, "--", sys.executable, "-c", program]
    with short_directory() as directory, (directory / "out").open("wb") as out:
        process = subprocess.Popen(
            argv, env=environment(TOKEND_SOCKET=str(running.socket), **environ), stdout=out, stdin=subprocess.DEVNULL
        )
        child = Child(process, directory / "out")
        try:
            yield child
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(PATIENCE_SECONDS)
                for pid, _ in child.began():
                    _end(pid)


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def test_the_program_takes_the_place_of_tokend(running: Running) -> None:
    """The same process id, so that signals and exit status need nobody to pass them on."""
    with executing(running, STATUS="7") as child:
        pid, token = child.wait_for(1)
        assert pid == child.process.pid
        assert token == running.client.get("partner").access_token
        child.process.send_signal(signal.SIGTERM)
        assert child.status() == 7


@pytest.mark.parametrize("options", [(), ("--restart-on-change",)])
def test_signals_that_python_ignores_are_the_programs_own_again(running: Running, options: tuple[str, ...]) -> None:
    """SIGPIPE ends a program as it always did: `yes | head` in it does not go on for ever."""
    done = running.tokend("exec", "--env", "T=tt", *options, "--", "sh", "-c", "kill -PIPE $$; exit 3")
    assert done.code in (-signal.SIGPIPE, 128 + signal.SIGPIPE)


def test_a_program_that_cannot_be_run_is_126(running: Running, tmp_path: Path) -> None:
    """What a shell would say: found, but no program."""
    file = tmp_path / "program"
    file.write_bytes(b"\x7fELF nonsense")
    file.chmod(0o755)
    for option in ("--min-ttl=1s", "--restart-on-change"):
        done = running.tokend("exec", "--env", "T=tt", option, "--", str(file))
        assert (done.code, done.out) == (126, "")
        assert "cannot be run" in done.err


def test_a_token_that_cannot_be_had_starts_nothing() -> None:
    """No daemon: exit code 3 and no program."""
    done = tokend("exec", "--env", "T=tt", "--restart-on-change", "--", "echo", "x", TOKEND_SOCKET="/nowhere")
    assert (done.code, done.out) == (3, "")


@pytest.mark.parametrize("options", [(), ("--restart-on-change",)])
def test_found_but_not_executable_is_126_and_not_found_is_127(
    running: Running, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """As shells do it, by a path and by $PATH; a directory is no program either."""
    file = tmp_path / "my-bot"
    file.write_text("#!/bin/sh\n")
    path = f"{tmp_path}:{os.environ['PATH']}"
    for name, code, said in (
        (str(file), 126, "is not executable"), ("my-bot", 126, "is not executable"),
        (str(tmp_path), 126, "a directory"),
        (str(file) + "-2", 127, "command not found"), ("my-bot-2", 127, "command not found"),
    ):  # fmt: skip
        done = running.tokend("exec", "--env", "T=tt", *options, "--", name, PATH=path)
        assert (done.code, done.out) == (code, ""), name
        assert said in done.err


def test_exec_gives_the_token_to_the_program_and_its_status_back() -> None:
    """The variable is set, the exit code is the child's, and nothing of it is in argv."""
    token = b'{"access_token": "abc"}'
    with short_directory() as directory, answering(http(token)) as fake:
        script = f'printf %s "$T" > {directory}/out; exit 9'
        done = tokend("exec", "--env", "T=tt", "--", "sh", "-c", script, TOKEND_SOCKET=fake.path)
        assert (done.code, done.out, done.err) == (9, "", "")
        assert Path(directory / "out").read_text() == "abc"
        assert tokend("exec", "--env", "T=tt", "--", "/nonexistent", TOKEND_SOCKET=fake.path).code == 127
        assert tokend("exec", "--env", "7=tt", "--", "true", TOKEND_SOCKET=fake.path).code == 2


@pytest.mark.parametrize("value", ["fake\0X=evil", "\ud800", 7, None, ["fake"]])
@pytest.mark.parametrize("options", [(), ("--restart-on-change",)])
def test_what_no_environment_can_hold_starts_nothing(options: tuple[str, ...], value: object) -> None:
    """Another program's server: one sentence, no traceback, and nothing of the answer."""
    with answering(http(json.dumps({"access_token": value, "generation": 1}).encode())) as server:
        done = tokend("exec", *options, "--env", "A=tt", "--", "true", TOKEND_SOCKET=server.path)
    assert (done.code, done.out) == (1, "")
    assert lines(done.err) == [
        "tokend: the answer has no 'tt' that an environment can hold: is it tokend that listens there?"
    ]
