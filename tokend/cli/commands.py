"""All commands in one table, and how their errors become sentences and exit codes."""

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

import click

from tokend import __version__
from tokend.cli.streams import complain, prepare_streams
from tokend.client.errors import TokendError

# section: {name: (module, attribute, one line for the overview)}
SECTIONS = {
    "See it at work, with no account anywhere": {
        "demo": ("tokend.cli.demo", "command", "Play all of it in half a minute."),
        "sandbox": ("tokend.sandbox.command", "command", "Play the five upstreams on loopback."),
    },
    "Ask for tokens": {
        "get": ("tokend.cli.tokens", "get", "Print a token."),
        "header": ("tokend.cli.tokens", "header", "Print the headers to send with each call."),
        "issue": ("tokend.cli.tokens", "issue", "Issue one on-demand token."),
        "request-id": ("tokend.cli.tokens", "request_id", "Print a new request id (kinds that need one per call)."),
        "watch": ("tokend.cli.tokens", "watch", "Print a line at each new token."),
        "exec": ("tokend.cli.execute", "execute", "Run a program with tokens in its environment."),
        "credential": ("tokend.cli.credential", "credential", "Answer git, docker or bazel as their helper."),
    },
    "Look after tokens": {
        "list": ("tokend.cli.status", "list_tokens", "List the tokens."),
        "status": ("tokend.cli.status", "status", "Show how everything stands."),
        "verify": ("tokend.cli.status", "verify", "Tell whether a token is valid (no network)."),
        "refresh": ("tokend.cli.tokens", "refresh", "Fetch a newer token now."),
        "forget": ("tokend.cli.tokens", "forget", "Drop a compromised token everywhere and log in anew."),
    },
    "The daemon": {
        "check": ("tokend.cli.daemon", "check", "Check a configuration; report every error at once."),
        "run": ("tokend.cli.daemon", "run", "Run the daemon."),
        "reload": ("tokend.cli.daemon", "reload", "Have the daemon read its configuration again."),
        "schema": ("tokend.cli.schema", "schema", "Print the configuration's JSON Schema, for editors."),
        "completion": ("tokend.cli.completion", "completion", "Print what makes bash, zsh or fish complete all this."),
        "version": ("tokend.cli.daemon", "version", "Print the version."),
    },
}
COMMANDS = {name: where for commands in SECTIONS.values() for name, where in commands.items()}
EPILOG = """\b
Exit codes: 0 ok, 1 other, 2 usage or configuration, 3 daemon not reachable,
4 a person must act (rejected), 5 unknown token, 6 denied, 7 no valid token now,
75 another instance holds the state, 78 instead of 2 under systemd, 124 --wait ran out
"""


class _Lazy(click.Group):
    """A group that imports a command when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's shape)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            if near := get_close_matches(cmd_name, COMMANDS, n=1):
                ctx.fail(f"No such command {cmd_name!r}. Did you mean {near[0]!r}?")
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        found = getattr(import_module(module), attribute)
        assert isinstance(found, click.Command)  # noqa: S101  (our own table)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        # One width for all sections, so that the second column is one column.
        width = max(map(len, COMMANDS))
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), text) for name, (_, _, text) in commands.items()])


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.version_option(__version__, message="tokend %(version)s")
def group() -> None:
    """Keep short-lived API tokens fresh for every program on this host.

    One daemon (`tokend run`) logs in and refreshes. Programs read their tokens from files, or ask the daemon's Unix
    socket: `tokend get NAME`, curl, or Python's tokend.client. Start with `tokend demo`.
    """


def command(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    prepare_streams()
    try:
        result = group.main(args=list(arguments), prog_name="tokend", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Abort:
        return 1
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except TokendError as error:
        complain(error)
        for name, texts in error.errors.items() if isinstance(error.errors, dict) else ():
            for text in texts:
                complain(f"  {name}: {text}")
        return error.exit_code
    except OSError as error:
        # (A reader that has gone is no error worth a word: click ends with 1 then.)
        complain(f"{error.filename or 'cannot write to standard output'}: {error.strerror}")
        # What is still buffered has nowhere to go, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    return result if isinstance(result, int) else 0


def docker_credential() -> int:
    """``docker-credential-tokend``: docker starts its helpers by such a name."""
    return command(["credential", "docker", *sys.argv[1:]])
