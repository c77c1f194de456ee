"""``tokend run`` as click explains it: help and wrong usage. `run` does the work."""

import click

from tokend.cli.run import LOG_LEVELS, run_daemon


@click.command("run")
@click.option(
    "--config", type=click.Path(), metavar="FILE",
    help="Configuration [default: $TOKEND_CONFIG, else the usual places].",
)  # fmt: skip
@click.option("--once", is_flag=True, help="Exit when every token is in its sinks, or certainly cannot get there.")
@click.option(
    "--log-level", type=click.Choice(LOG_LEVELS), help="Lowest level to show, instead of the configuration's log_level."
)
def command(config: str | None, once: bool, log_level: str | None) -> int:
    """Run the daemon in the foreground, until SIGTERM or Ctrl-C. SIGHUP reloads.

    Exit code with --once: 0 if every required token is in every required sink, 4 if a required token is rejected,
    else 7.
    """
    return run_daemon(config, once, log_level)
