"""``tokend demo``: tokend at work in half a minute, on loopback, without any account.

The sandbox and the daemon run as real processes. Each line is printed after the demo has observed what the line says.
"""

import sys
import time

import click

from tokend.cli.demo.scenes import go_on, play
from tokend.cli.demo.stage import DemoFailedError, Stage
from tokend.client import TokendError

# Exit status that a shell reports for a program that Ctrl-C ended.
EXIT_INTERRUPTED = 130


@click.command("demo")
@click.option("--keep", is_flag=True, help="Keep the directory (configuration, tokens, logs).")
@click.option("--seconds", type=click.IntRange(10, 3600), default=60, show_default=True,
              help="On a terminal: show further refreshes until this many seconds have passed.")  # fmt: skip
def command(keep: bool, seconds: int) -> int:
    """Show tokend at work with a sandbox that plays its upstreams and a store.

    Needs no account and no network: everything runs on this machine, in a new temporary directory, with fake
    secrets. Ends by itself or by Ctrl-C. The exit code is 0 only if everything that it shows really happened.
    """
    played = False
    with Stage(keep=keep) as stage:
        try:
            play(stage)
            played = True
            if sys.stdout.isatty():
                go_on(stage, until=stage.started + seconds)
        except KeyboardInterrupt:
            click.echo("\nStopped." if played else "\nStopped before the end.")
        except (DemoFailedError, TokendError, OSError) as error:
            stage.say("✗", "demo", str(error))
            click.echo(stage.last_lines(), err=True)
            return 1
        took = time.monotonic() - stage.started
        click.echo(f"Ended after {took:.0f} s; the sandbox and the daemon are stopped.")
    return 0 if played else EXIT_INTERRUPTED
