"""``tokend issue``: one on-demand token, made from the caller's parameters."""

import json

import click

from tokend.cli.get import misused
from tokend.cli.options import SOCKET, name_argument
from tokend.cli.output_formats import render
from tokend.cli.streams import payload
from tokend.client import BadRequestError, TokenClient, TokendError
from tokend.client.calls import token_target


@click.command(
    "issue",
    epilog="Example: tokend issue wallet url=/pay currency=BTC amount=0.001 orderId=12345 -o curl | curl -K - …",
)
@name_argument(issued=True)
@click.argument("parameters", nargs=-1, metavar="KEY=VALUE…")
@click.option(
    "-o", "--output", type=click.Choice(["raw", "json", "header", "curl", "env", "shell"]), default="raw",
    show_default=True,
    help="The token alone; the whole answer, with everything else that the upstream returned; a line per header of "
    "this one request; the same for `curl -K -`; NAME_TOKEN=…; export NAME_TOKEN='…'.",
)  # fmt: skip
@click.option("--key", metavar="KEY", help="Name of the variable, with -o env and -o shell [default: NAME_TOKEN].")
@SOCKET
def command(name: str, parameters: tuple[str, ...], output: str, key: str | None, socket: str | None) -> None:
    """Issue one on-demand token from parameters, and print it.

    The token's kind decides which parameters exist; the error names each one that is wrong or missing.
    """
    if wrong := misused(output, None, key):
        raise click.UsageError(wrong)
    values = _values(parameters)
    try:
        answer = TokenClient(socket).call("POST", token_target(name, "issue"), values)
    except BadRequestError as error:
        if error.code == "not_supported":
            raise BadRequestError(f"{name!r} is held ready: use `tokend get {name}`", code=error.code) from None
        raise
    if output in ("header", "curl") and not answer["headers"]:
        raise TokendError(f"{name!r} has no headers: such a token is not sent as one; use -o raw, json, env or shell")
    text = json.dumps(answer) if output == "json" else render(answer, output, key=key)
    click.echo(payload(text.encode(errors="backslashreplace")))


def _values(parameters: tuple[str, ...]) -> dict[str, str]:
    """Split ``KEY=VALUE`` arguments. Raises `click.UsageError`, whose message repeats no value."""
    values: dict[str, str] = {}
    for parameter in parameters:
        key, equals, value = parameter.partition("=")
        if not equals or not key:
            # The argument may be a value, and a value may be secret.
            raise click.UsageError("parameters are KEY=VALUE, one argument each")
        if key in values:
            raise click.UsageError(f"parameter {key} is given twice")
        values[key] = value
    return values
