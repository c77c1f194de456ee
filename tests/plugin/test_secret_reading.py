"""Secrets are read from each kind of place, with real files, variables and programs."""

import base64
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from tokend.plugin.secret_reading import read_secret
from tokend.plugin.secret_source import SecretField, SecretSource
from tokend.values.errors import SecretError

PLANTED = "planted-fake-secret-2"


class Model(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)
    secret: SecretField


def source(table: Any, directory: str = ".") -> SecretSource:
    return Model.model_validate({"secret": table}, context={"directory": directory}).secret


def test_each_place_gives_its_secret(tmp_path: Path) -> None:
    """env, file (relative to the configuration), credential, command, literal."""
    (tmp_path / "key").write_text(PLANTED + "\n")
    environ = {"KEY": PLANTED, "CREDENTIALS_DIRECTORY": f"{tmp_path}:/elsewhere"}
    for table in (
        {"env": "KEY"},
        {"file": "key"},
        {"credential": "key"},
        {"command": [sys.executable, "-c", f"print({PLANTED!r})"]},
        PLANTED,
    ):
        assert read_secret(source(table, str(tmp_path)), environ).reveal() == PLANTED


@pytest.mark.parametrize(("written", "read"), [("a\n", "a"), ("a\n\n", "a\n"), ("a\r\n", "a"), (" a ", " a ")])
def test_one_trailing_newline_is_stripped_and_nothing_else(tmp_path: Path, written: str, read: str) -> None:
    """Inner and other white space may be part of a secret."""
    (tmp_path / "key").write_bytes(written.encode())
    assert read_secret(source({"file": "key"}, str(tmp_path))).reveal() == read


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("base64", base64.b64encode(b"\xff\xfe\x00k").decode()),
        ("base64", base64.urlsafe_b64encode(b"\xff\xfe\x00k").decode().rstrip("=")),
        ("hex", "fffe006b"),
        ("base32", "777AA2Y="),
        ("base32", "777a a2y"),
        ("base32", "777-aa2y\t"),
    ],
)
def test_encoded_keys_become_bytes(encoding: str, text: str) -> None:
    """Both base64 alphabets, padding optional; hex; base32 as seeds of one-time passwords are shown."""
    assert read_secret(source({"env": "K", "encoding": encoding}), {"K": text}).reveal_bytes() == b"\xff\xfe\x00k"


@pytest.mark.parametrize(
    ("table", "environ", "expected"),
    [
        ({"env": "MISSING"}, {}, "environment variable MISSING is not set"),
        ({"env": "EMPTY"}, {"EMPTY": ""}, "environment variable EMPTY is empty"),
        ({"file": "/nonexistent/key"}, {}, "No such file"),
        ({"credential": "k"}, {}, r"\$CREDENTIALS_DIRECTORY is not set"),
        ({"credential": "../k"}, {"CREDENTIALS_DIRECTORY": "/tmp"}, "one file name"),
        ({"command": ["/nonexistent"]}, {}, "cannot be run"),
        ({"command": ["sh", "-c", f"echo {PLANTED} >&2; echo {PLANTED}; exit 3"]}, {}, "failed with exit status 3"),
        ({"env": "BAD", "encoding": "hex"}, {"BAD": PLANTED}, "not valid hex"),
        ({"env": "BAD", "encoding": "base64"}, {"BAD": PLANTED + "!"}, "not valid base64"),
        ({"env": "BAD", "encoding": "base32"}, {"BAD": PLANTED + "!"}, "not valid base32"),
        ({"env": "BAD", "encoding": "base32"}, {"BAD": "A"}, "not valid base32"),
        ({"env": "NEWLINE"}, {"NEWLINE": "\n"}, "is empty"),
    ],
)
def test_what_cannot_be_read_is_named_without_its_content(
    table: dict[str, Any], environ: dict[str, str], expected: str
) -> None:
    """SecretError names place and reason, never the value, nor the output of a command."""
    with pytest.raises(SecretError, match=expected) as refused:
        read_secret(source(table), environ)
    assert PLANTED not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_file_that_keeps_changing_is_not_believed(tmp_path: Path) -> None:
    """A file is read until two reads agree. This file changes at each read."""
    fifo = tmp_path / "endless"
    fifo.symlink_to("/proc/sys/kernel/random/uuid")
    with pytest.raises(SecretError, match="keeps changing"):
        read_secret(source({"file": "endless"}, str(tmp_path)))


