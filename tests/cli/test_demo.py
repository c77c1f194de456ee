"""``tokend demo``, as a newcomer runs it: a process of its own, without a terminal."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks, not_shown

# The demo promises to end by itself in under a minute.
MINUTE_SECONDS = 60


def start(directory: Path, *options: str) -> subprocess.Popen[str]:
    """Run the demo with a temporary directory of its own and nothing else in the environment."""
    environ = {"PATH": os.environ["PATH"], "TMPDIR": str(directory), "HOME": str(directory)}
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "tokend", "demo", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    )


def processes_of(directory: Path) -> list[int]:
    """The processes whose command line names the directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(directory).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Short: a Unix socket's path must fit into 107 bytes."""
    return tmp_path_factory.mktemp("d")


def test_it_shows_everything_and_ends_by_itself(directory: Path) -> None:
    """Plain lines, status 0, under a minute; nothing is left behind."""
    demo = start(directory)
    output, errors = demo.communicate(timeout=MINUTE_SECONDS)
    assert demo.returncode == 0, output + errors
    assert errors == ""
    for shown in (
        "topstepx     token arrived",
        "tt           written to out/tt_token.json, mode 0600",
        "topstepx     set in out/config.json; everything else in it is as before",
        "topstepx     written to JWT_TOKEN at Railway",
        "railway      redeployed the service bot with it",
        "partner      GET /portfolio accepted it: 200",
        "wallet       issued a JWT that hashes the order",
        "login-links  the same link again: 410",
        "cloud        logged in as demo",
        "cloud        refreshed by itself, with a new refresh token",
        "daemon       killed (SIGKILL) in the middle of a refresh",
        "no login was lost",
        "partner      refreshed by itself",
        "state rejected",
        "topstepx     recovered",
        "everything shown above really happened",
    ):
        assert shown in output
    demo_block = next(block for block in blocks(ROOT / "README.md") if "✓ sandbox" in block.text)
    assert not_shown(demo_block.text.splitlines(), output.splitlines()) == []  # the README shows a real run
    assert [line for line in output.splitlines() if len(line) > 80 and str(directory) not in line] == []
    assert "\x1b" not in output  # no colours without a terminal
    assert "sandbox-projectx-key" not in output
    assert list(directory.iterdir()) == []
    assert processes_of(directory) == []


def test_kept_directory_survives_an_interrupt(directory: Path) -> None:
    """--keep leaves configuration, tokens and logs; Ctrl-C ends the processes and says so by status 130."""
    demo = start(directory, "--keep")
    assert demo.stdout is not None
    for line in demo.stdout:
        if "partner.jwt" in line:
            break
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=MINUTE_SECONDS)
    assert demo.returncode == 130
    assert "Stopped before the end" in output
    (kept,) = directory.iterdir()
    assert f"Kept: {kept}" in output
    assert (kept / "config.toml").is_file()
    assert (kept / "out" / "tt_token.json").stat().st_mode & 0o777 == 0o600
    assert processes_of(kept) == []


def test_a_daemon_that_cannot_run_fails_the_demo(directory: Path) -> None:
    """Status 0 only if all of it happened: here the socket's path is too long to be bound."""
    deep = directory / ("x" * 60) / ("y" * 60)
    deep.mkdir(parents=True)
    demo = start(deep)
    output, errors = demo.communicate(timeout=MINUTE_SECONDS)
    assert demo.returncode == 1
    assert "✗ demo" in output
    assert "tokend.log:" in errors
    assert processes_of(deep) == []
