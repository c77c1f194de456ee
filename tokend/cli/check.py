"""``tokend check``: validate a configuration without running it."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokend.cli.check_result import count, print_errors, print_json, print_text, rows
from tokend.cli.options import OUTPUT, SOCKET_ALONE, configured_names, name_completion, readable
from tokend.cli.plan import print_plan
from tokend.cli.streams import escaped
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
@click.option("--probe", is_flag=True, help="Ask each sink's store once, with its credential. Writes nothing.")
@click.option(
    "--show", metavar="NAME", shell_complete=configured_names,
    help="Print this provider's table as it counts, with its vendor's defaults. Secrets are shown as their places.",
)  # fmt: skip
@click.option("--unit", metavar="UNIT", help="Check with the user, variables, credentials and paths of a systemd unit.")
@click.option("--user", metavar="NAME", help="Check as this user: files are readable, sinks can be written.")
@OUTPUT
@SOCKET_ALONE
def command(
    file: str | None,
    plan: bool,
    tried: tuple[str, ...],
    try_all: bool,
    probe: bool,
    show: str | None,
    unit: str | None,
    user: str | None,
    output: str,
    socket: str | None,
) -> int:
    """Check a configuration without running it. Reports every error at once; exit code 2 if there is one.

    Reads the secrets' sources (not commands) and makes no request. A credential of a unit is a note in a shell: --unit
    asks systemd about the unit (tokend.service), and checks with its user, variables, credentials, ReadWritePaths= and
    the like. --user checks as another user. Both need root for another user than yourself.

    With --plan the daemon checks FILE, with its own environment and files, and prints the plan; only for root and the
    daemon's user. Without FILE it plans the configuration that it runs with, which it usually has applied already.

    --try and --try-all make one real attempt each, without a daemon; they write no sink. Pauses and minimum intervals
    of the state directory are kept. Exit code 4 if credentials are refused or a login is required, 7 if a token could
    not be had.

    --probe asks the store of each remote sink what it holds, after the attempts of --try, and the servers of kind
    oauth2 for their metadata. Exit code 4 if a store refuses the credential, 1 if one cannot be asked.

    --show reads no secret, and needs none.
    """
    tries = bool(tried or try_all or probe)
    if sum((plan, tries, show is not None, unit is not None, user is not None)) > 1:
        raise click.UsageError("use one of --plan, --try, --show, --unit and --user (--probe is for --try or alone)")
    if plan:
        with readable():
            return _plan(file, output, socket)
    if unit is not None or user is not None:
        return _check_as(file, unit, user, output)
    if show is not None:
        return _show(file, show, output)
    config = _checked(file, output, last=not tries)
    if isinstance(config, int) or not tries:
        return config if isinstance(config, int) else 0
    return try_tokens(config, list(config.providers) if try_all else list(tried), output, stores=probe)


def _show(file: str | None, name: str, output: str) -> int:
    """Print a provider's table; returns the exit code."""
    from tokend.cli.shown_table import show
    from tokend.kinds import load_config
    from tokend.values.errors import ConfigError
    from tokend.values.near_miss import did_you_mean

    try:
        config = load_config(None if file is None else Path(file), starting=True, reads_secrets=False)
        if name not in config.providers:
            raise click.UsageError(f'there is no provider "{name}"{did_you_mean(name, config.providers)}')
        show(config, name, output)
    except ConfigError as error:
        print_errors(file, error, output)
        return 2
    return 0


def _check_as(file: str | None, unit: str | None, user: str | None, output: str) -> int:
    """Check with the eyes of a user or of a unit; returns the exit code."""
    from tokend.cli.check_as import check_as_user, check_unit
    from tokend.values.errors import ConfigError

    try:
        report = check_unit(file, unit) if unit is not None else check_as_user(file, str(user))
    except ConfigError as error:
        print_errors(file, error, output)
        return 2
    if output == "json":
        print_json(errors=rows(report.errors), warnings=rows(report.warnings), notes=list(report.notes))
        return 2 if report.errors else 0
    print_text(report.file, report.providers, report.errors, report.warnings, report.notes)
    return 2 if report.errors else 0


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
            click.echo(escaped(f"{error}\n{count(len(errors), 'error')}", kept="\n"), err=True)
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
    from tokend.kinds import load_config
    from tokend.values.errors import ConfigError

    try:
        config = load_config(None if file is None else Path(file), in_shell=not os.environ.get("CREDENTIALS_DIRECTORY"))
    except ConfigError as error:
        print_errors(file, error, output)
        return 2
    notes = tuple(note.headline for note in config.notes)
    if output == "json":
        if last:
            print_json(errors=[], warnings=rows(config.warnings), notes=list(notes))
        return config
    print_text(str(config.files[0]), len(config.providers), (), config.warnings, notes)
    return config
