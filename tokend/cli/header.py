"""``tokend header``: the headers to send with each call, for curl and scripts."""

import click

from tokend.cli.get import get
from tokend.cli.options import NAME, SOCKET


@click.command("header", epilog="Example: curl -H @<(tokend header tt) https://…")
@NAME
@SOCKET
def command(name: str, socket: str | None) -> int:
    """Print a line per header that each call needs (Authorization: Bearer …)."""
    return get(name, output="header", socket=socket)
