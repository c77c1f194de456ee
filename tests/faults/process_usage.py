"""Reports of the kernel about a running daemon. Its /proc is closed to everybody but root."""

import os
import re
from pathlib import Path

from tests.daemon.harness import Daemon


def megabytes(daemon: Daemon, field: str = "VmRSS") -> float:
    """A size from /proc/PID/status: VmRSS is what it uses now, VmHWM the most that it ever used."""
    text = Path(f"/proc/{daemon.process.pid}/status").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE)
    assert found is not None, field
    return int(found[1]) / 1024


def descriptors(daemon: Daemon) -> int | None:
    """How many it has open; None where that may not be seen."""
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd")) if os.geteuid() == 0 else None  # noqa: PTH208


def has_descriptors(daemon: Daemon, at_most: int) -> bool:
    """Return whether it has no more than ``at_most`` open."""
    found = descriptors(daemon)
    assert found is not None
    return found <= at_most


def cpu_seconds(daemon: Daemon) -> float:
    """The processor time that it has used."""
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
