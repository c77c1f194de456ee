"""``tokend doctor``: look at everything that a daemon depends on, and say what to do."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokend.cli.as_user import identity_of, run_as
from tokend.cli.check_result import count
from tokend.cli.doctor import machine, places, running_daemon
from tokend.cli.doctor.finding import NOTHING_TO_DO, Finding, Level
from tokend.cli.doctor.running_daemon import Daemon
from tokend.cli.options import OUTPUT, SOCKET_ALONE, readable
from tokend.cli.streams import escaped
from tokend.cli.token_rows import use_colours
from tokend.client.errors import NotRunningError

if TYPE_CHECKING:
    from tokend.service_manager.unit_settings import UnitSettings

EXIT_ERRORS, EXIT_CONFIG = 1, 2
UNIT = "tokend.service"
COLOURS = {"info": None, "warning": "yellow", "error": "red"}


@click.command("doctor")
@click.argument("file", type=click.Path(), required=False)
@OUTPUT
@SOCKET_ALONE
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
    try:
        with readable():
            findings += list(running_daemon.findings(daemon))
    except NotRunningError as error:
        findings.append(running_daemon.no_answer(error))
    unit = _unit() if running_daemon.is_of_unit(daemon, UNIT) or (daemon.trouble and file is None) else None
    variables = daemon.environ
    if variables is None:
        variables = {**({} if unit is None else _unit_environment(unit)), **os.environ}
    of_config, wrong = _as_the_daemon(daemon, unit, lambda: _of_config(file, daemon, unit, variables))
    return [*_without_repeats(findings, of_config), *of_config], wrong


def _without_repeats(of_daemon: Sequence[Finding], of_config: Sequence[Finding]) -> list[Finding]:
    """Leave out the daemon's warnings that the configuration gives, too: that one has the place."""
    said = [(one.code, one.message) for one in of_config]
    return [
        one
        for one in of_daemon
        if not any(one.code == code and message.endswith(one.message.partition(": ")[2]) for code, message in said)
    ]


def _as_the_daemon(
    daemon: Daemon, unit: "UnitSettings | None", look: Callable[[], tuple[list[Finding], bool]]
) -> tuple[list[Finding], bool]:
    """Look with the daemon's rights, if we are root and it is not: root can read everything."""
    if os.geteuid() != 0:
        return look()
    try:
        identity = running_daemon.identity_of_daemon(daemon)
        if identity is None and unit is not None:
            identity = identity_of(unit.user or "root", unit.group, unit.supplementary_groups)
    except KeyError:
        identity = None
    if identity is None or identity.is_ours:
        return look()
    with suppress(Exception):
        look()  # imports everything: the daemon's user may not be able to read this program
    return run_as(identity, look)


def _of_config(
    file: str | None, daemon: Daemon, unit: "UnitSettings | None", environ: Mapping[str, str]
) -> tuple[list[Finding], bool]:
    """Return the findings about the configuration and its unit, and whether it has errors.

    ``environ`` has the daemon's variables, or those of its unit, as far as they can be seen.
    """
    from tokend.config import InvalidConfigError, find_config
    from tokend.kinds import load_config
    from tokend.values.errors import ConfigError

    runs = daemon.trouble is None
    explicit = daemon.config if file is None else Path(file)
    try:
        path = find_config(explicit, environ=environ, uid=os.getuid())
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
    found = [Finding("info", "config", f"{path}: {count(len(config.providers), 'provider')}, no errors")]
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
        yield f"{click.style(f'{one.level:<8}', fg=COLOURS[one.level])} {escaped(one.message)}"
        if one.advice != NOTHING_TO_DO:
            yield f"{'':<8} -> {escaped(one.advice)}"
