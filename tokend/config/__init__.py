"""The configuration: TOML in, a frozen `Config` out, or all errors at once with their places.

Which kinds there are is handed in; what a reload changes is the supervisor's affair.
"""

from tokend.config.findings import ConfigProblem, InvalidConfigError
from tokend.config.load import load
from tokend.config.model import Config, DaemonSettings, ProviderConfig
from tokend.config.paths import find_config

__all__ = ["Config", "ConfigProblem", "DaemonSettings", "InvalidConfigError", "ProviderConfig", "find_config", "load"]
