"""Announcements after a write: by a command, a signal, systemd; the token goes none of these ways."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.files.children import until
from tests.sinks.leases import PLANTED, lease, sink
from tokend.machine.command import PASSED_ON
from tokend.values.errors import SinkError

RECORDER = """
import json, os, sys
from pathlib import Path
fds = sorted(int(name) for name in os.listdir("/proc/self/fd"))
Path(sys.argv[1]).write_text(json.dumps([sys.argv[2:], dict(os.environ), os.getsid(0) == os.getpid(), fds,
                                         Path(os.environ["TOKEND_FILE"]).read_text()]))
"""


@pytest.fixture
def planted_environment() -> Iterator[str]:
    """A daemon's environment holds secrets."""
    os.environ["PLANTED_FAKE_API_KEY"] = "planted-fake-in-the-environment"
    yield "planted-fake-in-the-environment"
    del os.environ["PLANTED_FAKE_API_KEY"]


def test_a_command_learns_the_file_and_nothing_else(tmp_path: Path, planted_environment: str) -> None:
    """No shell, no token in argv or environment; the path is TOKEND_FILE. The file is written already."""
    record = tmp_path / "record"
    argv = [sys.executable, "-c", RECORDER, str(record), "$(false)", "a b", "*"]
    made = sink("raw", tmp_path / "token", on_change=argv)
    made.write(lease())
    made.announce()
    arguments, environ, leads_session, descriptors, content = json.loads(record.read_text())
    assert arguments == ["$(false)", "a b", "*"]
    assert environ["TOKEND_FILE"] == str(tmp_path / "token")
    assert PLANTED not in json.dumps([arguments, environ])
    assert planted_environment not in json.dumps(environ)
    assert set(environ) <= {*PASSED_ON, "TOKEND_FILE", "LC_CTYPE"}
    assert leads_session
    assert set(descriptors) <= {0, 1, 2, 3}, "nothing of the daemon's is inherited (3 is the listing itself)"
    assert content == PLANTED


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["/nonexistent/program"], "on_change: /nonexistent/program cannot be run: No such file"),
        (["/"], "on_change: / cannot be run: Permission denied"),
        (["false"], "on_change: false failed with exit status 1"),
        (["sh", "-c", "echo out; echo err >&2; exit 7"], "on_change: sh failed with exit status 7"),
        (["sh", "-c", "kill -9 $$"], "on_change: sh was ended by signal 9"),
        (["a\0b"], "cannot be run"),
    ],
)
def test_a_command_that_fails_is_reported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], argv: list[str], told: str
) -> None:
    """By its name and its status; its output goes nowhere. The token stays written."""
    made = sink("raw", tmp_path / "token", on_change=argv)
    made.write(lease())
    with pytest.raises(SinkError) as refused:
        made.announce()
    assert told in str(refused.value)
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "token").read_text() == PLANTED


def test_a_command_that_does_not_end_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """The limit is 30 s; shortened here, in a process of its own."""
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from tests.sinks.leases import sink\nfrom tokend.values.errors import SinkError\n"
        "from tokend.sinks.files import announce\n"
        "assert announce.COMMAND_SECONDS == 30\n"
        "announce.COMMAND_SECONDS = 0.5\n"
        "argv = ['sh', '-c', 'sleep 300 & echo $! >pid.new; mv pid.new pid; wait']\n"
        "try: sink('raw', Path('/nowhere/x'), on_change=argv).announce()\n"
        "except SinkError as error: print(error)\n"
    )
    root = Path(__file__).parents[3]
    environ = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("on_change: sh did not end within")
    grandchild = Path("/proc") / (tmp_path / "pid").read_text().strip()
    until(lambda: not grandchild.exists() or " Z " in (grandchild / "stat").read_text(), "the end of what it started")


@pytest.mark.parametrize("name", ["SIGUSR1", "USR1"])
def test_a_signal_is_sent_to_the_process_of_the_pid_file(tmp_path: Path, name: str) -> None:
    """With or without SIG."""
    with subprocess.Popen(["sleep", "300"]) as reader:
        (tmp_path / "pid").write_text(f"{reader.pid}\n")
        sink("raw", tmp_path / "token", signal={"pid_file": str(tmp_path / "pid"), "signal": name}).announce()
        assert reader.wait(60) == -signal.SIGUSR1


def test_systemd_is_asked_by_its_own_command(tmp_path: Path) -> None:
    """The action and the unit; it is found in PATH and asks nobody for a password."""
    fake = tmp_path / "bin" / "systemctl"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/asked\n')
    fake.chmod(0o755)
    code = (
        "from pathlib import Path\nfrom tests.sinks.leases import sink\n"
        "sink('raw', Path('/nowhere/x'), systemd={'unit': 'app.service'}).announce()\n"
    )
    environ = {
        **os.environ,
        "PATH": f"{fake.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    subprocess.run([sys.executable, "-c", code], env=environ, check=True)
    assert (tmp_path / "asked").read_text().split() == [
        "--no-ask-password",
        "try-reload-or-restart",
        "--",
        "app.service",
    ]


def test_nothing_is_announced_where_nothing_is_set(tmp_path: Path) -> None:
    """And nothing fails."""
    sink("raw", tmp_path / "token").announce()
