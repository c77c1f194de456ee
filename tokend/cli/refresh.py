"""``tokend refresh``: fetch newer tokens now."""

import json
from typing import Any

import click

from tokend.cli.options import OUTPUT, SOCKET, name_argument
from tokend.cli.streams import complain, escaped_values
from tokend.cli.token_rows import needs_a_person, rows_by_name
from tokend.client import DeniedError, TokenClient, TokendError, UnavailableError
from tokend.client.calls import token_target

REASON = "command line"


@click.command("refresh")
@name_argument(required=False)
@click.option(
    "--all", "every", is_flag=True, help="Refresh every held token, and let rejected credentials be tried again."
)
@OUTPUT
@SOCKET
def command(name: str | None, every: bool, output: str, socket: str | None) -> int:
    """Fetch a newer token now, and wait for it. Prints its fingerprint, never the token.

    A rejected provider tries again, too. If NAME is issued on demand, the next `tokend issue` tries the rejected
    credentials again. The exit code is that of the first failure: 4 if the credentials were
    rejected or a person has to log in, 7 if the upstream gave no token now (a token that is still valid stays).
    """
    if (name is None) == (not every):
        raise click.UsageError("give either a NAME or --all")
    client = TokenClient(socket)
    names = [name] if name is not None else [row["name"] for row in client.list()]
    rows, code = _refresh_each(client, names, skip_on_demand=every)
    if output == "json":
        click.echo(json.dumps({"version": 1, "tokens": rows}))
        return code
    for row in escaped_values(rows):
        if row["ok"] and row["generation"] is None:
            click.echo(f"{row['name']}: the next `tokend issue {row['name']}` tries the credentials again")
        elif row["ok"]:
            click.echo(f"{row['name']}: generation {row['generation']}, fingerprint {row['fingerprint']}")
        else:
            complain(row["error"])
    return code


def _refresh_each(client: TokenClient, names: list[str], *, skip_on_demand: bool) -> tuple[list[dict[str, Any]], int]:
    """Refresh tokens one after the other. Returns a row per token, and the exit code of the first failure."""
    rows, code = [], 0
    for name in names:
        try:
            answer = _refresh(client, name)
        except TokendError as error:
            if skip_on_demand and error.code == "not_supported":
                continue
            rows.append({"name": name, "ok": False, "error": str(error), "code": error.code})
            code = code or _exit_code(client, name, error)
        else:
            shown = {key: answer.get(key) for key in ("generation", "fingerprint")}
            shown |= {key: answer[key] for key in ("expires_at", "refresh_at") if key in answer}
            rows.append({"name": name, "ok": True, **shown})
    return rows, code


def _refresh(client: TokenClient, name: str) -> dict[str, Any]:
    """Refresh one token and return the answer; that of an on-demand token has no generation."""
    target = token_target(name, "refresh")
    try:
        return client.call("POST", target, {"reason": REASON})
    except DeniedError:
        # Only admins may refresh unconditionally. Every reader may refresh if the generation is still this one.
        row = rows_by_name(client.list()).get(name)
        if row is None or row["generation"] is None:
            raise
        return client.call("POST", target, {"if_generation": row["generation"], "reason": REASON})


def _exit_code(client: TokenClient, name: str, error: TokendError) -> int:
    """Return the error's exit code, or 4 if the credentials were rejected and the old token is still valid."""
    if isinstance(error, UnavailableError):
        row = rows_by_name(client.list()).get(name)
        if row is not None and needs_a_person(row):
            return 4
    return error.exit_code
