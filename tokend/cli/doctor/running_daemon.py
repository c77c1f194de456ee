"""The running daemon: its status, its user, and what its process was started with."""

import os
import re
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokend import __version__
from tokend.cli.as_user import Identity
from tokend.cli.doctor.finding import NOTHING_TO_DO, Finding, Level
from tokend.cli.login_line import remedy_of
from tokend.cli.plugin_line import describe_plugin
from tokend.client import TokenClient
from tokend.client.errors import DeniedError, NotRunningError, TokendError
from tokend.client.transport import exchange, find_socket

_UCRED = struct.Struct("iII")
_BUILD_INFO = re.compile(rb'^tokend_build_info\{version="([^"]*)"\}', re.MULTILINE)
SECONDS = 5.0
# What to do about the status' own warnings, by code; their messages say the rest.
ADVICE = {
    "upstream_clock": "set this machine's clock (timedatectl), or report theirs to the vendor",
    "state_unopened": "set the key back, or previous_state_key to it; tokend forget NAME begins with nothing",
    "state_went_back": "if a copy of the state was put back, a login in it may be spent: log in again where it fails",
    "state_index": "if nobody removed or put back files of the state, nothing; the index is written again",
    "acl_kept": "nothing to do if those users shall read the token",
}
OTHER_ADVICE = "tokend check has the place in the configuration"


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon that answers, or why none does. ``environ`` is what its process was started with, None if hidden.

    ``config`` is the configuration that its command names, None if it names none.
    """

    path: str | None = None
    trouble: Finding | None = None
    status: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None
    pid: int | None = None
    uid: int | None = None
    environ: Mapping[str, str] | None = None
    config: Path | None = None


def ask(explicit: str | None) -> Daemon:
    """Ask the daemon for its status. Never raises."""
    path: str | None = None
    try:
        path = find_socket(explicit)  # its type has the check of who serves it
        client = TokenClient(explicit, timeout=SECONDS)
        status = client.status()
        version = _version(path)
        pid, uid = _server(path)
    except DeniedError as error:
        advice = f"add this user to the group of the socket ({_group(path)}), then log in again"
        return Daemon(path, Finding("warning", "socket_denied", str(error), advice))
    except NotRunningError as error:
        advice = "start it: systemctl start tokend, or tokend run"
        return Daemon(path, Finding("warning", "not_running", str(error), advice))
    except (TokendError, OSError) as error:
        return Daemon(path, no_answer(error))
    return Daemon(path, None, status, version, pid, uid, _environ(pid), _config(pid))


def no_answer(error: Exception) -> Finding:
    """Return the finding about a daemon that gives no answer, or none that can be read."""
    return Finding("error", "no_answer", f"the daemon does not answer: {error}", "look at its log")


def _version(path: str) -> str | None:
    """Return the version that a daemon runs, None if its metrics do not say it. The API's own number is another one."""
    status, _, body = exchange(path, "GET", "/metrics", timeout=SECONDS)
    said = _BUILD_INFO.search(body) if status == 200 else None
    return None if said is None else said[1].decode(errors="replace")


def is_of_unit(daemon: Daemon, unit: str) -> bool:
    """Return whether the daemon's process belongs to a unit of the system manager."""
    try:
        groups = Path(f"/proc/{daemon.pid}/cgroup").read_text().splitlines()
    except OSError:
        return False
    return any(line.endswith(f"/system.slice/{unit}") for line in groups)


def identity_of_daemon(daemon: Daemon) -> Identity | None:
    """Return the user and the groups that the daemon's process has, None if it cannot be seen."""
    try:
        lines = Path(f"/proc/{daemon.pid}/status").read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    uid, gid = (int(fields[key].split()[1]) for key in ("Uid", "Gid"))
    return Identity(f"uid {uid}", uid, gid, tuple(map(int, fields["Groups"].split())))


