"""`tokend watch`: a line now and at each new token, and never the token."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.running import PATIENCE_SECONDS, Running, environment, eventually


@contextmanager
def watching(running: Running, file: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command until the end of the block, with its output in a file."""
    argv = [sys.executable, "-m", "tokend", "watch", "partner", *options]
    with file.open("wb") as out:
        process = subprocess.Popen(
            argv, env=environment(TOKEND_SOCKET=str(running.socket)), stdout=out, stderr=out, stdin=subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)


@pytest.fixture
def ended() -> "Iterator[list[subprocess.Popen[bytes]]]":
    """Processes that are ended with the test, however it ends."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait(PATIENCE_SECONDS)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.mark.parametrize("options", [(), ("-o", "json")])
def test_a_line_now_and_at_each_new_token(running: Running, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Generation, fingerprint, expiry, at once: each line is flushed, also into a pipe."""
    file = tmp_path / "out"
    with watching(running, file, *options) as process:
        assert eventually(lambda: file.read_text().count("\n") == 1)
        lease = running.client.refresh("partner")
        assert eventually(lambda: file.read_text().count("\n") == 2)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 1
    first, second = file.read_text().splitlines()[:2]
    assert first != second
    assert str(lease.fingerprint) in second
    assert lease.access_token not in file.read_text()
    if options:
        row = json.loads(second)
        assert (row["version"], row["name"], row["generation"]) == (1, "partner", lease.generation)
        assert row["expires_at"].endswith("Z")
    else:
        assert second.startswith(f"partner: generation {lease.generation}, fingerprint {lease.fingerprint}, expires 20")


def test_an_unknown_token_is_not_waited_for(running: Running) -> None:
    """Exit code 5 at once; an on-demand one is 2."""
    assert running.tokend("watch", "nosuch").code == 5
    assert running.tokend("watch", "wallet").code == 2


def test_it_ends_with_its_reader(running: Running, ended: "list[subprocess.Popen[bytes]]") -> None:
    """`tokend watch NAME | head -1` is over after that line, not at the next token."""
    argv = [sys.executable, "-m", "tokend", "watch", "partner", "--socket", str(running.socket)]
    process = subprocess.Popen(argv, env=environment(), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    ended.append(process)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"partner: generation")
    process.stdout.close()
    assert process.wait(PATIENCE_SECONDS) == 1


def test_it_says_that_there_is_no_daemon_and_waits_for_it(
    tmp_path: Path, ended: "list[subprocess.Popen[bytes]]"
) -> None:
    """Silence would look like a token that does not change."""
    argv = [sys.executable, "-m", "tokend", "watch", "tt", "--socket", str(tmp_path / "none")]
    process = subprocess.Popen(argv, env=environment(), stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    ended.append(process)
    assert process.stderr is not None
    line = process.stderr.readline().decode()
    assert "no daemon at" in line
    assert line.endswith("(waiting for it)\n")
    assert process.poll() is None
