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


@pytest.mark.parametrize("options", [(), ("-o", "json")])
def test_a_line_now_and_at_each_new_token(running: Running, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Generation, fingerprint, expiry, as soon as they are there: whoever reads a pipe need not wait for more."""
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
