"""``tokend try``: what an upstream's answer would mean, offline. Nothing is sent, saved or read but the answer."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokend.cli.issue import parameter_values
from tokend.cli.options import OUTPUT, configured_names
from tokend.client.errors import BadRequestError, UnknownTokenError

if TYPE_CHECKING:
    from tokend.cli.try_offline.attempt import Way
    from tokend.cli.try_offline.replies import GivenReply
    from tokend.config import Config

# An upstream's answer has 256 KiB at most; a larger file is no answer.
LARGEST_FILE_BYTES = 16 * 1024 * 1024


@click.command("try", epilog="Example: curl -i … | tokend try NAME --reply -")
@click.argument("name", shell_complete=configured_names)
@click.argument("parameters", nargs=-1, metavar="[KEY=VALUE]…")
@click.option(
    "--reply", "files", multiple=True, required=True, metavar="FILE",
    type=click.Path(dir_okay=False, readable=False, allow_dash=True),
    help="The upstream's answer: its body, or all of it as `curl -i` prints it; - is standard input. One more for each "
    "further request.",
)  # fmt: skip
@click.option("--status", type=click.IntRange(100, 599), metavar="N", help="Its status, instead of 200 or FILE's.")
@click.option(
    "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help='A header of it, as "Retry-After: 30".'
)
@click.option("--renew", is_flag=True, help="A valid token is held: the answer to the request that prolongs it.")
@click.option("--login", is_flag=True, help="A person logs in in a browser: the answer to the code.")
@click.option("--config", type=click.Path(readable=False), metavar="FILE", help="Configuration [default: as for run].")
@OUTPUT
def command(
    name: str,
    parameters: tuple[str, ...],
    files: tuple[str, ...],
    status: int | None,
    headers: tuple[str, ...],
    renew: bool,
    login: bool,
    config: str | None,
    output: str,
) -> int:
    """Show what an answer of NAME's upstream would mean. Offline: nothing is sent or saved, and no secret is read.

    The kind's own code makes the request, with a placeholder for each secret (or a new key, where it signs), and reads
    FILE as the answer. Shown are the request, and the token (its length and end, not its value) or the failure, with
    what tokend would do next. A provider with a login is tried as a refresh, an on-demand one as an issue with the
    parameters KEY=VALUE.

    Where an answer has a Date, that is the moment of the attempt. --status and --header are those of the last FILE.

    Exit code 0 for a token, 4 where a person must act (rejected, login required), 7 for no token, 2 for wrong input,
    1 if another request follows that has no answer, 5 for a NAME that is not configured.
    """
    if renew and login:
        raise click.UsageError("use one of --renew and --login")
    if files.count("-") > 1:
        raise click.UsageError("standard input is one answer: use --reply - once")
    values = parameter_values(parameters)
    found = _configured(config, output)
    if found is None:
        return 2
    replies = _replies(files, status, headers)
    return _try(found, name, replies, "renew" if renew else "login" if login else None, values, output)


def _configured(path: str | None, output: str) -> "Config | None":
    """Read the configuration without its secrets; print its errors as `check` does, and return None then."""
    from tokend.cli.check_result import print_errors
    from tokend.kinds import load_config
    from tokend.values.errors import ConfigError

    try:
        return load_config(None if path is None else Path(path), starting=True, reads_secrets=False)
    except ConfigError as error:
        print_errors(path, error, output)
        return None


def _replies(files: tuple[str, ...], status: int | None, headers: tuple[str, ...]) -> "list[GivenReply]":
    from tokend.cli.try_offline.replies import NoReplyError, given_reply

    found = []
    for number, file in enumerate(files, 1):
        content = sys.stdin.buffer.read(LARGEST_FILE_BYTES) if file == "-" else _content(Path(file))
        is_last = number == len(files)
        try:
            found.append(given_reply(content, status=status if is_last else None, headers=headers if is_last else ()))
        except NoReplyError as error:
            raise click.UsageError(str(error)) from None
    return found


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST_FILE_BYTES)


def _try(
    config: "Config",
    name: str,
    replies: "list[GivenReply]",
    asked: "Way | None",
    parameters: Mapping[str, str],
    output: str,
) -> int:
    from tokend.cli.try_offline.attempt import WrongWayError, attempt, way_of
    from tokend.cli.try_offline.meaning import exit_code
    from tokend.cli.try_offline.report import print_json, print_text
    from tokend.values.errors import InvalidParametersError
    from tokend.values.near_miss import did_you_mean

    provider = config.providers.get(name)
    if provider is None:
        raise UnknownTokenError(f'there is no provider "{name}"{did_you_mean(name, config.providers)}')
    settings = provider.settings
    try:
        tried = attempt(settings, replies, way_of(settings, asked), parameters)
    except WrongWayError as error:
        raise click.UsageError(f"{name}: {error}") from None
    except InvalidParametersError as error:
        texts = {field: list(one) for field, one in error.errors.items()}
        raise BadRequestError(error.detail, code="parameters", errors=texts) from None
    (print_json if output == "json" else print_text)(name, settings, tried)
    return exit_code(tried)
