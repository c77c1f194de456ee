"""``tokend version``."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from tokend import __version__
from tokend.cli.plugin_line import describe_plugin
from tokend.cli.streams import escaped


@click.command("version")
@click.option(
    "--config", type=click.Path(readable=False), metavar="FILE", help="The configuration whose plug-ins count."
)
def command(config: str | None) -> None:
    """Print the version and the plug-ins.

    The plug-ins are the files and packages that the configuration loads, and the other installed packages with kinds.
    Their errors do not count: the exit code is 0.
    """
    click.echo(f"tokend {__version__}")
    for row in _plugins(None if config is None else Path(config)):
        click.echo(escaped(describe_plugin(row)))


def _plugins(explicit: Path | None) -> Iterator[Mapping[str, Any]]:
    from tokend.kinds import PROVIDERS, SINKS

    providers, sinks = PROVIDERS.packages(), SINKS.packages()
    packages = sorted({*providers.values(), *sinks.values()})
    used = set()
    if packages or _names_plugins(explicit):
        for row in _loaded(explicit):
            used.add(row["package"])
            yield row
    for package in packages:
        if package.name not in used:
            yield {
                "file": None,
                "package": package.name,
                "version": f"{package.version} (not in use)",
                "providers": sorted(kind for kind, one in providers.items() if one == package),
                "sinks": sorted(kind for kind, one in sinks.items() if one == package),
                "error": None,
            }


def _names_plugins(explicit: Path | None) -> bool:
    """Return whether the configuration may have the key ``plugins``: to load it takes longer than to look."""
    import os

    from tokend.config.paths import config_path

    path, _ = config_path(explicit, environ=os.environ, uid=os.getuid())
    try:
        return b"plugins" in path.read_bytes()
    except OSError:
        return False


def _loaded(explicit: Path | None) -> Iterator[Mapping[str, Any]]:
    from dataclasses import asdict

    from tokend.kinds import load_config
    from tokend.values.errors import ConfigError

    try:
        config = load_config(explicit, starting=True, reads_secrets=False)
    except ConfigError:
        return  # `tokend check` says why
    yield from map(asdict, config.plugins)
