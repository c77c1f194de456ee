"""Default paths of the configuration, the state and the socket."""

import pwd
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tokend.values.errors import ConfigError

OWN_VENDORS = Path("/etc/tokend/vendors")


def config_path(explicit: Path | None, *, environ: Mapping[str, str], uid: int) -> tuple[Path, str]:
    """Return the configuration's path, which need not exist, and why it is this one.

    It is the first that is given, else the user's default.
    """
    if explicit is not None:
        return explicit, "named on the command line"
    if environ.get("TOKEND_CONFIG"):
        return Path(environ["TOKEND_CONFIG"]), "named by $TOKEND_CONFIG"
    if directory := _first(environ, "CONFIGURATION_DIRECTORY"):
        return Path(directory) / "config.toml", "in $CONFIGURATION_DIRECTORY"
    if uid == 0:
        return Path("/etc/tokend/config.toml"), "the default for root"
    return _xdg_config(environ, uid) / "tokend" / "config.toml", "the default for users"


def find_config(explicit: Path | None, *, environ: Mapping[str, str], uid: int) -> Path:
    """Return the configuration's absolute path (`config_path`).

    Raises `ConfigError` if there is no file; the message says why this path was chosen.
    """
    path, why = config_path(explicit, environ=environ, uid=uid)
    try:
        if path.is_file():
            return path.absolute()
        reason = "what is there is no file" if path.exists() else "there is none"
    except OSError as error:  # a directory that may not be entered
        reason = error.strerror or type(error).__name__
    raise ConfigError(
        f"tokend: no configuration at {path} ({why}): {reason}; write one (`tokend init`; config.toml.example "
        "has every key), or name another with --config"
    )


def vendor_directories(configuration: Path) -> tuple[Path, ...]:
    """Return the directories of the administrator's vendors: the machine's, and that beside the configuration."""
    return tuple(dict.fromkeys((OWN_VENDORS, configuration.absolute().parent / OWN_VENDORS.name)))


def default_socket(environ: Mapping[str, str], uid: int) -> str:
    """Return the default path of the API's socket for a daemon of ``uid``."""
    if directory := _first(environ, "RUNTIME_DIRECTORY"):
        return f"{directory}/tokend.sock"
    if (runtime := environ.get("XDG_RUNTIME_DIR")) and foreign_runtime_directory(environ, uid) is None:
        return f"{runtime}/tokend/tokend.sock"
    return "/run/tokend/tokend.sock"


def foreign_runtime_directory(environ: Mapping[str, str], uid: int) -> str | None:
    """Return why $XDG_RUNTIME_DIR is not used, or None. `su` and `sudo -E` leave that of another user.

    Its owner could replace our socket, and would find our directory in it when we have ended.
    """
    runtime = environ.get("XDG_RUNTIME_DIR")
    if not runtime or _first(environ, "RUNTIME_DIRECTORY"):
        return None
    try:
        owner = Path(runtime).stat().st_uid
    except OSError as error:
        return f"$XDG_RUNTIME_DIR is not used: {runtime}: {error.strerror}"
    return None if owner == uid else f"$XDG_RUNTIME_DIR is not used: {runtime} belongs to uid {owner}, not to {uid}"


def default_state_directory(environ: Mapping[str, str], uid: int) -> str:
    """Return the default directory of the state."""
    if directory := _first(environ, "STATE_DIRECTORY"):
        return directory
    return "/var/lib/tokend" if uid == 0 else str(_home(environ, uid) / ".local" / "state" / "tokend")


def _xdg_config(environ: Mapping[str, str], uid: int) -> Path:
    """Return ``$XDG_CONFIG_HOME``, else ``~/.config``. The XDG specification says to ignore a relative path."""
    given = environ.get("XDG_CONFIG_HOME", "")
    return Path(given) if given.startswith("/") else _home(environ, uid) / ".config"


def _home(environ: Mapping[str, str], uid: int) -> Path:
    home = environ.get("HOME", "")
    if not home:
        with suppress(KeyError):
            home = pwd.getpwuid(uid).pw_dir
    return Path(home or "/")


def _first(environ: Mapping[str, str], name: str) -> str:
    """Return the first directory of a variable of systemd, which separates several directories by colons."""
    return environ.get(name, "").split(":")[0]
