"""Table of all commands, and the translation of their errors into sentences and exit codes.

To add a command: write ``tokend/cli/NAME.py`` with a click command called ``command``, and add a row to `SECTIONS`.
``--help``, shell completion and the man page follow.
"""

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

import click

from tokend import __version__
from tokend.cli.streams import complain, prepare_streams
from tokend.client.errors import TokendError

# section: {name: (module, which defines `command`; one line for the overview)}
SECTIONS = {
    "Try it, with no account anywhere": {
        "demo": ("tokend.cli.demo", "Show tokend at work in half a minute."),
        "sandbox": ("tokend.sandbox.command", "Run a local server that plays the upstreams and stores."),
    },
    "Ask for tokens": {
        "get": ("tokend.cli.get_help", "Print a token."),  # this module only explains; `get` does the work
        "header": ("tokend.cli.header", "Print the headers to send with each call."),
        "issue": ("tokend.cli.issue", "Issue one on-demand token."),
        "sign": ("tokend.cli.sign", "Print the headers that sign one call (kinds that sign calls)."),
        "request-id": ("tokend.cli.request_id", "Print a new request id (kinds that need one per call)."),
        "watch": ("tokend.cli.watch", "Print a line for each new token."),
        "exec": ("tokend.cli.exec", "Run a program with tokens in its environment."),
        "credential": ("tokend.cli.credential", "Act as a credential helper of git, docker or bazel."),
    },
    "Look after tokens": {
        "list": ("tokend.cli.list", "List the tokens."),
        "status": ("tokend.cli.status", "Show the state of all tokens, or of one."),
        "verify": ("tokend.cli.verify", "Check whether a token is valid (no network)."),
        "refresh": ("tokend.cli.refresh", "Fetch a newer token now."),
        "sync": ("tokend.cli.sync", "Write a token to its files and stores now."),
        "login": ("tokend.cli.login", "Log in where a person has to: in a browser or with a code."),
        "logout": ("tokend.cli.logout", "End a login, here and at its server."),
        "forget": ("tokend.cli.forget", "Drop a compromised token everywhere and ask for another one."),
    },
    "The daemon": {
        "init": ("tokend.cli.init", "Write a commented configuration to begin with."),
        "vendors": ("tokend.cli.vendors", "List the known vendors, or print a ready table for one."),
        "check": ("tokend.cli.check", "Check a configuration; report every error at once."),
        "try": ("tokend.cli.try_offline", "Show offline what an upstream's answer would mean."),
        "doctor": ("tokend.cli.doctor", "Look at what a daemon depends on, with advice."),
        "run": ("tokend.cli.run_help", "Run the daemon."),  # this module only explains; `run` does the work
        "reload": ("tokend.cli.reload", "Make the daemon read its configuration again."),
        "schema": ("tokend.cli.schema", "Print the configuration's JSON Schema, for editors."),
        "completion": ("tokend.cli.completion", "Print the completion script for bash, zsh or fish."),
        "version": ("tokend.cli.version", "Print the version and the plug-ins."),
    },
}
COMMANDS = {name: row for commands in SECTIONS.values() for name, row in commands.items()}
EPILOG = """\b
Exit codes: 0 ok, 1 other, 2 usage or configuration, 3 daemon not reachable,
4 a person must act (rejected, login required), 5 unknown token, 6 denied,
7 no valid token, 75 another instance holds the state, 78 instead of 2 under
systemd, 124 --wait or login --timeout ran out
"""
# Click's own limit, 80, breaks lines that a usual terminal has room for.
WIDEST_HELP_COLUMNS = 100


class _LazyGroup(click.Group):
    """Group that imports a command when it is needed, and lists the commands by section."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            if near := get_close_matches(cmd_name, COMMANDS, n=1):
                ctx.fail(f"No such command {cmd_name!r}. Did you mean {near[0]!r}?")
            return None
        module, text = COMMANDS[cmd_name]
        found = import_module(module).command
        assert isinstance(found, click.Command)  # noqa: S101  (our own table)
        found.short_help = text  # else a shell shows the beginning of the docstring, cut at 45 characters
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        # One width for all sections, so that the second column is one column.
        width = max(map(len, COMMANDS))
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), text) for name, (_, text) in commands.items()])


@click.command(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDEST_HELP_COLUMNS},
    epilog=EPILOG,
)
@click.version_option(__version__, message="tokend %(version)s")
def group() -> None:
    """Keep short-lived API tokens fresh for every program on this host.

    One daemon (`tokend run`) logs in and refreshes. Programs read their tokens from files, or ask the daemon's Unix
    socket: `tokend get NAME`, curl, or Python's tokend.client. Start with `tokend demo`.
    """


def main(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code."""
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
                if str(text) not in str(error):
                    complain(f"  {name}: {text}")
        return error.exit_code
    except OSError as error:
        # (If the reader of stdout closed it, click itself returns 1, without a message.)
        complain(f"{error.filename or 'cannot write to standard output'}: {error.strerror}")
        # The rest of the buffer cannot be written either: discard it, also at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    return result if isinstance(result, int) else 0


def docker_credential() -> int:
    """Run ``docker-credential-tokend``, the program name under which docker finds this helper."""
    return main(["credential", "docker", *sys.argv[1:]])
