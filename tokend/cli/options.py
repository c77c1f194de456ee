"""Arguments and options that several commands share, and their completion by a shell."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from tokend.cli.get import OPTIONS, duration_seconds
from tokend.cli.streams import escaped
from tokend.client import TokenClient, TokendError
from tokend.client.errors import UNREADABLE, unreadable

# A person who pressed Tab waits for the answer.
COMPLETION_SECONDS = 2.0
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)

_SOCKET_HELP = next(text for names, _, _, text in OPTIONS if "--socket" in names)
# click itself would refuse a path that this user may not read, without the owner and the mode that our errors name.
SOCKET_ALONE = click.option("--socket", type=click.Path(readable=False), metavar="PATH", help=_SOCKET_HELP)
OUTPUT = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)


_Command = TypeVar("_Command", bound=Callable[..., Any] | click.Command)
_Function = TypeVar("_Function", bound=Callable[..., Any])


def SOCKET(command: _Function) -> _Function:  # noqa: N802  (used like the constants beside it)
    """Declare ``--socket`` for a command that does nothing but show what the server there answers.

    An answer of another form is an error with a sentence (`readable`).
    """
    return SOCKET_ALONE(readable()(command))


@contextmanager
def readable() -> Iterator[None]:
    """Turn what an answer of another form raises into a `NotRunningError`: the server may be another program."""
    try:
        yield
    except UNREADABLE as error:
        raise unreadable(error, "the daemon's socket") from None


def name_argument(
    *, issued: bool | None = False, needs: str | None = None, **attributes: Any
) -> Callable[[_Command], _Command]:
    """Declare the argument NAME. A shell completes it by `name_completion`."""
    return click.argument("name", shell_complete=name_completion(issued=issued, needs=needs), **attributes)


def name_completion(
    *, issued: bool | None = False, needs: str | None = None
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Complete to held tokens, to on-demand tokens (``issued``), or (None) both; only kinds with the method ``needs``.

    Completion asks the daemon each time. Without a daemon it offers nothing and prints no error.
    """

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            with readable():
                rows = TokenClient(context.params.get("socket"), timeout=COMPLETION_SECONDS).list()
                return [
                    CompletionItem(row["name"], help=escaped(f"{row['kind']}, {row['state']}"))
                    for row in rows
                    # The shell puts a name into the command line as it stands.
                    if _NAME.fullmatch(row["name"])
                    and row["name"].startswith(incomplete)
                    and issued in (None, _is_on_demand(row))
                    and (needs is None or hasattr(_kind(row), needs))
                ]
        except TokendError:
            return []

    return complete


def configured_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete to the providers of the configuration that is named, or the usual one, without a look at its secrets."""
    from tokend.kinds import load_config
    from tokend.values.errors import ConfigError

    path = context.params.get("config") or context.params.get("file")
    try:
        config = load_config(None if path is None else Path(path), starting=True, reads_secrets=False)
    except ConfigError:
        return []
    return [
        CompletionItem(name, help=provider.settings.kind)
        for name, provider in config.providers.items()
        if name.startswith(incomplete)
    ]


def _is_on_demand(row: Mapping[str, Any]) -> bool:
    # Rejected credentials are a state of both.
    return row["state"] == "on_demand" or (row["state"] == "rejected" and hasattr(_kind(row), "issue"))


def _kind(row: Mapping[str, Any]) -> object:
    """Return the class of a token's kind; None if this installation lacks it. The import takes 0.2 s."""
    from tokend.kinds import PROVIDERS
    from tokend.values.errors import ConfigError

    try:
        return PROVIDERS.get(row["kind"])
    except ConfigError:
        return None


def NAME(command: _Command) -> _Command:  # noqa: N802  (used like the constants above)
    """Declare the argument NAME of a held token."""
    return name_argument()(command)


def duration(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return a duration unchanged, as text. Raises `click.BadParameter` for any other text."""
    if value is not None and duration_seconds(value) is None:
        raise click.BadParameter(f"{value!r} is no duration: write 500ms, 30s, 15m, 12h, 1d", param=parameter)
    return value
