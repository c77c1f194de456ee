"""``tokend forget``: drop a compromised token."""

import click

from tokend.cli.options import NAME, SOCKET
from tokend.client import TokenClient


@click.command("forget")
@NAME
@SOCKET
def command(name: str, socket: str | None) -> None:
    """Drop a compromised token from memory, state and files, and log in again. For admins."""
    TokenClient(socket).forget(name)
    click.echo(f"{name}: forgotten; a new login follows")
