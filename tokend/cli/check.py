"""``tokend check``: validate a configuration without running it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tokend.config import ConfigProblem


@click.command("check")
@click.argument("file", required=False)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(file: str | None, output: str) -> int:
    """Check a configuration without running it. Reports every error at once; exit code 2 if there is one.

    Reads the secrets' sources (not commands) and makes no request.
    """
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