def findings(daemon: Daemon) -> Iterator[Finding]:
    """Yield what the status shows: version, configuration, listeners, tokens and sinks."""
    if daemon.trouble is not None:
        yield daemon.trouble
        return
    ready = "ready" if daemon.status["ready"] else "not ready"
    yield Finding("info", "daemon", f"a daemon answers at {daemon.path} and is {ready} (pid {daemon.pid})")
    if daemon.version is not None and daemon.version != __version__:
        message = f"the daemon runs version {daemon.version}, this command is {__version__}"
        yield Finding(
            "warning", "version_differs", message, "restart the daemon, or use the command of its environment"
        )
    config = daemon.status["config"]
    if config["error"]:
        first = str(config["error"]).splitlines()[0]
        yield Finding("error", "config_refused", f"the configuration on disk is refused: {first}", "tokend check")
    if restart := config.get("restart_needed"):
        keys = ", ".join(restart)
        yield Finding(
            "warning", "restart_needed", f"{keys} changed and count after a restart only", "restart the daemon"
        )
    for one in (*daemon.status.get("listeners", ()), *daemon.status.get("sockets", ())):
        if one["error"]:
            where = one.get("address") or one.get("path")
            yield Finding(
                "error", "listener_failing", f"{where}: {one['error']}", "free the address, or choose another"
            )
    for one in daemon.status.get("plugins", ()):
        advice = "correct the file, then: tokend reload" if one["error"] else NOTHING_TO_DO
        yield Finding("error" if one["error"] else "info", "plugin", describe_plugin(one), advice)
    for warning in (daemon.status.get("state") or {}).get("warnings", ()):
        if warning["code"] != "state_in_clear":  # `places` says it of the configuration on disk
            yield Finding("warning", warning["code"], warning["message"], ADVICE.get(warning["code"], OTHER_ADVICE))
    for row in daemon.status["tokens"]:
        yield from _of_token(row)


def _of_token(row: Mapping[str, Any]) -> Iterator[Finding]:
    name, failure = row["name"], row["last_error"]
    why = "" if failure is None else f": {failure['detail']}"
    if row["state"] == "login_required":
        if (login := row.get("login")) is None:
            what, advice = "a person is needed at the upstream", f"then: tokend refresh {name}"
        else:
            what = "a person has to log in" if login["command"] else "another refresh token is needed"
            advice = remedy_of(login)
        yield Finding("error", "login_required", f"{name}: {what}{why}", advice)
    elif row["state"] == "rejected":
        advice = f"correct the credentials, then: tokend refresh {name}"
        yield Finding("error", "token_rejected", f"{name}: the credentials are rejected{why}", advice)
    elif not row["valid"] and row["state"] != "on_demand":
        level: Level = "error" if row["required"] else "warning"
        yield Finding(level, "token_missing", f"{name}: there is no valid token{why}", f"tokend status {name}")
    elif row["state"] == "failing":
        yield Finding("warning", "token_failing", f"{name}: the last attempt failed{why}", f"tokend status {name}")
    if row.get("paused_until"):
        message = f"{name}: {row.get('paused_by')} asked for a pause until {row['paused_until']}"
        yield Finding("warning", "paused", message, "wait; fewer requests with this account, if it happens again")
    for warning in row.get("warnings", ()):
        yield Finding(
            "warning", warning["code"], f"{name}: {warning['message']}", ADVICE.get(warning["code"], OTHER_ADVICE)
        )
    for sink in row["sinks"]:
        if sink["state"] in {"failing", "rejected", "conflict"}:
            weight: Level = "error" if sink["required"] else "warning"
            message = f"{name}: {sink.get('target', sink['path'])}: {sink['error'] or sink['state']}"
            yield Finding(
                weight, "sink_failing", message, "tokend check --unit tokend.service says what the unit lacks"
            )


def _server(path: str) -> tuple[int | None, int | None]:
    """Return the pid and the uid of the process that listens. Under socket activation that is systemd."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        connection.connect(path)
        pid, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return (None, None) if pid <= 1 else (pid, uid)


def _environ(pid: int | None) -> dict[str, str] | None:
    if pid is None:
        return None
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    pairs = (os.fsdecode(part).partition("=") for part in raw.split(b"\0") if part)
    return {name: value for name, _, value in pairs}


def _config(pid: int | None) -> Path | None:
    """Return the configuration that a process's command names, from the directory in which it runs."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(errors="surrogateescape").split("\0")
        for number, word in enumerate(words):
            if word == "--config" or word.startswith("--config="):
                named = word.partition("=")[2] or words[number + 1]
                return Path(f"/proc/{pid}/cwd").readlink() / named
    except (OSError, IndexError):
        pass
    return None


def _group(path: str | None) -> str:
    import grp

    try:
        return grp.getgrgid(Path(path or "").stat().st_gid).gr_name
    except (OSError, KeyError):
        return "tokend-clients"
