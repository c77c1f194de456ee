"""``tokend forget``: drop a compromised token."""

import json

import click

from tokend.cli.options import NAME, OUTPUT, SOCKET
from tokend.client import TokenClient


@click.command("forget")
@NAME
@OUTPUT
@SOCKET
def command(name: str, output: str, socket: str | None) -> None:
    """Drop a compromised token from memory, state and files, and ask for another one. For admins."""
    TokenClient(socket).forget(name)
    text = f"{name}: forgotten; a new login follows"
    click.echo(json.dumps({"version": 1, "name": name}) if output == "json" else text)
