"""The commands that ask the daemon for tokens, or for newer ones."""

import json
import os
import select
import threading
from typing import Any

import click

from tokend.cli import get as getting
from tokend.cli.options import NAME, OUTPUT, SOCKET, duration, name_argument
from tokend.cli.output_formats import render
from tokend.cli.status import needs_a_person, rows_by_name
from tokend.cli.streams import complain
from tokend.client import (
    BadRequestError,
    DeniedError,
    Lease,
    NotRunningError,
    TokenClient,
    TokendError,
    UnavailableError,
)
from tokend.client.tokens import token_target


@click.command(epilog="\b\nExample, with the token in no process list:\n  tokend get tt -o curl | curl -K - https://…")
@NAME
@click.option(
    "-o", "--output", type=click.Choice(getting.OUTPUTS), default="raw", show_default=True,
    help="The token alone; the daemon's JSON; a NAME_TOKEN=… line for .env files or the shell; a line per header; the "
    "headers for `curl -K -`; or what the program of that name reads, see above.",
)  # fmt: skip
@click.option("--host", metavar="[LOGIN@]HOST", help="For -o netrc: which machine the line is for.")
@click.option("--min-ttl", callback=duration, metavar="DURATION", help="Refresh first if it does not last so long.")
@click.option("--wait", callback=duration, metavar="DURATION", help="Wait so long for a valid token (124 if in vain).")
@click.option("--refresh", is_flag=True, help="Fetch a newer one first.")
@click.option("-n", "no_newline", is_flag=True, help="No newline at the end.")
@SOCKET
def get(**options: Any) -> int:
    """Print a token, and nothing else, on stdout.

    A DURATION is a whole number with a unit: 500ms, 30s, 15m, 12h, 1d.

    \b
    k8s    an ExecCredential for kubectl's exec plugins; its expiry is 30 s early
    aws    for credential_process; only if the token is a JSON object with
           AccessKeyId, SecretAccessKey (and SessionToken): AWS takes no bearer token
    gcp    for external_account with credential_source.executable; only a JWT
    git    what a credential helper answers (`tokend credential git` is one)
    netrc  a line for curl --netrc-file and others; needs --host
    """
    if (options["output"] == "netrc") != (options["host"] is not None):
        raise click.UsageError("-o netrc needs --host [LOGIN@]HOST, and nothing else takes it")
    return getting.get(**options)


@click.command(epilog="Example: curl -H @<(tokend header tt) https://…")
@NAME
@SOCKET
def header(name: str, socket: str | None) -> int:
    """Print a line per header that each call needs (Authorization: Bearer …)."""
    return getting.get(name, output="header", socket=socket)


@click.command(epilog="Example: tokend issue wallet url=/pay currency=BTC amount=0.001 orderId=12345")
@name_argument(issued=True)
@click.argument("parameters", nargs=-1, metavar="KEY=VALUE…")
@click.option(
    "-o", "--output", type=click.Choice(["raw", "json", "header"]), default="raw", show_default=True,
    help="The token alone; the whole answer, with what else the upstream gave; a line per header.",
)  # fmt: skip
@SOCKET
def issue(name: str, parameters: tuple[str, ...], output: str, socket: str | None) -> None:
    """Issue one on-demand token from parameters, and print it.

    Which parameters there are depends on the token's kind; wrong or missing ones are named one by one.
    """
    values: dict[str, str] = {}
    for parameter in parameters:
        key, equals, value = parameter.partition("=")
        if not equals or not key:
            # What was given may be a value that must not be repeated.
            raise click.UsageError("parameters are KEY=VALUE, one argument each")
        if key in values:
            raise click.UsageError(f"parameter {key} is given twice")
        values[key] = value
    try:
        answer = TokenClient(socket).call("POST", token_target(name, "issue"), values)
    except BadRequestError as error:
        if error.code == "not_supported":
            raise BadRequestError(f"{name!r} is held ready: use `tokend get {name}`", code=error.code) from None
        raise
    click.echo(json.dumps(answer) if output == "json" else render(answer, output))


