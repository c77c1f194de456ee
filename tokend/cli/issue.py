"""``tokend issue``: one on-demand token, made from the caller's parameters."""

import json
import time
from typing import Any, TypeAlias

import click

from tokend.cli.get import PAUSE_SECONDS, WaitRanOutError, duration_seconds, misused
from tokend.cli.options import SOCKET, duration, name_argument
from tokend.cli.output_formats import render
from tokend.cli.streams import payload
from tokend.cli.token_rows import seconds_until
from tokend.client import BadRequestError, NotRunningError, RateLimitedError, TokenClient, TokendError
from tokend.client.calls import token_target
from tokend.client.errors import WaitTimeoutError
from tokend.client.transport import TIMEOUT_SECONDS

Answer: TypeAlias = dict[str, Any]


@click.command(
    "issue",
    epilog="Example: tokend issue wallet url=/pay currency=BTC amount=0.001 orderId=12345 -o curl | curl -K - …",
)
@name_argument(issued=True)
@click.argument("parameters", nargs=-1, metavar="KEY=VALUE…")
@click.option(
    "-o", "--output", type=click.Choice(["raw", "json", "header", "curl", "env", "shell"]), default="raw",
    show_default=True,
    help="The token alone; the whole answer, with everything else that the upstream returned; a line per header of "
    "this one request; the same for `curl -K -`; NAME_TOKEN=…; export NAME_TOKEN='…'.",
)  # fmt: skip
@click.option("--key", metavar="KEY", help="Name of the variable, with -o env and -o shell [default: NAME_TOKEN].")
@click.option(
    "--wait", metavar="DURATION", callback=duration,
    help="Wait at most this long for the daemon, for the limits of issue_rate and for the answer, then exit with 124.",
)  # fmt: skip
@SOCKET
def command(
    name: str, parameters: tuple[str, ...], output: str, key: str | None, wait: str | None, socket: str | None
) -> None:
    """Issue one on-demand token from parameters, and print it.

    The token's kind decides which parameters exist; the error names each one that is wrong or missing.
    """
    if wrong := misused(output, None, key):
        raise click.UsageError(wrong)
    values = parameter_values(parameters)
    try:
        answer = _issue(name, values, socket) if wait is None else _issue_within(wait, name, values, socket)
    except BadRequestError as error:
        if error.code == "not_supported":
            raise BadRequestError(f"{name!r} is held ready: use `tokend get {name}`", code=error.code) from None
        raise
    if output in ("header", "curl") and not answer["headers"]:
        raise TokendError(f"{name!r} has no headers: such a token is not sent as one; use -o raw, json, env or shell")
    text = json.dumps(answer) if output == "json" else render(answer, output, key=key)
    click.echo(payload(text.encode(errors="backslashreplace")))


def _issue(name: str, values: dict[str, str], socket: str | None, *, timeout: float = TIMEOUT_SECONDS) -> Answer:
    return TokenClient(socket, timeout=timeout).call("POST", token_target(name, "issue"), values)


def _issue_within(wait: str, name: str, values: dict[str, str], socket: str | None) -> Answer:
    """Issue a token before ``wait`` has passed. A query that may have reached the upstream is not repeated."""
    seconds = duration_seconds(wait) or 0.0
    deadline = time.monotonic() + seconds
    is_up = False
    while True:
        left = max(deadline - time.monotonic(), PAUSE_SECONDS)
        try:
            if not is_up:
                TokenClient(socket, timeout=left).list()
            is_up = True
            return _issue(name, values, socket, timeout=left)
        except (NotRunningError, RateLimitedError, WaitTimeoutError) as error:
            if is_up and isinstance(error, NotRunningError):
                raise
            pause = PAUSE_SECONDS if error.retry_at is None else max(PAUSE_SECONDS, seconds_until(error.retry_at))
            if isinstance(error, WaitTimeoutError) or deadline - time.monotonic() <= pause:
                raise WaitRanOutError(f"no token after {seconds:.10g} s: {error}") from None
            time.sleep(pause)


def parameter_values(parameters: tuple[str, ...]) -> dict[str, str]:
    """Split ``KEY=VALUE`` arguments. Raises `click.UsageError`, whose message repeats no value."""
    values: dict[str, str] = {}
    for parameter in parameters:
        key, equals, value = parameter.partition("=")
        if not equals or not key:
            # The argument may be a value, and a value may be secret.
            raise click.UsageError("parameters are KEY=VALUE, one argument each")
        if key in values:
            raise click.UsageError(f"parameter {key} is given twice")
        values[key] = value
    return values
