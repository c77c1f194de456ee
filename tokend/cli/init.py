"""``tokend init``: write a commented configuration to begin with."""

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from tokend.cli.streams import complain

FILE_MODE = 0o600
DIRECTORY_MODE = 0o755
STATE_KEY = "tokend-state-key"
# The drop-in that passes the key to the service is there as well.
MADE_BY_PACKAGE = Path("/etc/systemd/system/tokend.service.d/50-state-key.conf")


def _complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from tokend.cli.example import kinds
    from tokend.cli.vendors import known_vendors

    names = (*kinds(), *known_vendors(None)[0].names())
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command("init")
@click.argument("kinds", nargs=-1, metavar="[KIND|VENDOR]...", shell_complete=_complete)
@click.option(
    "--output", type=click.Path(allow_dash=True, readable=False), metavar="PATH",
    help="Write to PATH; - is standard output.  [default: what `run` reads]",
)  # fmt: skip
def command(kinds: tuple[str, ...], output: str | None) -> int:
    """Write a configuration for these kinds of tokens, or without KIND the example with every key, all of it comments.

    For each KIND the keys that it must have are in force, with values to fill in; `tokend check` names what is missing.
    For a VENDOR of `tokend vendors` the table that it prints is there.
    The file is made with mode 0600, by default where `tokend run` looks for it. A file that exists is left alone, and
    the exit code is 2. Where the credential tokend-state-key is there, as the Debian package makes it, the line with
    the state's key is in force.
    """
    from tokend.cli import example

    text = _for(list(dict.fromkeys(kinds))) if kinds else example.whole()
    if _has_state_key():
        text = example.with_state_key(text)
    if output == "-":
        click.echo(text, nl=False)
        return 0
    path = _default_path() if output is None else Path(output)
    try:
        _write(path, text)
    except FileExistsError:
        complain(f"{path} exists and was left alone: name another file with --output, or print it with --output -")
        return 2
    click.echo(f"{path} written. Fill in its values, then run: tokend check" + ("" if output is None else f" {path}"))
    return 0


def _for(names: list[str]) -> str:
    """Return the configuration for kinds and vendors. Raises `click.UsageError` for a name that is neither."""
    from tokend.cli import example
    from tokend.cli.vendors import known_vendors, table_of
    from tokend.values.near_miss import did_you_mean

    kinds = example.kinds()
    wanted, tables = [name for name in names if name in kinds], {}
    if len(wanted) < len(names):
        lookup, _ = known_vendors(None)
        for name in names:
            if name not in kinds:
                if (vendor := lookup.get(name)) is None:
                    known = [*kinds, *lookup.names()]
                    has = ", ".join(kinds) + did_you_mean(name, known)
                    raise click.UsageError(f'there is no kind "{name}" in the example; it has {has}')
                tables[name] = table_of(vendor)
    return example.of_kinds(wanted, tables)


def _has_state_key() -> bool:
    """Return whether a service of this user gets the credential: the package made it for root's, a unit passes it."""
    places = [Path(one, STATE_KEY) for one in os.environ.get("CREDENTIALS_DIRECTORY", "").split(":") if one]
    if os.geteuid() == 0:
        places.append(MADE_BY_PACKAGE)
    return any(place.exists() for place in places)


def _default_path() -> Path:
    """Return the path that ``run`` would read, and make its directory."""
    from tokend.config.paths import config_path

    path, _ = config_path(None, environ=os.environ, uid=os.getuid())
    path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    return path


def _write(path: Path, text: str) -> None:
    """Write a new file. Raises FileExistsError where there is anything already, also a link that leads nowhere."""
    # Exclusive: nothing that another program puts there meanwhile is overwritten.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, FILE_MODE)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)  # half a configuration would be taken for a whole one
        raise
