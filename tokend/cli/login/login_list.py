"""``tokend login --list``: the tokens that have a login, and how long it lasts."""

import json

import click

from tokend.cli.login_line import describe_login
from tokend.cli.streams import escaped_values
from tokend.cli.token_rows import find_row, use_colours
from tokend.client import TokenClient


def show_logins(client: TokenClient, name: str | None, output: str) -> int:
    """Print a line per token with a login; only that of ``name``, if it is given. Returns the exit code."""
    answer = client.status()
    rows = answer["tokens"] if name is None else [find_row(answer, name)]
    rows = [row for row in rows if row.get("login") is not None]
    if output == "json":
        shown = [{"name": row["name"], "kind": row["kind"], "login": row["login"]} for row in rows]
        click.echo(json.dumps({"version": 1, "logins": shown}))
        return 0
    rows = escaped_values(rows)
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        click.echo(f"{row['name']:<{width}}  {row['kind']}  {describe_login(row['login'])}", color=use_colours())
    if not rows:
        click.echo("no token that you may read comes from a login")
    return 0
