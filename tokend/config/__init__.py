"""The configuration: TOML in, a frozen `Config` out, or all errors at once with their places.

The caller passes in the tables of kinds. The engine's supervisor applies a reload.
"""

from tokend.config.findings import ConfigProblem, InvalidConfigError
from tokend.config.load import load
from tokend.config.model import Config, DaemonSettings, ProviderConfig, SocketSettings
from tokend.config.paths import find_config

__all__ = [
    "Config",
    "ConfigProblem",
    "DaemonSettings",
    "InvalidConfigError",
    "ProviderConfig",
    "SocketSettings",
    "find_config",
    "load",
]
