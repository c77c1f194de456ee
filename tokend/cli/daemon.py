"""The commands about the daemon itself and its configuration."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokend import __version__
from tokend.cli.options import SOCKET
from tokend.cli.streams import complain
from tokend.client import BadRequestError, TokenClient

if TYPE_CHECKING:
    from tokend.config import ConfigProblem


@click.command()
@click.option("--config", metavar="FILE", help="Configuration [default: $TOKEND_CONFIG, else the usual places].")
@click.option("--once", is_flag=True, help="End as soon as every token is where it belongs, or certainly will not be.")
def run(config: str | None, once: bool) -> int:
    """Run the daemon in the foreground, until SIGTERM or Ctrl-C. SIGHUP reloads.

    With --once: 0 if every required token reached every required sink, 4 if any is rejected, else 7.
    """
    from tokend.cli.run import run_daemon

    return run_daemon(config, once)


@click.command()
@click.argument("file", required=False)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check(file: str | None, output: str) -> int:
    """Check a configuration without running it: every error at once, exit code 2 if there is one.

    Reads the secrets' places (not commands) and makes no request.
    """
    from tokend.config import InvalidConfigError
    from tokend.kinds import load_config
    from tokend.values.errors import ConfigError

    try:
        config = load_config(None if file is None else Path(file))
    except InvalidConfigError as error:
        if output == "json":
            _print_verdict(errors=_places(error.errors), warnings=[])
        else:
            click.echo(f"{error}\n{_count(len(error.errors), 'error')}", err=True)
        return 2
    except ConfigError as error:  # there is no file
        if output == "json":
            _print_verdict(errors=[{"file": file, "line": None, "column": None, "message": str(error)}], warnings=[])
        else:
            click.echo(str(error), err=True)
        return 2
    if output == "json":
        _print_verdict(errors=[], warnings=_places(config.warnings))
        return 0
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    providers, warnings = _count(len(config.providers), "provider"), _count(len(config.warnings), "warning")
    click.echo(f"{config.files[0]}: ok, {providers}, {warnings}")
    return 0


def _places(problems: "Sequence[ConfigProblem]") -> list[dict[str, object]]:
    return [{"file": p.file, "line": p.line, "column": p.column, "message": p.message} for p in problems]


def _print_verdict(*, errors: Sequence[object], warnings: Sequence[object]) -> None:
    click.echo(json.dumps({"version": 1, "ok": not errors, "errors": errors, "warnings": warnings}))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


@click.command()
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
@SOCKET
def reload(dry_run: bool, socket: str | None) -> int:
    """Have the daemon read its configuration again, and wait until it is in force. For admins.

    Exit code 2 if it was refused: then everything goes on as before.
    """
    try:
        plan = TokenClient(socket).reload(dry_run=dry_run)
    except BadRequestError as error:
        if error.code != "config_invalid":
            raise
        click.echo(str(error), err=True)
        complain("the configuration was refused; everything goes on as before")
        return 2
    for step in plan:
        click.echo(f"{step['action']:<8} {step['name']}")
    if not plan:
        click.echo("nothing would change" if dry_run else "nothing changed")
    return 0


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(f"tokend {__version__}")
