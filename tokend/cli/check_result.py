"""The result of ``tokend check``, as text and as JSON: shared by its ways of checking."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tokend.values.errors import ConfigError

if TYPE_CHECKING:
    from tokend.config import ConfigProblem


def print_json(*, errors: Sequence[object], warnings: Sequence[object], ok: bool | None = None, **more: object) -> None:
    """Print the JSON object of a check; ``ok`` is by default that there is no error."""
    answer = {"version": 1, "ok": not errors if ok is None else ok, "errors": errors, "warnings": warnings}
    click.echo(json.dumps({**answer, **more}))


def rows(problems: "Sequence[ConfigProblem]") -> list[dict[str, object]]:
    """Return problems as objects of JSON."""
    return [{"file": p.file, "line": p.line, "column": p.column, "message": p.message} for p in problems]


def count(number: int, what: str) -> str:
    """Return a number with its noun."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def print_text(
    file: str,
    providers: int,
    errors: "Sequence[ConfigProblem]",
    warnings: "Sequence[ConfigProblem]",
    notes: Sequence[str],
) -> None:
    """Print the result for people: what is wrong on standard error, a line about a good file on standard output."""
    for note in notes:
        click.echo(f"note: {note}", err=True)
    if not errors:
        for warning in warnings:
            click.echo(f"warning: {warning}", err=True)
        click.echo(f"{file}: ok, {count(providers, 'provider')}, {count(len(warnings), 'warning')}")
        return
    for error in errors:
        click.echo(str(error), err=True)
    click.echo(count(len(errors), "error"), err=True)


def print_errors(file: str | None, error: ConfigError, output: str) -> None:
    """Print why a configuration cannot be used: its errors, or that it cannot be read."""
    from tokend.config import InvalidConfigError

    if isinstance(error, InvalidConfigError):
        if output == "json":
            print_json(errors=rows(error.errors), warnings=[])
        else:
            print_text("", 0, error.errors, (), ())
    elif output == "json":
        print_json(errors=[{"file": file, "line": None, "column": None, "message": error.detail}], warnings=[])
    else:
        click.echo(error.detail, err=True)
