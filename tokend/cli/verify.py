"""``tokend verify``: the exit code says whether a token is valid now."""

import json

import click

from tokend.cli.options import NAME, OUTPUT, SOCKET
from tokend.cli.streams import escaped_values
from tokend.cli.token_rows import describe_life, find_row, needs_a_person
from tokend.client import BadRequestError, TokenClient

# Members of the JSON output, those of the token's row in `GET /v1/status`.
SHOWN = ("name", "valid", "state", "expires_at", "seconds_left", "generation", "fingerprint", "last_error")


@click.command("verify")
@NAME
@OUTPUT
@SOCKET
def command(name: str, output: str, socket: str | None) -> int:
    """Check whether a token is valid now, as far as the daemon knows. Makes no request to the upstream.

    Exit code 0: valid; 7: not valid; 4: not valid, and a person must act.
    """
    row = escaped_values(find_row(TokenClient(socket).status(), name))
    if output == "json" and row["state"] != "on_demand":
        click.echo(json.dumps({"version": 1, **{key: row[key] for key in SHOWN}}))
    elif row["valid"]:
        click.echo(f"{name}: valid, {describe_life(row)}, fingerprint {row['fingerprint']}, state {row['state']}")
    elif row["state"] == "on_demand":
        text = f"{name!r} is issued on demand: the daemon holds no token that could be verified"
        raise BadRequestError(text, code="not_supported")
    else:
        error = row["last_error"]
        click.echo(f"{name}: not valid, state {row['state']}" + (f" ({error['detail']})" if error else ""))
    if row["valid"]:
        return 0
    return 4 if needs_a_person(row) else 7
