"""``tokend header``: the headers to send with each call, for curl and scripts."""

import click

from tokend.cli.get import get
from tokend.cli.options import NAME, OUTPUT, SOCKET


@click.command("header", epilog="Example: curl -H @<(tokend header tt) https://…")
@NAME
@OUTPUT
@SOCKET
def command(name: str, output: str, socket: str | None) -> int:
    """Print a line per header that each call needs (Authorization: Bearer …)."""
    return get(name, output="headers-json" if output == "json" else "header", socket=socket)
