"""``tokend sync``: write a token to its sinks now."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from tokend.cli.options import COMPLETION_SECONDS, NAME, OUTPUT, SOCKET, readable
from tokend.cli.status import describe_sink
from tokend.cli.streams import escaped, escaped_values
from tokend.cli.token_rows import find_row, use_colours
from tokend.client import TokenClient, TokendError

_NEEDS_A_PERSON = frozenset({"rejected", "conflict"})


def _complete_label(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete to the labels of the token's sinks. Without a daemon it offers nothing and prints no error."""
    try:
        with readable():
            status = TokenClient(context.params.get("socket"), timeout=COMPLETION_SECONDS).status()
            # Before the value of an option, click has not assigned the words to arguments yet.
            name = context.params.get("name") or next(iter(context.args), "")
            sinks = find_row(status, name)["sinks"]
            return [
                CompletionItem(sink["label"], help=escaped(sink["target"]))
                for sink in sinks
                if sink["label"].startswith(incomplete)
            ]
    except TokendError:
        return []


@click.command("sync")
@NAME
@click.option(
    "--sink", "label", metavar="LABEL", shell_complete=_complete_label, help="Only this sink, such as vault-1."
)
@click.option("--take-over", is_flag=True, help="Write also where another writer owns the target (state conflict).")
@OUTPUT
@SOCKET
def command(name: str, label: str | None, take_over: bool, output: str, socket: str | None) -> int:
    """Write a token to its sinks now, and wait for the results. For admins.

    Ends pauses after failures and makes no request to the token's upstream. A store that can be read is asked first:
    what it holds already is not written. A LABEL is the kind of a sink and its number among those of the token.

    Exit code: 0 all hold the token, 1 a sink fails, 4 a person must act (rejected, conflict), 7 no valid token.
    """
    row = TokenClient(socket).sync(name, sink=label, take_over=take_over)
    sinks = [sink for sink in row["sinks"] if label is None or sink["label"] == label]
    if output == "json":
        click.echo(json.dumps({"version": 1, "name": name, "sinks": sinks}))
        return _exit_code(row, sinks)
    for sink in escaped_values(sinks):
        click.echo(f"{sink['label']}: {describe_sink(sink)}", color=use_colours())
    if not sinks:
        click.echo(f"{name} has no sinks")
    return _exit_code(row, sinks)


def _exit_code(row: Mapping[str, Any], sinks: Sequence[Mapping[str, Any]]) -> int:
    states = {sink["state"] for sink in sinks}
    if states & _NEEDS_A_PERSON:
        return 4
    if not row["valid"] and states - {"removed"}:
        return 7
    return 0 if states <= {"ok", "removed"} else 1
