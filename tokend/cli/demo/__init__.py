"""``tokend demo``: the whole of tokend in half a minute, on loopback, with no account anywhere.

The sandbox and the daemon run as real processes; every line is printed after the thing it says was seen to happen.
"""

import sys
import time

import click

from tokend.cli.demo.scenes import go_on, play
from tokend.cli.demo.stage import DemoFailedError, Stage
from tokend.client import TokendError

# What a shell reports of a program that Ctrl-C ended.
EXIT_INTERRUPTED = 130


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the directory (configuration, tokens, logs) when done.")
@click.option("--seconds", type=click.IntRange(10, 3600), default=60, show_default=True,
              help="On a terminal: go on showing refreshes until so many seconds have passed.")  # fmt: skip
def command(keep: bool, seconds: int) -> int:
    """Show tokend at work against a sandbox of its five upstreams.

    Needs no account and no network: everything runs on this machine, in a new temporary directory, with fake
    secrets. Ends by itself, or at Ctrl-C. Exit status 0 only if everything it showed really happened.
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
