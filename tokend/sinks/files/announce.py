"""Announcements of a changed file: run a command, send a signal, reload a unit of systemd.

No shell is started, and no token is passed on.
"""

import signal as signal_module
from dataclasses import dataclass
from typing import Literal

from pydantic import field_validator

from tokend.machine.command import failure_of_command
from tokend.machine.pid_file import send_signal
from tokend.plugin.settings_base import AnchoredPath, Settings
from tokend.values.errors import SinkError

COMMAND_SECONDS = 30


class Signal(Settings):
    """The key ``signal``: ``{ pid_file = "/run/app.pid", signal = "SIGHUP" }``."""

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
    """The key ``systemd``: ``{ unit = "app.service", action = "try-reload-or-restart" }``."""

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
    """The configured announcements of one sink. The value is false if there is none."""

    command: tuple[str, ...] | None
    signal: Signal | None
    systemd: Systemd | None

    def __bool__(self) -> bool:
        return self.command is not None or self.signal is not None or self.systemd is not None

    def make(self, target: str) -> None:
        """Make all configured announcements of the file ``target``. Blocks.

        Raises `SinkError`, which names the one that failed. The file is written already then.
        """
        if self.command is not None:
            _run(self.command, "on_change", target)
        if self.signal is not None:
            send_signal(self.signal.pid_file, signal_module.Signals[self.signal.signal])
        if self.systemd is not None:
            _run(("systemctl", "--no-ask-password", self.systemd.action, "--", self.systemd.unit), "systemd", target)


def _run(argv: tuple[str, ...], what: str, target: str) -> None:
    if (failure := failure_of_command(argv, {"TOKEND_FILE": target}, seconds=COMMAND_SECONDS)) is not None:
        raise SinkError(f"{what}: {failure}")
