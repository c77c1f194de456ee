"""``tokend request-id``: an id for one call to an upstream that requires one per call."""

import json

import click

from tokend.cli.options import OUTPUT, SOCKET, name_argument
from tokend.cli.streams import payload
from tokend.client import TokenClient


@click.command("request-id")
@name_argument(needs="request_id")
@OUTPUT
@SOCKET
def command(name: str, output: str, socket: str | None) -> None:
    """Print a new request id, for kinds that need one for every call (tt)."""
    made = TokenClient(socket).request_id(name)
    text = json.dumps({"version": 1, "name": name, "request_id": made}) if output == "json" else made
    click.echo(payload(text.encode()))
