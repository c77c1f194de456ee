"""``tokend logout``: the end of a login."""

import json

import click

from tokend.cli.options import OUTPUT, SOCKET, name_argument
from tokend.cli.streams import complain
from tokend.client import TokenClient
from tokend.client.calls import token_target


@click.command("logout")
@name_argument(needs="begin_browser")
@click.option("--force", is_flag=True, help="Drop the login here, even if its server does not confirm.")
@OUTPUT
@SOCKET
def command(name: str, force: bool, output: str, socket: str | None) -> int:
    """End the login of the token NAME here, and revoke it at its server. For admins and access.login.

    The token is withdrawn at once. The server is asked for at most 30 s. Until it confirms, the login is valid there:
    it is kept here, unused, so that another `tokend logout` can try again.

    Exit codes: 0 logged out, 1 the server did not confirm.
    """
    answer = TokenClient(socket).call("POST", token_target(name, "logout"), {"force": True} if force else {})
    if output == "json":
        click.echo(json.dumps(answer))
    elif answer["dropped"]:
        click.echo(f"{name}: logged out" + ("" if answer["confirmed"] else " here"))
    if answer["detail"] is not None and output == "text":
        complain(answer["detail"])
    return 0 if answer["dropped"] else 1
