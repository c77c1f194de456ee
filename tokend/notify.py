"""Tell systemd how we are. Without ``$NOTIFY_SOCKET`` every method does nothing."""

import os
import time

import sdnotify

# A datagram of sd_notify(3) must stay below 4,096 bytes.
LONGEST_STATUS = 3000


class Notifier:
    """The messages of sd_notify(3) that a reloading daemon sends."""

    def __init__(self) -> None:
        self._systemd = sdnotify.SystemdNotifier()

    def ready(self) -> None:
        """Configuration applied, sockets listening, persisted tokens served; also the end of each reload."""
        self._systemd.notify("READY=1")

    def reloading(self) -> None:
        """A reload begins. `ready` must follow, also when the configuration was refused."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._systemd.notify(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """The end begins."""
        self._systemd.notify("STOPPING=1")

    def status(self, text: str) -> None:
        """Say in words how things are."""
        # sdnotify encodes latin-1: anything beyond would raise.
        line = " ".join(text.split()).encode("ascii", "replace").decode()[:LONGEST_STATUS]
        self._systemd.notify(f"STATUS={line}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._systemd.notify("WATCHDOG=1")

    @staticmethod
    def watchdog_seconds() -> float | None:
        """How often to call `alive`: half of what systemd allows; None if it does not watch us."""
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
        return int(microseconds) / 2e6 if microseconds.isdigit() and pid == str(os.getpid()) else None
