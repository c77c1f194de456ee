"""One line about a plug-in, for `tokend status` and `tokend version`."""

from collections.abc import Mapping
from typing import Any


def describe_plugin(row: Mapping[str, Any]) -> str:
    """Describe a plug-in, as `PluginRow`: its file, or its package and version; its kinds, or its error."""
    name = row["file"] if row["package"] is None else f"{row['package']} {row['version']}"
    if row["error"]:
        return f"plug-in {name}: not loaded: {str(row['error']).removeprefix(f'plugins: {name}: ')}"
    kinds = [*row["providers"], *(f"{kind} (sink)" for kind in row["sinks"])]
    return f"plug-in {name}: {', '.join(kinds)}"
