"""Choice of the flow of a login, from what the environment says of the terminal."""

import os
import pwd
from collections.abc import Mapping
from typing import Literal

Flow = Literal["browser", "device"]
_SSH_PARTS = 4


def first_flow(environ: Mapping[str, str]) -> Flow:
    """Return the flow to try first: that of another device where no browser can be opened here."""
    return "device" if is_remote(environ) or not has_display(environ) else "browser"


def other_flow(flow: Flow) -> Flow:
    """Return the other flow."""
    return "browser" if flow == "device" else "device"


def may_open_browser(environ: Mapping[str, str]) -> bool:
    """Return whether a browser started here would be the person's: on a display, not over ssh, not as root by sudo."""
    return has_display(environ) and not is_remote(environ) and not environ.get("SUDO_UID")


def has_display(environ: Mapping[str, str]) -> bool:
    """Return whether there is a display."""
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def is_remote(environ: Mapping[str, str]) -> bool:
    """Return whether the terminal is that of an ssh connection."""
    return bool(environ.get("SSH_CONNECTION"))


def forwarding_command(environ: Mapping[str, str], port: int) -> str | None:
    """Return the ssh command that leads a browser at the other end to ``port`` of this machine; None without ssh."""
    parts = environ.get("SSH_CONNECTION", "").split()
    if len(parts) != _SSH_PARTS or not parts[3].isdecimal():
        return None
    address, at = parts[2], parts[3]
    if not all(one.isalnum() or one in ".:%" for one in address):
        return None
    where = "" if at == "22" else f"-p {at} "
    return f"ssh -N -L {port}:127.0.0.1:{port} {where}{_user(environ)}@{address}"


def _user(environ: Mapping[str, str]) -> str:
    """Return the user of the ssh connection: root by sudo is not the one."""
    if environ.get("SUDO_USER"):
        return environ["SUDO_USER"]
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return environ.get("USER", "YOU")
