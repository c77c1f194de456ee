"""Messages to systemd with sd_notify(3). Without ``$NOTIFY_SOCKET`` every method does nothing."""

import errno
import os
import socket
import time

import sdnotify

# A datagram of sd_notify(3) must stay below 4,096 bytes.
LONGEST_STATUS = 3000
# systemd reads at once unless it hangs itself; the event loop must not hang with it.
SEND_SECONDS = 0.5
# Longer than one step of a start takes on a slow disk: reading a file, saving a record.
EXTEND_SECONDS = 30.0


class Notifier:
    """The messages of sd_notify(3) that a daemon with ``Type=notify-reload`` sends."""

    def __init__(self) -> None:
        self._systemd = sdnotify.SystemdNotifier() if "NOTIFY_SOCKET" in os.environ else None
        self._stopping = False
        if self._systemd is not None and self._systemd.socket is not None:
            self._systemd.socket.settimeout(SEND_SECONDS)

    @property
    def connected(self) -> bool:
        """Return whether systemd listens."""
        return self._systemd is not None and self._systemd.socket is not None

    def ready(self) -> None:
        """Report that the start or a reload has ended: configuration applied, sockets open, stored tokens served."""
        if not self._stopping:
            self._send("READY=1")

    def reloading(self) -> None:
        """Report that a reload begins. `ready` must follow, also when the configuration was refused."""
        if not self._stopping:
            self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Report that the daemon stops. Later calls of `ready` and `reloading` do nothing."""
        self._stopping = True
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Set the status text of the unit, one line of ASCII. A longer text is cut."""
        # sdnotify encodes latin-1 and raises for any other character.
        line = " ".join(text.split()).encode("ascii", "replace").decode()[:LONGEST_STATUS]
        self._send(f"STATUS={line}")

    def extend(self, seconds: float = EXTEND_SECONDS) -> None:
        """Ask systemd to wait for ``seconds`` more from now, during a start or a stop."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def store(self, name: str, descriptor: int) -> None:
        """Pass a copy of ``descriptor`` to systemd for the next start. Raises OSError.

        systemd does not confirm: without FileDescriptorStoreMax= in the unit it closes the copy.
        """
        # sdnotify passes no descriptors.
        if self._systemd is None or self._systemd.socket is None:
            raise OSError(errno.ENOTCONN, "there is no systemd to keep it ($NOTIFY_SOCKET)")
        socket.send_fds(self._systemd.socket, [f"FDSTORE=1\nFDNAME={name}".encode()], [descriptor])

    def drop(self, name: str) -> None:
        """Ask systemd to close the descriptors that it stores under ``name``."""
        self._send(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    @staticmethod
    def watchdog_seconds() -> float | None:
        """Return the interval for `alive`: half of what systemd allows. None without a watchdog."""
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
        wanted = microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0
        return int(microseconds) / 2e6 if wanted and pid == str(os.getpid()) else None

    def _send(self, message: str) -> None:
        if self._systemd is not None:
            self._systemd.notify(message)
