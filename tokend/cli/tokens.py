"""The commands that ask the daemon for tokens."""

import json
import os
import re
import shutil
import sys
from typing import Any

import click

from tokend.cli.get import OUTPUTS, is_duration, render
from tokend.cli.get import get as print_token
from tokend.client import TokenClient, TokendError
from tokend.client.transport import BadRequestError, exchange, find_socket, refusal

NAME = click.argument("name")
SOCKET = click.option("--socket", metavar="PATH", help="The daemon's socket [default: $TOKEND_SOCKET, else the usual].")


def _duration(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_duration(value):
        raise click.BadParameter(f"{value!r} is no duration: write 500ms, 30s, 15m, 12h, 1d", param=parameter)
    return value


@click.command(epilog='Example: curl -H "Authorization: Bearer $(tokend get tt)" https://…')
@NAME
@click.option(
    "-o", "--output", type=click.Choice(OUTPUTS), default="raw", show_default=True, help="Form of the output."
)
@click.option("--min-ttl", callback=_duration, metavar="DURATION", help="Refresh first if it does not last so long.")
@click.option("--wait", callback=_duration, metavar="DURATION", help="Wait so long for a valid token (124 if in vain).")
@click.option("--refresh", is_flag=True, help="Fetch a newer one first.")
@click.option("-n", "no_newline", is_flag=True, help="No newline at the end.")
@SOCKET
def get(**options: Any) -> int:
    """Print a token, and nothing else, on stdout."""
    return print_token(**options)


@click.command()
@NAME
@SOCKET
def header(name: str, socket: str | None) -> int:
    """Print a line per header that each call needs (Authorization: Bearer …)."""
    return print_token(name, output="header", socket=socket)


@click.command(epilog="Example: tokend issue wallet url=/pay currency=BTC amount=0.001 orderId=12345")
@NAME
@click.argument("parameters", nargs=-1, metavar="KEY=VALUE…")
@click.option("-o", "--output", type=click.Choice(["raw", "json", "header"]), default="raw", show_default=True)
@SOCKET
def issue(name: str, parameters: tuple[str, ...], output: str, socket: str | None) -> None:
    """Issue one on-demand token from parameters, and print it."""
    values: dict[str, str] = {}
    for parameter in parameters:
        key, equals, value = parameter.partition("=")
        if not equals or not key:
            # What was given may be a value that must not be repeated.
            raise click.UsageError("parameters are KEY=VALUE, one argument each")
        values[key] = value
    answer = post(find_socket(socket), name, "issue", values)
    click.echo(json.dumps(answer) if output == "json" else render(answer, output))


@click.command("request-id")
@NAME
@SOCKET
def request_id(name: str, socket: str | None) -> None:
    """Print a new request id, for kinds whose every call needs one (tt)."""
    click.echo(TokenClient(socket).request_id(name))


@click.command()
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Refresh every held token.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@SOCKET
def refresh(name: str | None, every: bool, output: str, socket: str | None) -> int:
    """Fetch a newer token now; also leaves `rejected`. Shows fingerprints, never tokens."""
    if (name is None) == (not every):
        raise click.UsageError("give either a NAME or --all")
    client = TokenClient(socket)
    names = [name] if name is not None else [row["name"] for row in client.list() if row["state"] != "on_demand"]
    rows, code = [], 0
    for one in names:
        try:
            lease = client.refresh(one, reason="command line")
        except TokendError as error:
            rows.append({"name": one, "ok": False, "error": str(error), "code": error.code})
            code = code or error.exit_code
        else:
            rows.append({"name": one, "ok": True, "generation": lease.generation, "fingerprint": lease.fingerprint})
    if output == "json":
        click.echo(json.dumps({"version": 1, "tokens": rows}))
    for row in rows if output == "text" else ():
        if row["ok"]:
            click.echo(f"{row['name']}: generation {row['generation']}, fingerprint {row['fingerprint']}")
        else:
            click.echo(f"tokend: {row['error']}", err=True)
    return code


@click.command()
@NAME
@SOCKET
def forget(name: str, socket: str | None) -> None:
    """Drop a compromised token: out of memory, state and files; then log in anew. For admins."""
    TokenClient(socket).forget(name)
    click.echo(f"{name}: forgotten; a new login follows")


@click.command()
@NAME
@SOCKET
def verify(name: str, socket: str | None) -> int:
    """Tell whether a token is valid now, as the daemon knows it. No request goes to the upstream.

    Exit code 0: valid; 7: not valid; 4: rejected, a person must act.
    """
    rows = {row["name"]: row for row in TokenClient(socket).status()["tokens"]}
    if name not in rows:
        click.echo(f"tokend: there is no token {name}", err=True)
        return 5
    row = rows[name]
    if row["valid"]:
        left = "" if row["seconds_left"] is None else f", {describe(row['seconds_left'])} left"
        click.echo(f"{name}: valid{left}, fingerprint {row['fingerprint']}, state {row['state']}")
        return 0
    error = row["last_error"]
    click.echo(f"{name}: not valid, state {row['state']}" + (f" ({error['detail']})" if error else ""))
    return 4 if row["state"] in {"rejected", "login_required"} else 7


@click.command()
@NAME
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@SOCKET
def watch(name: str, output: str, socket: str | None) -> None:
    """Print a line now and at each new token: generation, fingerprint, expiry; never the token."""
    for lease in TokenClient(socket).watch(name):
        expires = None if lease.expires_at is None else lease.expires_at.isoformat().replace("+00:00", "Z")
        row = {"version": 1, "name": name, "generation": lease.generation, "fingerprint": lease.fingerprint,
               "expires_at": expires}  # fmt: skip
        text = f"{name}: generation {lease.generation}, fingerprint {lease.fingerprint}, expires {expires or 'never'}"
        click.echo(json.dumps(row) if output == "json" else text)


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.option(
    "--env", "pairs", multiple=True, required=True, metavar="KEY=NAME", help="Variable and token; repeatable."
)
@click.option("--min-ttl", callback=_duration, metavar="DURATION", help="Refresh first what does not last so long.")
@SOCKET
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, required=True, metavar="-- CMD…")
def execute(pairs: tuple[str, ...], min_ttl: str | None, socket: str | None, argv: tuple[str, ...]) -> int:
    """Run CMD with tokens in its environment. It takes tokend's place: signals and exit status are its own."""
    environ = dict(os.environ)
    for pair in pairs:
        key, equals, name = pair.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key, re.ASCII):
            raise click.UsageError(f"--env is KEY=NAME: {pair!r} is not")
        environ[key] = _token(name, min_ttl, socket)
    program = shutil.which(argv[0], path=environ.get("PATH"))
    if program is None:
        click.echo(f"tokend: {argv[0]}: command not found", err=True)
        return 127
    sys.stdout.flush()
    return os.execve(program, list(argv), environ)  # noqa: S606  (running it is what was asked for)


