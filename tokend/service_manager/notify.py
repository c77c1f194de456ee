"""Tell systemd how we are. Without ``$NOTIFY_SOCKET`` every method does nothing."""

import errno
import os
import socket
import time

import sdnotify

# A datagram of sd_notify(3) must stay below 4,096 bytes.
LONGEST_STATUS = 3000
# systemd reads at once unless it is in trouble itself; the loop must not hang with it.
SEND_SECONDS = 0.5
# Longer than one step of a start may hang: reading a file, saving a record.
EXTEND_SECONDS = 30.0


class Notifier:
    """The messages of sd_notify(3) that a reloading daemon sends."""

    def __init__(self) -> None:
        self._systemd = sdnotify.SystemdNotifier() if "NOTIFY_SOCKET" in os.environ else None
        self._stopping = False
        if self._systemd is not None and self._systemd.socket is not None:
            self._systemd.socket.settimeout(SEND_SECONDS)

    @property
    def connected(self) -> bool:
        """Whether there is a systemd to tell."""
        return self._systemd is not None and self._systemd.socket is not None

    def ready(self) -> None:
        """Configuration applied, sockets listening, persisted tokens served; also the end of each reload."""
        if not self._stopping:
            self._send("READY=1")

    def reloading(self) -> None:
        """A reload begins. `ready` must follow, also when the configuration was refused."""
        if not self._stopping:
            self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The end begins; nothing is ready after that."""
        self._stopping = True
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Say in words how things are."""
        # sdnotify encodes latin-1: anything beyond would raise.
        line = " ".join(text.split()).encode("ascii", "replace").decode()[:LONGEST_STATUS]
        self._send(f"STATUS={line}")

    def extend(self, seconds: float = EXTEND_SECONDS) -> None:
        """Ask for so much more time from now, while what systemd waits for (start or stop) goes on."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def store(self, name: str, descriptor: int) -> None:
        """Give systemd a copy of ``descriptor`` to keep for the next start. Raises OSError.

        Whether it did is not to be known: without FileDescriptorStoreMax= in the unit it closes it again.
        """
        # sdnotify passes no descriptors.
        if self._systemd is None or self._systemd.socket is None:
            raise OSError(errno.ENOTCONN, "there is no systemd to keep it ($NOTIFY_SOCKET)")
        socket.send_fds(self._systemd.socket, [f"FDSTORE=1\nFDNAME={name}".encode()], [descriptor])

    def drop(self, name: str) -> None:
        """Have systemd close what it keeps under ``name``."""
        self._send(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    @staticmethod
    def watchdog_seconds() -> float | None:
        """How often to call `alive`: half of what systemd allows; None if it does not watch us."""
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
        wanted = microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0
        return int(microseconds) / 2e6 if wanted and pid == str(os.getpid()) else None

    def _send(self, message: str) -> None:
        if self._systemd is not None:
            self._systemd.notify(message)
