"""``tokend version``."""

import click

from tokend import __version__


@click.command("version")
def command() -> None:
    """Print the version."""
    click.echo(f"tokend {__version__}")