def _token(name: str, min_ttl: str | None, socket: str | None) -> str:
    query = "" if min_ttl is None else f"?min_ttl={min_ttl}"
    headers = [("Accept", "text/plain")]
    status, _, body = exchange(find_socket(socket), "GET", f"/v1/tokens/{name}{query}", headers=headers)
    if status != 200:
        raise refusal(status, body)
    return str(body.decode())


def post(path: str, name: str, action: str, body: dict[str, str]) -> dict[str, Any]:
    """POST to a token's action and give the whole answer. Raises `TokendError`."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise BadRequestError(f"{name!r} is no token's name", code="bad_request")
    headers = [("Content-Type", "application/json")]
    target = f"/v1/tokens/{name}/{action}"
    status, _, answer = exchange(path, "POST", target, headers=headers, body=json.dumps(body).encode())
    if status >= 400:
        raise refusal(status, answer)
    return dict(json.loads(answer))


def describe(seconds: float) -> str:
    """A duration for people: the two largest units."""
    total = int(seconds)
    parts = [(total // 86400, "d"), (total // 3600 % 24, "h"), (total // 60 % 60, "min"), (total % 60, "s")]
    shown = [f"{number} {unit}" for number, unit in parts if number][:2]
    return " ".join(shown) or "0 s"
