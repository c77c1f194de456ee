"""``tokend reload``: make the running daemon apply its configuration files as they are now."""

import click

from tokend.cli.options import SOCKET
from tokend.cli.streams import complain, escaped
from tokend.client import BadRequestError, TokenClient


@click.command("reload")
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
@SOCKET
def command(dry_run: bool, socket: str | None) -> int:
    """Make the daemon read its configuration again, and wait until it is applied. For admins.

    Exit code 2 if the daemon refuses the configuration: the one before stays in force.
    """
    try:
        plan = TokenClient(socket).reload(dry_run=dry_run)
    except BadRequestError as error:
        if error.code != "config_invalid":
            raise
        click.echo(escaped(str(error), kept="\n"), err=True)
        complain("the configuration was refused; everything goes on as before")
        return 2
    for step in plan:
        click.echo(escaped(f"{step['action']:<8} {step['name']}"))
    if not plan:
        click.echo("nothing would change" if dry_run else "nothing changed")
    return 0
