"""The places of a configuration: its files, the state, the socket, and what the unit allows."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tokend.cli.doctor.finding import Finding

if TYPE_CHECKING:
    from tokend.config import Config
    from tokend.service_manager.unit_settings import UnitSettings

OTHERS = 0o007


def findings_of_config(config: "Config", daemon_uid: int | None, unit: "UnitSettings | None") -> Iterator[Finding]:
    """Yield what is to be said about a valid configuration, and the places that it names."""
    for warning in config.warnings:
        yield Finding("warning", warning.code, warning.headline, "tokend check shows the line")
    for note in config.notes:
        yield Finding("info", "credential_of_unit", note.headline, "tokend check --unit tokend.service")
    yield from _state(config, daemon_uid)
    yield from _socket(config)
    yield from _sinks(config, unit)


def runtime_directory(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield a finding if $XDG_RUNTIME_DIR is not this user's."""
    from tokend.config.paths import foreign_runtime_directory

    if (why := foreign_runtime_directory(environ, os.getuid())) is not None:
        yield Finding("warning", "runtime_directory", why, "log in as the user whose daemon it is, or unset it")


def _state(config: "Config", daemon_uid: int | None) -> Iterator[Finding]:
    path = config.daemon.state_directory
    try:
        found = path.stat()
    except FileNotFoundError:
        yield Finding("info", "state_directory", f"{path} does not exist yet", "the daemon makes it")
        return
    except OSError as error:
        advice = "run tokend doctor as root, or as the daemon's user"
        yield Finding("info", "state_directory", f"{path}: {error.strerror}", advice)
        return
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        yield Finding("error", "state_mode", f"{path} has mode {mode:04o}: it holds tokens", f"chmod 0700 {path}")
    elif daemon_uid is not None and found.st_uid != daemon_uid:
        message = f"{path} belongs to uid {found.st_uid}, and the daemon runs as uid {daemon_uid}"
        yield Finding("error", "state_owner", message, f"chown -R {daemon_uid} {path}")
    else:
        yield Finding("info", "state_directory", f"{path} is closed to other users")
    yield from _sealed(config)
    yield from _pauses(config)


def _sealed(config: "Config") -> Iterator[Finding]:
    """Yield whether the state is sealed, as the configuration has it."""
    if config.daemon.state_key is None:
        advice = "set state_key in [daemon]; docs/operating.md has how to make a key"
        yield Finding("warning", "state_in_clear", "state is in clear: who copies the disk has the tokens", advice)
    else:
        yield Finding("info", "state_sealed", f"state is sealed with state_key: {config.daemon.state_key}")


def _pauses(config: "Config") -> Iterator[Finding]:
    """Yield the pauses that hosts asked for, as the state directory has them, and this user can open it."""
    from tokend.daemon.state_opening import UnreadableKeyError, sealer_of
    from tokend.engine.records.codec import load
    from tokend.machine.clock import SystemClock
    from tokend.state.snapshot import StateSnapshot
    from tokend.values.errors import StoreError
    from tokend.values.tokens import utc

    now = SystemClock().instant()
    try:
        sealer = sealer_of(config.daemon)
    except UnreadableKeyError:
        return
    snapshot = StateSnapshot(config.daemon.state_directory, sealer)
    for path, content in snapshot.files():
        try:
            opened = sealer.open("record", path.stem, content)
            _, record = load(opened.content, boot_id=snapshot.boot_id, now=now)
        except StoreError:
            continue
        pause = record.host_pause
        if pause is not None and now.until(pause.until) > 0:
            message = f"{pause.host} asked for a pause until {utc(pause.until.wall)}"
            yield Finding("warning", "host_pause", message, "wait; restarts are no way around it")


def _socket(config: "Config") -> Iterator[Finding]:
    path = config.daemon.socket
    try:
        found = path.stat()
    except FileNotFoundError:
        yield Finding("info", "socket", f"there is no socket at {path}: the daemon of this configuration does not run")
        return
    except OSError as error:
        yield Finding(
            "warning", "socket", f"{path}: {error.strerror}", "join the group of its directory, then log in again"
        )
        return
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISSOCK(found.st_mode):
        yield Finding("error", "socket", f"{path} is no socket", "move it away, or choose another path")
    elif mode & OTHERS:
        message = f"{path} has mode {mode:04o}: every user may connect"
        yield Finding(
            "info", "socket", message, 'socket_mode = "0660" and socket_group limit it; access does per token'
        )
    else:
        yield Finding("info", "socket", f"{path} has mode {mode:04o}, gid {found.st_gid}")


def _sinks(config: "Config", unit: "UnitSettings | None") -> Iterator[Finding]:
    for name, provider in config.providers.items():
        for sink in provider.sinks:
            if sink.file_path is None:
                continue
            path = Path(os.path.realpath(sink.file_path))
            if unit is not None and (why := unit.fault_of_write(path)) is not None:
                yield Finding("error", "unit_forbids", f"{name}: {sink.target}: {why}", "systemctl edit tokend")
            elif not path.parent.exists() and not (unit is not None and unit.makes(path)):
                yield Finding(
                    "warning", "sink_directory", f"{name}: {path.parent} does not exist", f"mkdir {path.parent}"
                )
