"""``tokend doctor``: look at everything that a daemon depends on, and say what to do."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokend.cli.check_result import count
from tokend.cli.doctor import machine, places, running_daemon
from tokend.cli.doctor.finding import NOTHING_TO_DO, Finding, Level
from tokend.cli.doctor.running_daemon import Daemon
from tokend.cli.options import OUTPUT, SOCKET
from tokend.cli.token_rows import use_colours

if TYPE_CHECKING:
    from tokend.service_manager.unit_settings import UnitSettings

EXIT_ERRORS, EXIT_CONFIG = 1, 2
UNIT = "tokend.service"
COLOURS = {"info": None, "warning": "yellow", "error": "red"}


@click.command("doctor")
@click.argument("file", type=click.Path(), required=False)
@OUTPUT
@SOCKET
def command(file: str | None, output: str, socket: str | None) -> int:
    """Look at what a daemon depends on, with advice: users, modes, the unit, clock, pauses, sockets, TLS, versions.

    Asks the daemon if one runs, reads the configuration (FILE, by default the one that `run` would read) and the unit
    tokend.service if it is installed. It changes nothing and asks no upstream. Run it as root, or as the daemon's user,
    to see everything.

    Exit code 0 if there are no errors (warnings are allowed), 1 for errors, 2 if the configuration has errors.
    """
    findings, config_is_wrong = _look(file, socket)
    if output == "json":
        rows = [
            {"level": one.level, "code": one.code, "message": one.message, "advice": one.advice} for one in findings
        ]
        click.echo(json.dumps({"version": 1, "findings": rows}))
    else:
        _print(findings)
    if config_is_wrong:
        return EXIT_CONFIG
    return EXIT_ERRORS if any(one.level == "error" for one in findings) else 0


def _look(file: str | None, socket: str | None) -> tuple[list[Finding], bool]:
    """Return the findings, and whether the configuration has errors."""
    daemon = running_daemon.ask(socket)
    environ = os.environ if daemon.environ is None else daemon.environ
    findings = [*machine.findings(environ, daemon.uid), *places.runtime_directory(os.environ)]
    findings += running_daemon.findings(daemon)
    of_config, wrong = _of_config(file, daemon)
    return [*findings, *of_config], wrong


def _of_config(file: str | None, daemon: Daemon) -> tuple[list[Finding], bool]:
    """Return the findings about the configuration and its unit, and whether it has errors.

    It is read with the daemon's variables, or with those of its unit, as far as they can be seen.
    """
    from tokend.config import InvalidConfigError, find_config
    from tokend.kinds import load_config
    from tokend.values.errors import ConfigError

    runs, unit = daemon.trouble is None, _unit()
    environ = daemon.environ
    if environ is None:
        environ = {**(_unit_environment(unit) if unit is not None and os.geteuid() == 0 else {}), **os.environ}
    explicit = daemon.config if file is None else Path(file)
    uid = os.getuid() if daemon.environ is None or daemon.uid is None else daemon.uid
    try:
        path = find_config(explicit, environ=environ, uid=uid)
    except ConfigError as error:
        # The system's daemon has a configuration that this user need not see.
        level: Level = "info" if runs and file is None else "error"
        advice = "name it, or run tokend doctor as the daemon's user" if runs else "tokend init writes one"
        return [Finding(level, "config_missing", str(error), advice)], level == "error"
    try:
        config = load_config(path, environ=environ, in_shell=not environ.get("CREDENTIALS_DIRECTORY"))
    except InvalidConfigError as error:
        advice = f"tokend check {path} shows the lines"
        return [Finding("error", "config_invalid", one.headline, advice) for one in error.errors], True
    except ConfigError as error:
        return [Finding("error", "config_invalid", str(error), f"tokend check {path}")], True
    found = [Finding("info", "config", f"{path}: {len(config.providers)} providers, no errors")]
    if unit is not None:
        found.append(Finding("info", "unit", f"{UNIT} runs as {unit.user or 'root'}"))
    return [*found, *places.findings_of_config(config, daemon.uid, unit)], False


def _unit_environment(unit: "UnitSettings") -> dict[str, str]:
    from tokend.cli.check_as import variables_of
    from tokend.values.errors import ConfigError

    try:
        return variables_of(unit)
    except ConfigError:
        return unit.environment()


def _unit() -> "UnitSettings | None":
    """Return the settings of the unit, None if there is none, or no systemd."""
    from tokend.service_manager.unit_settings import read_unit
    from tokend.values.errors import ConfigError

    try:
        return read_unit(UNIT)
    except ConfigError:
        return None


def _print(findings: list[Finding]) -> None:
    for line in _lines(findings):
        click.echo(line, color=use_colours())
    counts = [sum(one.level == level for one in findings) for level in ("error", "warning")]
    click.echo(f"{count(counts[0], 'error')}, {count(counts[1], 'warning')}")


def _lines(findings: list[Finding]) -> Iterator[str]:
    for one in findings:
        yield f"{click.style(f'{one.level:<8}', fg=COLOURS[one.level])} {one.message}"
        if one.advice != NOTHING_TO_DO:
            yield f"{'':<8} -> {one.advice}"
