"""``tokend request-id``: an id for one call to an upstream that requires one per call."""

import click

from tokend.cli.options import NAME, SOCKET
from tokend.cli.streams import payload
from tokend.client import TokenClient


@click.command("request-id")
@NAME
@SOCKET
def command(name: str, socket: str | None) -> None:
    """Print a new request id, for kinds that need one for every call (tt)."""
    click.echo(payload(TokenClient(socket).request_id(name).encode()))
