"""The arguments and options that several commands share, and what a shell may complete them to."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from tokend.cli import get as getting
from tokend.client import TokenClient, TokendError

# Whoever presses Tab waits for it.
COMPLETION_SECONDS = 2.0

SOCKET = click.option("--socket", metavar="PATH", help="The daemon's socket [default: $TOKEND_SOCKET, else the usual].")
OUTPUT = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)


_Command = TypeVar("_Command", bound=Callable[..., Any] | click.Command)


def name_argument(*, issued: bool | None = False, **attributes: Any) -> Callable[[_Command], _Command]:
    """The argument NAME. A shell completes it to the tokens that are held, those ``issued`` on demand, or (None) both.

    It asks the daemon at that moment; where there is none, there is nothing to offer, and no word of complaint.
    """

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            rows = TokenClient(context.params.get("socket"), timeout=COMPLETION_SECONDS).list()
        except TokendError:
            return []
        return [
            CompletionItem(row["name"], help=f"{row['kind']}, {row['state']}")
            for row in rows
            if row["name"].startswith(incomplete) and issued in (None, row["state"] == "on_demand")
        ]

    return click.argument("name", shell_complete=complete, **attributes)


def NAME(command: _Command) -> _Command:  # noqa: N802  (used like the constants above)
    """The argument NAME of a held token."""
    return name_argument()(command)


def duration(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Let a duration pass as the text that it is; refuse what is none."""
    if value is not None and getting.seconds(value) is None:
        raise click.BadParameter(f"{value!r} is no duration: write 500ms, 30s, 15m, 12h, 1d", param=parameter)
    return value
