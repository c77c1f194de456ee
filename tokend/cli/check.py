"""``tokend check``: validate a configuration without running it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokend.cli.options import OUTPUT, SOCKET
from tokend.cli.plan import print_plan
from tokend.client import BadRequestError, TokenClient

if TYPE_CHECKING:
    from tokend.config import ConfigProblem


@click.command("check")
@click.argument("file", required=False)
@click.option("--plan", is_flag=True, help="Ask the running daemon what a reload to this configuration would change.")
@OUTPUT
@SOCKET
def command(file: str | None, plan: bool, output: str, socket: str | None) -> int:
    """Check a configuration without running it. Reports every error at once; exit code 2 if there is one.

    Reads the secrets' sources (not commands) and makes no request. With --plan the daemon checks FILE, with its own
    environment and files, and prints the plan; only for root and the daemon's user. Without FILE it plans the
    configuration that it runs with, which it usually has applied already.
    """
    if plan:
        return _plan(file, output, socket)
    return _check(file, output)


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
            _print_result(errors=errors, warnings=[])
        else:
            click.echo(f"{error}\n{_count(len(errors), 'error')}", err=True)
        return 2
    if output == "json":
        click.echo(json.dumps(answer))
    else:
        print_plan(answer, done=False)
    return 0


def _check(file: str | None, output: str) -> int:
    """Check a file; returns the exit code."""
    from tokend.config import InvalidConfigError
    from tokend.kinds import load_config
    from tokend.values.errors import ConfigError

    try:
        config = load_config(None if file is None else Path(file))
    except InvalidConfigError as error:
        if output == "json":
            _print_result(errors=_rows(error.errors), warnings=[])
        else:
            click.echo(f"{error}\n{_count(len(error.errors), 'error')}", err=True)
        return 2
    except ConfigError as error:  # there is no file
        if output == "json":
            _print_result(errors=[{"file": file, "line": None, "column": None, "message": str(error)}], warnings=[])
        else:
            click.echo(str(error), err=True)
        return 2
    if output == "json":
        _print_result(errors=[], warnings=_rows(config.warnings))
        return 0
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    providers, warnings = _count(len(config.providers), "provider"), _count(len(config.warnings), "warning")
    click.echo(f"{config.files[0]}: ok, {providers}, {warnings}")
    return 0


def _rows(problems: "Sequence[ConfigProblem]") -> list[dict[str, object]]:
    return [{"file": p.file, "line": p.line, "column": p.column, "message": p.message} for p in problems]


def _print_result(*, errors: Sequence[object], warnings: Sequence[object]) -> None:
    click.echo(json.dumps({"version": 1, "ok": not errors, "errors": errors, "warnings": warnings}))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
