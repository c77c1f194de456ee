"""Which kinds there are: the built-in tables of providers and sinks, and the configuration read with them."""

import os
from collections.abc import Mapping
from pathlib import Path

from tokend import config, providers, sinks


def load_config(
    explicit: Path | None, *, environ: Mapping[str, str] = os.environ, before: config.Config | None = None
) -> config.Config:
    """Find, read and validate the configuration. Blocks. Raises `ConfigError` with all errors at once."""
    path = config.find_config(explicit, environ=environ, uid=os.getuid())
    return config.load(path, providers=providers.BUILTIN, sinks=sinks.BUILTIN, environ=environ, before=before)
