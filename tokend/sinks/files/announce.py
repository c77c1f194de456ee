"""Announce that a file changed: run a command, send a signal, ask systemd. No shell, and no token in what is passed."""

import os
import signal as signal_module
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from pydantic import field_validator

from tokend.plugin.settings_base import AnchoredPath, Settings
from tokend.values.errors import SinkError

COMMAND_SECONDS = 30
# proc(5): pid_max is at most 2²².
LARGEST_PID = 2**22
LONGEST_PID_FILE = 64
# What a program needs to run at all; nothing of the daemon's own environment, which may hold secrets.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")


class Signal(Settings):
    """``signal = { pid_file = "/run/app.pid", signal = "SIGHUP" }``."""

    pid_file: AnchoredPath
    signal: str = "SIGHUP"

    @field_validator("signal")
    @classmethod
    def _known(cls, value: str) -> str:
        name = value if value.startswith("SIG") else f"SIG{value}"
        if name not in signal_module.Signals.__members__:
            raise ValueError("this is no signal's name: SIGHUP, SIGUSR1, …")
        return name


class Systemd(Settings):
    """``systemd = { unit = "app.service", action = "try-reload-or-restart" }``."""

    unit: str
    action: Literal["reload", "restart", "try-reload-or-restart"] = "try-reload-or-restart"

    @field_validator("unit")
    @classmethod
    def _no_option(cls, value: str) -> str:
        if not value or value.startswith("-"):
            raise ValueError("write a unit's name: app.service")
        return value


@dataclass(frozen=True, slots=True)
class Announcement:
    """Everything that one sink announces to. False if there is nothing."""

    command: tuple[str, ...] | None
    signal: Signal | None
    systemd: Systemd | None

    def __bool__(self) -> bool:
        return self.command is not None or self.signal is not None or self.systemd is not None

    def make(self, target: str) -> None:
        """Do all that is set. Raises `SinkError` naming what failed; the file is written already."""
        if self.command is not None:
            _run(self.command, "on_change", target)
        if self.signal is not None:
            _send(self.signal)
        if self.systemd is not None:
            _run(("systemctl", "--no-ask-password", self.systemd.action, "--", self.systemd.unit), "systemd", target)


def _run(argv: tuple[str, ...], what: str, target: str) -> None:
    environ = {key: os.environ[key] for key in PASSED_ON if key in os.environ} | {"TOKEND_FILE": target}
    null = subprocess.DEVNULL
    try:
        # A session of its own: what the command started is ended with it.
        process = subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, env=environ, start_new_session=True)
    except (OSError, ValueError) as error:
        raise SinkError(f"{what}: {argv[0]} cannot be run: {getattr(error, 'strerror', error)}") from None
    with process:
        try:
            status = process.wait(COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal_module.SIGKILL)
            raise SinkError(f"{what}: {argv[0]} did not end within {COMMAND_SECONDS} s") from None
    if status < 0:
        raise SinkError(f"{what}: {argv[0]} was ended by signal {-status}")
    if status > 0:
        raise SinkError(f"{what}: {argv[0]} failed with exit status {status}")


def _send(setting: Signal) -> None:
    try:
        text = setting.pid_file.read_bytes()[:LONGEST_PID_FILE].strip()
        if not text.isdigit() or not 1 < int(text) <= LARGEST_PID:
            raise SinkError(f"signal: {setting.pid_file} holds no process id")
        os.kill(int(text), signal_module.Signals[setting.signal])
    except OSError as error:
        raise SinkError(f"signal: {setting.pid_file}: {error.strerror}") from None
