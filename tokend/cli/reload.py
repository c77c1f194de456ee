"""``tokend reload``: make the running daemon apply its configuration files as they are now."""

import json

import click

from tokend.cli.options import OUTPUT, SOCKET
from tokend.cli.plan import print_plan
from tokend.cli.streams import complain, escaped
from tokend.client import BadRequestError, TokenClient


@click.command("reload")
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
@OUTPUT
@SOCKET
def command(dry_run: bool, output: str, socket: str | None) -> int:
    """Make the daemon read its configuration again, and wait until it is applied. For admins.

    Exit code 2 if the daemon refuses the configuration: the one before stays in force. Some keys of [daemon] are read
    at a start only: the output names those that need a restart.
    """
    try:
        answer = TokenClient(socket).call("POST", "/v1/reload" + ("?dry_run=true" if dry_run else ""))
    except BadRequestError as error:
        if error.code != "config_invalid":
            raise
        if output == "json":
            click.echo(json.dumps({"version": 1, "errors": error.errors}))
        click.echo(escaped(str(error), kept="\n"), err=True)
        complain("the configuration was refused; everything goes on as before")
        return 2
    if output == "json":
        click.echo(json.dumps(answer))
    else:
        print_plan(answer, done=not dry_run)
    return 0
