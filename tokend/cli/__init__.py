"""The command line: the only place that prints. Each command is imported when it is called for."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from tokend.client.transport import TokendError

# name: (module, attribute, one line for the overview)
COMMANDS = {
    "run": ("daemon", "run", "Run the daemon."),
    "check": ("daemon", "check", "Check a configuration; report every error at once."),
    "reload": ("daemon", "reload", "Have the daemon read its configuration again."),
    "get": ("tokens", "get", "Print a token."),
    "header": ("tokens", "header", "Print the headers to send with each call."),
    "issue": ("tokens", "issue", "Issue one on-demand token."),
    "request-id": ("tokens", "request_id", "Print a new request id (kinds that need one per call)."),
    "refresh": ("tokens", "refresh", "Fetch a newer token now."),
    "forget": ("tokens", "forget", "Drop a compromised token everywhere and log in anew."),
    "verify": ("tokens", "verify", "Tell whether a token is valid (no network)."),
    "watch": ("tokens", "watch", "Print a line at each new token."),
    "exec": ("tokens", "execute", "Run a program with tokens in its environment."),
    "list": ("status", "list_tokens", "List the tokens."),
    "status": ("status", "status", "Show how everything stands."),
    "demo": ("demo", "command", "See tokend at work, with no account anywhere."),
    "sandbox": ("tokend.sandbox.command", "command", "Play the five upstreams on loopback."),
    "version": ("daemon", "version", "Print the version."),
}
EPILOG = """\b
Exit codes: 0 ok · 1 other · 2 usage or configuration · 3 daemon not reachable ·
4 a person must act (rejected) · 5 unknown token · 6 denied · 7 no valid token now ·
75 another instance holds the state · 78 configuration, under systemd · 124 --wait ran out
"""


class _Lazy(click.Group):
    """A group that imports a command when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's shape)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        found = getattr(import_module(module if "." in module else f"tokend.cli.{module}"), attribute)
        assert isinstance(found, click.Command)  # noqa: S101  (our own table)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
def group() -> None:
    """Keep short-lived API tokens fresh for every program on this host.

    Apps read tokens from files or ask the daemon's Unix socket; `tokend demo` shows all of it in half a minute.
    """


def command(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    try:
        result = group.main(args=list(arguments), prog_name="tokend", standalone_mode=False)
    except click.exceptions.Abort:
        return 1
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except TokendError as error:
        sys.stderr.write(f"tokend: {error}\n")
        for name, texts in error.errors.items() if isinstance(error.errors, dict) else ():
            sys.stderr.write("".join(f"  {name}: {text}\n" for text in texts))
        return error.exit_code
    except BrokenPipeError:
        # Whoever read us has gone; nothing more to say, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    return result if isinstance(result, int) else 0
