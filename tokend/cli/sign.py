"""``tokend sign``: the headers that sign one call to an upstream, for kinds that sign calls (auth-token)."""

import json
import sys
from pathlib import Path

import click

from tokend.cli.options import SOCKET, name_argument
from tokend.cli.output_formats import render
from tokend.client import TokenClient


@click.command(
    "sign",
    epilog="Example: tokend sign login-links GET '/api/v1/get-balance?clientId=C1' -o curl | "
    "curl -sS -K - 'https://…/api/v1/get-balance?clientId=C1'",
)
@name_argument(issued=None, needs="sign")
@click.argument("method")
@click.argument("path")
@click.option(
    "-d", "--data", metavar="TEXT",
    help="The body, exactly as it will be sent; @FILE reads it from a file, @- from standard input.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Choice(["header", "json", "curl"]), default="header", show_default=True,
    help='A line per header; {"version": 1, "headers": {…}}; lines for `curl -K -`.',
)  # fmt: skip
@SOCKET
def command(name: str, method: str, path: str, data: str | None, output: str, socket: str | None) -> None:
    """Print the headers that sign one call to the upstream of NAME.

    METHOD and PATH must be among the provider's sign_paths. The query may follow the path; it is signed, too.
    """
    headers = TokenClient(socket).sign(name, method, path, body=_body(data))
    if output == "json":
        click.echo(json.dumps({"version": 1, "headers": headers}))
    else:
        click.echo(render({"name": name, "access_token": "", "headers": headers}, output))


def _body(data: str | None) -> bytes:
    """Return the bytes of the body. Raises `click.UsageError` for a file that cannot be read."""
    if data is None or not data.startswith("@"):
        return (data or "").encode()
    try:
        return sys.stdin.buffer.read() if data == "@-" else Path(data[1:]).read_bytes()
    except OSError as error:
        raise click.UsageError(f"--data: {data[1:]}: {error.strerror}") from None
