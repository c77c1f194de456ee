"""A directory service that takes seconds for a name: nobody waits whose request does not need it."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.daemon.harness import Home, until
from tests.daemon.tables import DAEMON, PARTNER
from tokend.access.policy import NAME_SECONDS

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("cc") is None or shutil.which("setpriv") is None,
    reason="needs a C compiler, and root to act as other users",
)
# What a loaded machine may add; the directory needs 8 s.
SLACK_SECONDS = 2.5
_READ = """
import socket, sys, time
client = socket.socket(socket.AF_UNIX)
client.settimeout(20)
client.connect(sys.argv[1])
started = time.monotonic()
client.sendall(f"GET /v1/tokens/{sys.argv[2]} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n".encode())
print(client.recv(12)[9:].decode(), time.monotonic() - started)
"""
SLOW = 'access = {{ users = ["slow-nobody", "slow-b"], groups = ["slow-c"] }}\n'


@pytest.fixture
def slow_directory(tmp_path: Path) -> str:
    library = tmp_path / "slow_names.so"
    source = Path(__file__).with_name("slow_names.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return str(library)


def read(home: Home, name: str, *, uid: int) -> "subprocess.Popen[str]":
    """Read a token as another user, in a process of its own."""
    who = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    command = [*who, python, "-c", _READ, str(home.socket), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def outcome(reading: "subprocess.Popen[str]") -> tuple[int, float]:
    status, seconds = reading.communicate(timeout=30)[0].split()
    return int(status), float(seconds)


def test_names_that_take_long_delay_neither_the_start_nor_other_readers(home: Home, slow_directory: str) -> None:
    """A start waits 2 s, a request for a hidden token 2 s at most, and the answer counts as soon as it is there."""
    nobody = 65534
    hidden = PARTNER.replace("[providers.partner]\n", "[providers.hidden]\n" + SLOW).replace("partner.", "hidden.")
    home.write(PARTNER, hidden, daemon=DAEMON + 'socket_mode = "0666"\n')
    home.path.chmod(0o755)
    started = time.monotonic()
    daemon = home.start(LD_PRELOAD=slow_directory)
    assert time.monotonic() - started < NAME_SECONDS + 2 * SLACK_SECONDS
    home.socket.parent.chmod(0o755)
    stranger = read(home, "hidden", uid=1001)
    slowest = 0.0
    while stranger.poll() is None:
        status, seconds = outcome(read(home, "partner", uid=1001))
        assert status == 200
        slowest = max(slowest, seconds)
    assert slowest < SLACK_SECONDS
    status, seconds = outcome(stranger)
    assert status == 404
    assert seconds < NAME_SECONDS + SLACK_SECONDS
    assert daemon.get("/v1/tokens/hidden").status == 200  # root needs no name
    until(lambda: outcome(read(home, "hidden", uid=nobody))[0] == 200, "the answer of the directory", seconds=60)
    assert outcome(read(home, "hidden", uid=1001))[0] == 404
