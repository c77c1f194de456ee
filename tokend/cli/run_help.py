"""``tokend run`` as click explains it: help, wrong usage, and the options of a single run. `run` does the work."""

import json
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from tokend.cli.get import duration_seconds
from tokend.cli.options import duration
from tokend.cli.output_formats import render
from tokend.cli.run import LOG_LEVELS, run_daemon
from tokend.cli.streams import complain, write
from tokend.client import TokendError

if TYPE_CHECKING:
    from tokend.daemon.single_run import SingleRun

PRINTED = ("raw", "json", "env")


@click.command("run")
@click.option(
    "--config", type=click.Path(readable=False), metavar="FILE",
    help="Configuration [default: $TOKEND_CONFIG, else the usual places].",
)  # fmt: skip
@click.option("--once", is_flag=True, help="Exit when every token is in its sinks, or only a person can change that.")
@click.option("--wait", metavar="DURATION", callback=duration, help="With --once: try for so long [default: 60s].")
@click.option(
    "-o", "--output", type=click.Choice(PRINTED), help="With --once: print the token NAME at the end, in this form."
)
@click.option(
    "--log-level", type=click.Choice(LOG_LEVELS), help="Lowest level to show, instead of the configuration's log_level."
)
@click.argument("name", required=False)
def command(
    config: str | None, once: bool, wait: str | None, output: str | None, log_level: str | None, name: str | None
) -> int:
    """Run the daemon in the foreground, until SIGTERM or Ctrl-C. SIGHUP reloads.

    Exit code with --once: 0 if every required token is in every required sink, 4 if a required token is rejected
    or needs a login, else 7.
    """
    if not once and (wait or output or name):
        raise click.UsageError("--wait, -o and NAME are for --once: a running daemon answers `tokend get`")
    if (output is None) != (name is None):
        raise click.UsageError("-o needs the NAME of a token, and NAME needs -o raw, -o json or -o env")
    if wait is None and name is None:
        return run_daemon(config, once, log_level)
    return run_daemon(config, once, log_level, partial(_single, wait, name, output))


def _single(wait: str | None, name: str | None, output: str | None) -> "SingleRun":
    from tokend.daemon.single_run import WAIT_SECONDS, SingleRun

    seconds = None if wait is None else duration_seconds(wait)
    return SingleRun(WAIT_SECONDS if seconds is None else seconds, name, partial(_print, output))


def _print(output: str | None, answer: Mapping[str, Any]) -> None:
    """Print a token as `tokend get` prints it."""
    try:
        text = json.dumps(answer, separators=(",", ":")) if output == "json" else render(answer, output or PRINTED[0])
    except TokendError as error:
        complain(error)
    else:
        write(text.encode(errors="backslashreplace") + b"\n")
