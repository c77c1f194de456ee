"""``tokend run``: the daemon, in the foreground."""

import sys

import click


@click.command("run")
@click.option("--config", metavar="FILE", help="Configuration [default: $TOKEND_CONFIG, else the usual places].")
@click.option("--once", is_flag=True, help="Exit when every token is in its sinks, or certainly cannot get there.")
def command(config: str | None, once: bool) -> int:
    """Run the daemon in the foreground, until SIGTERM or Ctrl-C. SIGHUP reloads.

    Exit code with --once: 0 if every required token is in every required sink, 4 if a required token is rejected,
    else 7.
    """
    # structlog imports rich where it is installed, for tracebacks that a daemon never prints: 60 ms of the start and
    # 5 MB. None makes that import fail as if rich were not installed.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    from tokend.daemon.process import run

    return run(config, once=once)