def test_a_command_gets_no_input_and_a_limit_of_output() -> None:
    """Standard input is closed, and megabytes of output are refused."""
    assert read_secret(source({"command": ["sh", "-c", "cat; echo end"]})).reveal() == "end"
    with pytest.raises(SecretError, match="not a secret"):
        read_secret(source({"command": ["head", "-c", "100000", "/dev/zero"]}))
    assert os.environ.get("TOKEND_TEST_NEVER_SET") is None


def test_a_command_gets_no_secret_of_the_daemon_s_environment() -> None:
    """A command gets only the variables that a program needs to run: the others may hold secrets."""
    environ = {"PATH": os.environ["PATH"], "HOME": "/somewhere", "API_KEY": PLANTED, "NOTIFY_SOCKET": "/x"}
    printed = read_secret(source({"command": ["env"]}), environ).reveal()
    assert "HOME=/somewhere" in printed
    assert PLANTED not in printed
    assert "NOTIFY_SOCKET" not in printed


def test_a_command_that_prints_without_end_is_cut_off_and_ended(tmp_path: Path) -> None:
    """After 64 KiB the command and the processes that it started are killed."""
    pids = tmp_path / "pids"
    script = f"sleep 1000 & echo $! $$ > {pids}; exec yes"
    with pytest.raises(SecretError, match="printed more than 65536 bytes"):
        read_secret(source({"command": ["sh", "-c", script]}))
    for pid in map(int, pids.read_text().split()):
        wait_until(partial(has_ended, pid))


def test_what_a_command_started_may_live_on_if_it_let_go(tmp_path: Path) -> None:
    """An agent of gpg or ssh, started by the first command that needs one, must serve the next command."""
    pids = tmp_path / "pids"
    script = f"sleep 1000 > /dev/null & echo $! > {pids}; echo {PLANTED}"
    assert read_secret(source({"command": ["sh", "-c", script]})).reveal() == PLANTED
    agent = int(pids.read_text())
    try:
        assert not has_ended(agent)
    finally:
        os.kill(agent, signal.SIGKILL)


@pytest.mark.parametrize("size", [65536, 65537])
def test_a_secret_has_at_most_64_kib(tmp_path: Path, size: int) -> None:
    """The limit holds for files and commands."""
    (tmp_path / "key").write_bytes(b"k" * size)
    for table in ({"file": "key"}, {"command": ["cat", str(tmp_path / "key")]}):
        if size > 65536:
            with pytest.raises(SecretError, match="not a secret"):
                read_secret(source(table, str(tmp_path)))
        else:
            assert len(read_secret(source(table, str(tmp_path))).reveal_bytes()) == size


def test_neither_a_fifo_nor_a_device_is_read(tmp_path: Path) -> None:
    """The open of a fifo without a writer must not block. No descriptor is left open."""
    os.mkfifo(tmp_path / "fifo")
    before = set(Path("/proc/self/fd").iterdir())
    for path, reason in (
        (tmp_path / "fifo", "no regular file"),
        ("/dev/zero", "no regular file"),
        ("/", "a directory"),
    ):
        with pytest.raises(SecretError, match=f"cannot be read: it is {reason}"):
            read_secret(source({"file": str(path)}))
    assert set(Path("/proc/self/fd").iterdir()) == before


def has_ended(pid: int) -> bool:
    """Return whether a process is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(condition: Callable[[], bool]) -> None:
    """Poll for at most ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
