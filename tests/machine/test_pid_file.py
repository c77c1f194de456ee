"""Signals by pid files, which belong to readers: to the process of the file's owner, and to nothing else."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tokend.machine.pid_file import send_signal
from tokend.values.errors import SinkError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files and processes of several users")
READER, OTHER = 54321, 54322


@pytest.fixture
def reader(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that a signal ends, with its pid file."""
    with subprocess.Popen(["sleep", "300"]) as process:
        (tmp_path / "pid").write_text(f"{process.pid}\n")
        yield process
        process.kill()


def refusal(path: Path) -> str:
    with pytest.raises(SinkError) as refused:
        send_signal(path, signal.SIGTERM)
    return str(refused.value)


def test_the_process_gets_the_signal(tmp_path: Path, reader: "subprocess.Popen[bytes]") -> None:
    """The plain case: file and process of one user."""
    send_signal(tmp_path / "pid", signal.SIGHUP)
    assert reader.wait(60) == -signal.SIGHUP


@pytest.mark.parametrize(
    "content", [b"", b"0", b"1", b"-1", b"12x", b"\xff\xfe", b"\xc2\xb2", b"9" * 30, b"4194305", b"7" + b" " * 64, None]
)
def test_a_pid_file_that_names_no_process_is_reported(tmp_path: Path, content: bytes | None) -> None:
    """Never process 0 (our own group), 1 (init) or -1 (everybody)."""
    if content is not None:
        (tmp_path / "pid").write_bytes(content)
    assert refusal(tmp_path / "pid").startswith(f"signal: {tmp_path}/pid")


def test_tokend_never_signals_itself_nor_one_of_its_threads(tmp_path: Path) -> None:
    """SIGTERM to itself would be a clean end, after which nobody starts it again."""
    (tmp_path / "pid").write_text(str(os.getpid()))
    assert "names tokend itself" in refusal(tmp_path / "pid")
    going = threading.Event()
    thread = threading.Thread(target=going.wait)
    thread.start()
    try:
        (tmp_path / "pid").write_text(str(thread.native_id))
        assert f"process {thread.native_id}: " in refusal(tmp_path / "pid")
    finally:
        going.set()
        thread.join()


def test_a_process_that_is_gone_is_reported(tmp_path: Path) -> None:
    """A stale pid file."""
    done = subprocess.Popen(["true"])
    done.wait()
    (tmp_path / "pid").write_text(str(done.pid))
    assert "No such process" in refusal(tmp_path / "pid")


def test_only_a_small_regular_file_is_read(tmp_path: Path, reader: "subprocess.Popen[bytes]") -> None:
    """A fifo would hold the thread, /dev/zero would fill the memory, a link leads where its maker likes."""
    real = tmp_path / "pid"
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "directory").mkdir()
    assert "is no regular file" in refusal(tmp_path / "fifo")
    assert "is no regular file" in refusal(Path("/dev/zero"))
    assert "is no regular file" in refusal(tmp_path / "directory")
    assert "it is a symbolic link" in refusal(tmp_path / "link")
    (tmp_path / "second name").hardlink_to(real)
    assert "is a hard link" in refusal(real)
    (tmp_path / "large").write_bytes(f"{reader.pid}\n".encode() + b"\n" * 100)
    assert "holds no process id" in refusal(tmp_path / "large")
    assert reader.poll() is None


@as_root
@pytest.mark.parametrize("owner", [READER, OTHER])
def test_a_readers_file_reaches_only_that_readers_processes(
    tmp_path: Path, reader: "subprocess.Popen[bytes]", owner: int
) -> None:
    """Otherwise every user who may write the file could have any process signalled by root."""
    os.chown(tmp_path / "pid", owner, owner)
    assert f"belongs to uid {owner}, process {reader.pid} runs as uid 0" in refusal(tmp_path / "pid")
    assert reader.poll() is None


@as_root
def test_a_process_of_the_files_owner_and_any_process_by_roots_file(tmp_path: Path) -> None:
    """Also where root's file names the process of another."""
    for owner in (READER, 0):
        with subprocess.Popen(["sleep", "300"], user=READER, group=READER, extra_groups=[]) as theirs:
            (tmp_path / "pid").write_text(f"{theirs.pid}\n")
            os.chown(tmp_path / "pid", owner, owner)
            send_signal(tmp_path / "pid", signal.SIGUSR1)
            assert theirs.wait(60) == -signal.SIGUSR1


@as_root
def test_a_process_that_has_another_user_id_in_reserve_is_not_the_readers(tmp_path: Path) -> None:
    """Such as a set-user-ID program that the reader has started: its saved id is root's."""
    code = f"import os, time; os.setresuid({READER}, {READER}, 0); print(flush=True); time.sleep(300)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (tmp_path / "pid").write_text(f"{process.pid}\n")
        os.chown(tmp_path / "pid", READER, READER)
        assert f"belongs to uid {READER}" in refusal(tmp_path / "pid")
        assert process.poll() is None
        process.kill()
