"""``tokend get`` as a click command, for help, completion and usage errors. The options and the work are in `get`.

``tokend get`` runs without this module unless the command line is wrong, rare, or asks for help.
"""

from typing import Any

import click

from tokend.cli.get import DURATION, OPTIONS, get, misused
from tokend.cli.options import duration, name_argument


def _run(**options: Any) -> int:
    """Print a token, and nothing else, on stdout.

    A DURATION is a whole number with a unit: 500ms, 30s, 15m, 12h, 1d.

    \b
    k8s    an ExecCredential for kubectl's exec plugins; its expiry is 30 s early
    aws    for credential_process; only if the token is a JSON object with
           AccessKeyId, SecretAccessKey (and SessionToken): AWS takes no bearer token.
           Kinds command and file give one, with format = "aws"
    gcp    for external_account with credential_source.executable; only a JWT
    git    the answer of a credential helper (`tokend credential git` is one)
    netrc  a line for curl --netrc-file and others; needs --host
    """
    if wrong := misused(options["output"], options["host"], options["key"]):
        raise click.UsageError(wrong)
    return get(**options)


def _option(names: tuple[str, ...], parameter: str, value: str | tuple[str, ...] | None, text: str) -> click.Option:
    if value is None:
        return click.Option([*names, parameter], is_flag=True, help=text)
    if isinstance(value, tuple):
        choice = click.Choice(value)
        return click.Option([*names, parameter], type=choice, default=value[0], show_default=True, help=text)
    check = duration if value == DURATION else None
    kind = click.Path(readable=False) if value == "PATH" else None
    return click.Option([*names, parameter], type=kind, metavar=value, callback=check, help=text)


command = click.Command(
    "get",
    callback=_run,
    params=[_option(*option) for option in OPTIONS],
    help=_run.__doc__,
    epilog="\b\nExample that keeps the token out of process lists:\n  tokend get tt -o curl | curl -K - https://…",
)
name_argument()(command)
