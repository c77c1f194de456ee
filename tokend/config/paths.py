"""Where the configuration, the state and the socket are, unless somebody says otherwise."""

from collections.abc import Mapping
from pathlib import Path

from tokend.errors import ConfigError


def find_config(explicit: Path | None, *, environ: Mapping[str, str], uid: int) -> Path:
    """The configuration's path. Raises `ConfigError` where there is no file, telling why it was looked for there."""
    if explicit is not None:
        path, why = explicit, "given by --config"
    elif environ.get("TOKEND_CONFIG"):
        path, why = Path(environ["TOKEND_CONFIG"]), "given by $TOKEND_CONFIG"
    elif directory := _first(environ, "CONFIGURATION_DIRECTORY"):
        path, why = Path(directory) / "config.toml", "in $CONFIGURATION_DIRECTORY"
    elif uid == 0:
        path, why = Path("/etc/tokend/config.toml"), "the default for root"
    else:
        base = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "/")) / ".config")
        path, why = Path(base) / "tokend" / "config.toml", "the default for users"
    if not path.is_file():
        raise ConfigError(
            f"tokend: there is no configuration at {path} ({why}); write one (config.toml.example shows every key), "
            "or name it with --config"
        )
    return path.absolute()


def default_socket(environ: Mapping[str, str]) -> str:
    """Where the API socket is by default."""
    if directory := _first(environ, "RUNTIME_DIRECTORY"):
        return f"{directory}/tokend.sock"
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        return f"{runtime}/tokend/tokend.sock"
    return "/run/tokend/tokend.sock"


def default_state_directory(environ: Mapping[str, str], uid: int) -> str:
    """Where the state is by default."""
    if directory := _first(environ, "STATE_DIRECTORY"):
        return directory
    return "/var/lib/tokend" if uid == 0 else f"{environ.get('HOME', '/')}/.local/state/tokend"


def _first(environ: Mapping[str, str], name: str) -> str:
    """systemd separates several directories by colons; the first one counts."""
    return environ.get(name, "").split(":")[0]
