"""The commands about the daemon itself and its configuration."""

import json
from pathlib import Path

import click

from tokend import __version__
from tokend.cli.tokens import SOCKET
from tokend.client import TokenClient
from tokend.client.transport import BadRequestError


@click.command()
@click.option("--config", metavar="FILE", help="Configuration [default: $TOKEND_CONFIG, else the usual places].")
@click.option("--once", is_flag=True, help="End as soon as every token is where it belongs, or certainly will not be.")
def run(config: str | None, once: bool) -> int:
    """Run the daemon in the foreground, until SIGTERM or Ctrl-C. SIGHUP reloads.

    With --once: 0 if every required token reached every required sink, 4 if any is rejected, else 7.
    """
    from tokend.daemon import run as run_daemon

    return run_daemon(config, once=once)


@click.command()
@click.argument("file", required=False)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check(file: str | None, output: str) -> int:
    """Check a configuration without running it: every error at once, exit code 2 if there is one.

    Reads the secrets' places (not commands) and makes no request.
    """
    from tokend.errors import ConfigError
    from tokend.plugins import load_config

    try:
        config = load_config(None if file is None else Path(file))
    except ConfigError as error:
        problems = [
            {"file": p.file, "line": p.line, "column": p.column, "message": p.message}
            for p in getattr(error, "errors", ())
        ] or [{"file": file or "", "line": 0, "column": 0, "message": str(error)}]
        if output == "json":
            click.echo(json.dumps({"version": 1, "ok": False, "errors": problems, "warnings": []}))
        else:
            click.echo(str(error), err=True)
            click.echo(f"{len(problems)} error{'s' if len(problems) > 1 else ''}", err=True)
        return 2
    if output == "json":
        click.echo(json.dumps({"version": 1, "ok": True, "errors": [], "warnings": list(config.warnings)}))
        return 0
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    count, warned = len(config.providers), len(config.warnings)
    click.echo(f"{config.files[0]}: ok, {count} provider{'s' * (count != 1)}, {warned} warning{'s' * (warned != 1)}")
    return 0


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
        if not isinstance(error.errors, list):
            raise
        for problem in error.errors:
            click.echo("{file}:{line}:{column}: {message}".format_map(problem), err=True)
        click.echo("refused: nothing was changed", err=True)
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
