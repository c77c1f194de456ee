"""``tokend exec``: run a program with tokens in its environment, in place of tokend or as its restartable child."""

import os
import re
import shutil
import signal
from pathlib import Path

import click

from tokend.cli.options import SOCKET, duration
from tokend.cli.restart_on_change import Environment, run
from tokend.cli.streams import complain
from tokend.client import TokenClient, TokendError
from tokend.client.calls import token_target

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.option(
    "--env", "pairs", multiple=True, required=True, metavar="KEY=NAME", help="Variable and token; repeatable."
)
@click.option("--min-ttl", callback=duration, metavar="DURATION", help="Refresh first each token that ends sooner.")
@click.option("--restart-on-change", is_flag=True, help="On each new token, end CMD by SIGTERM and run it again.")
@SOCKET
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, required=True, metavar="-- CMD…")
def command(
    pairs: tuple[str, ...], min_ttl: str | None, restart_on_change: bool, socket: str | None, argv: tuple[str, ...]
) -> int:
    """Run CMD with tokens in its environment. CMD replaces tokend: signals and exit status are its own.

    With --restart-on-change tokend stays its parent and passes signals on. When CMD ends by itself, tokend ends with
    its status (128 + N if signal N ended it). For a restart CMD and all that it has started have 10 s to end, then
    they are killed.

    Exit code 127 if CMD is not found, 126 if it cannot be run.
    """
    names = _names(pairs)
    client = TokenClient(socket)
    query = "" if min_ttl is None else f"?min_ttl={min_ttl}"

    def environment() -> Environment:
        variables, generations = dict(os.environ), dict[str, int | None]()
        for key, name in names.items():
            answer = client.call("GET", token_target(name) + query)
            variables[key], generations[name] = _value(answer.get("access_token"), name), answer.get("generation")
        return Environment(variables, generations)

    first = environment()
    path = first.variables.get("PATH")
    program = shutil.which(argv[0], path=path)
    if program is None and shutil.which(argv[0], os.F_OK, path) is None and not Path(argv[0]).is_dir():
        complain(f"{argv[0]}: command not found")
        return 127
    if program is None:
        complain(f"{argv[0]}: cannot be run: it is a file that is not executable, or a directory; try: chmod +x")
        return 126
    try:
        if restart_on_change:
            return run(program, argv, first, client=client, renewed=environment)
        # Python ignores these two signals, and exec keeps ignored signals ignored: restore the defaults.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        return os.execve(program, list(argv), first.variables)  # noqa: S606  (the user asked to run it)
    except OSError as error:
        complain(f"{argv[0]}: cannot be run: {error.strerror}")
        return 126


def _value(token: object, name: str) -> str:
    """Return a token for the environment. Raises `TokendError` for what no environment can hold."""
    try:
        if isinstance(token, str) and b"\0" not in os.fsencode(token):
            return token
    except UnicodeEncodeError:  # half of a character
        pass
    raise TokendError(f"the answer has no {name!r} that an environment can hold: is it tokend that listens there?")


def _names(pairs: tuple[str, ...]) -> dict[str, str]:
    """Split ``KEY=NAME`` options into {variable: token's name}. Raises `click.UsageError`."""
    names = {}
    for pair in pairs:
        key, equals, name = pair.partition("=")
        if not equals or not _VARIABLE.fullmatch(key):
            raise click.UsageError(f"--env is KEY=NAME: {pair!r} is not")
        names[key] = name
    return names