@click.command("request-id")
@NAME
@SOCKET
def request_id(name: str, socket: str | None) -> None:
    """Print a new request id, for kinds whose every call needs one (tt)."""
    click.echo(TokenClient(socket).request_id(name))


@click.command()
@name_argument(required=False)
@click.option("--all", "every", is_flag=True, help="Refresh every held token.")
@OUTPUT
@SOCKET
def refresh(name: str | None, every: bool, output: str, socket: str | None) -> int:
    """Fetch a newer token now, and wait for it. Prints its fingerprint, never the token.

    Also makes a rejected provider try again. Exit code of the first that failed: 4 if its credentials were rejected, 7
    if the upstream gave nothing now (a token that is still valid stays).
    """
    if (name is None) == (not every):
        raise click.UsageError("give either a NAME or --all")
    client = TokenClient(socket)
    names = [name] if name is not None else [row["name"] for row in client.list()]
    rows, code = [], 0
    for one in names:
        try:
            lease = _refresh(client, one)
        except TokendError as error:
            if every and error.code == "not_supported":
                continue  # issued on demand: nothing of it is held
            rows.append({"name": one, "ok": False, "error": str(error), "code": error.code})
            code = code or _exit_code(client, one, error)
        else:
            rows.append({"name": one, "ok": True, "generation": lease.generation, "fingerprint": lease.fingerprint})
    if output == "json":
        click.echo(json.dumps({"version": 1, "tokens": rows}))
        return code
    for row in rows:
        if row["ok"]:
            click.echo(f"{row['name']}: generation {row['generation']}, fingerprint {row['fingerprint']}")
        else:
            complain(row["error"])
    return code


def _refresh(client: TokenClient, name: str) -> Lease:
    try:
        return client.refresh(name, reason="command line")
    except DeniedError:
        # Unconditional refreshes are for admins; everybody may say which generation will not do.
        row = rows_by_name(client.list()).get(name)
        if row is None or row["generation"] is None:
            raise
        return client.refresh(name, if_generation=row["generation"], reason="command line")


def _exit_code(client: TokenClient, name: str, error: TokendError) -> int:
    """4 also where the credentials were rejected but the old token is still valid."""
    if isinstance(error, UnavailableError):
        row = rows_by_name(client.list()).get(name)
        if row is not None and needs_a_person(row):
            return 4
    return error.exit_code


@click.command()
@NAME
@SOCKET
def forget(name: str, socket: str | None) -> None:
    """Drop a compromised token: out of memory, state and files; then log in anew. For admins."""
    TokenClient(socket).forget(name)
    click.echo(f"{name}: forgotten; a new login follows")


@click.command()
@NAME
@OUTPUT
@SOCKET
def watch(name: str, output: str, socket: str | None) -> None:
    """Print a line now and at each new token: generation, fingerprint, expiry; never the token."""
    threading.Thread(target=_leave_with_the_reader, daemon=True).start()
    client = TokenClient(socket)
    try:
        client.list()
    except NotRunningError as error:
        complain(f"{error} (waiting for it)")
    for lease in client.watch(name):
        expires = None if lease.expires_at is None else lease.expires_at.isoformat().replace("+00:00", "Z")
        row = {"version": 1, "name": name, "generation": lease.generation, "fingerprint": lease.fingerprint,
               "expires_at": expires}  # fmt: skip
        text = f"{name}: generation {lease.generation}, fingerprint {lease.fingerprint}, expires {expires or 'never'}"
        click.echo(json.dumps(row) if output == "json" else text)


def _leave_with_the_reader() -> None:
    """End when nobody reads our output any more, as `tail -f` does: the next line may be hours away."""
    poll = select.poll()
    poll.register(1, 0)  # that the other end of a pipe or the terminal is gone is told unasked
    poll.poll()
    os._exit(1)
