"""``tokend check``: validate a configuration without running it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokend.cli.check_result import count, print_json, rows
from tokend.cli.options import OUTPUT, SOCKET, name_completion
from tokend.cli.plan import print_plan
from tokend.cli.trials import try_tokens
from tokend.client import BadRequestError, TokenClient

if TYPE_CHECKING:
    from tokend.config import Config


@click.command("check")
@click.argument("file", type=click.Path(readable=False), required=False)
@click.option("--plan", is_flag=True, help="Ask the running daemon what a reload to this configuration would change.")
@click.option(
    "--try", "tried", multiple=True, metavar="NAME", shell_complete=name_completion(),
    help="Make one real attempt to get this token.",
)  # fmt: skip
@click.option("--try-all", is_flag=True, help="Make one real attempt for each token that is held.")
@OUTPUT
@SOCKET
def command(
    file: str | None, plan: bool, tried: tuple[str, ...], try_all: bool, output: str, socket: str | None
) -> int:
    """Check a configuration without running it. Reports every error at once; exit code 2 if there is one.

    Reads the secrets' sources (not commands) and makes no request. With --plan the daemon checks FILE, with its own
    environment and files, and prints the plan; only for root and the daemon's user. Without FILE it plans the
    configuration that it runs with, which it usually has applied already.

    --try and --try-all make one real attempt each, without a daemon; they write no sink. Pauses and minimum intervals
    of the state directory are kept. Exit code 4 if credentials are refused, 7 if a token could not be had.
    """
    if plan and (tried or try_all):
        raise click.UsageError("--plan asks the daemon, and --try does without it: use one of them")
    if plan:
        return _plan(file, output, socket)
    config = _checked(file, output, last=not (tried or try_all))
    if isinstance(config, int):
        return config
    names = list(config.providers) if try_all else list(tried)
    if not (tried or try_all):
        return 0
    return try_tokens(config, names, output)


def _plan(file: str | None, output: str, socket: str | None) -> int:
    """Let the daemon plan a file; returns the exit code."""
    body = None if file is None else {"path": str(Path(file).absolute())}
    try:
        answer = TokenClient(socket).call("POST", "/v1/reload?dry_run=true", body)
    except BadRequestError as error:
        if error.code != "config_invalid":
            raise
        errors = list(error.errors or ())
        if output == "json":
            print_json(errors=errors, warnings=[])
        else:
            click.echo(f"{error}\n{count(len(errors), 'error')}", err=True)
        return 2
    if output == "json":
        click.echo(json.dumps(answer))
    else:
        print_plan(answer, done=False)
    return 0


def _checked(file: str | None, output: str, *, last: bool) -> "Config | int":
    """Check a file and print what is wrong; returns an exit code if it has errors.

    Prints the result as JSON only if this is the ``last`` step.
    """
    from tokend.config import InvalidConfigError
    from tokend.kinds import load_config
    from tokend.values.errors import ConfigError

    try:
        config = load_config(None if file is None else Path(file))
    except InvalidConfigError as error:
        if output == "json":
            print_json(errors=rows(error.errors), warnings=[])
        else:
            click.echo(f"{error}\n{count(len(error.errors), 'error')}", err=True)
        return 2
    except ConfigError as error:  # there is no file
        if output == "json":
            print_json(errors=[{"file": file, "line": None, "column": None, "message": str(error)}], warnings=[])
        else:
            click.echo(str(error), err=True)
        return 2
    if output == "json":
        if last:
            print_json(errors=[], warnings=rows(config.warnings))
        return config
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    providers, warnings = count(len(config.providers), "provider"), count(len(config.warnings), "warning")
    click.echo(f"{config.files[0]}: ok, {providers}, {warnings}")
    return config
