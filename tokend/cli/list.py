"""``tokend list``: a table of all tokens."""

import json

import click

from tokend.cli.options import OUTPUT, SOCKET
from tokend.cli.streams import escaped_values
from tokend.cli.token_rows import describe_time_left, state_colour, use_colours
from tokend.client import TokenClient


@click.command("list")
@OUTPUT
@SOCKET
def command(output: str, socket: str | None) -> None:
    """List the tokens that you may read. Never prints a token itself."""
    rows = TokenClient(socket).list()
    if output == "json":
        click.echo(json.dumps({"version": 1, "tokens": rows}))
        return
    rows = escaped_values(rows)
    table = [["NAME", "KIND", "STATE", "LEFT", "GENERATION", "FINGERPRINT"]]
    for row in rows:
        generation, fingerprint = str(row["generation"] or "-"), row["fingerprint"] or "-"
        table.append([row["name"], row["kind"], row["state"], describe_time_left(row), generation, fingerprint])
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for index, cells in enumerate(table):
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        if index:
            padded[2] = click.style(padded[2], fg=state_colour(cells[2]))
        click.echo("  ".join(padded).rstrip(), color=use_colours())
