"""What systemd hears, over a real datagram socket."""

import os
import socket
import subprocess
import sys

SCRIPT = """
from tokend.notify import Notifier
n = Notifier()
n.reloading(); n.ready(); n.status("5 tokens, 1 failing: tt (grün)\\nsecond line"); n.alive(); n.stopping()
print(n.watchdog_seconds())
"""


def heard(path, **environ) -> tuple[list[str], str]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        server.settimeout(5)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            capture_output=True, text=True, check=True, timeout=30,
            env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(path), **environ},
        )  # fmt: skip
        return [server.recv(4096).decode() for _ in range(5)], done.stdout.strip()


def test_the_messages_are_those_of_sd_notify(tmp_path):
    """RELOADING with MONOTONIC_USEC, then READY; STATUS in one ASCII line; WATCHDOG; STOPPING."""
    messages, interval = heard(tmp_path / "notify", WATCHDOG_USEC="3000000")
    assert messages[0].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert messages[1:] == ["READY=1", "STATUS=5 tokens, 1 failing: tt (gr?n) second line", "WATCHDOG=1", "STOPPING=1"]
    assert interval == "1.5"


def test_a_watchdog_meant_for_another_process_is_not_fed(tmp_path):
    """WATCHDOG_PID."""
    assert heard(tmp_path / "notify", WATCHDOG_USEC="3000000", WATCHDOG_PID="1")[1] == "None"
