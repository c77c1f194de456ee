"""``tokend login``: a login that a person finishes in a browser or on another device."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click

from tokend.cli.get import duration_seconds
from tokend.cli.login.begin import Begun, Choice, begin
from tokend.cli.login.login_list import show_logins
from tokend.cli.login.requests import LoginRequests
from tokend.cli.login.waiting import Waiting, cancelled
from tokend.cli.options import OUTPUT, SOCKET, duration, name_argument
from tokend.cli.streams import complain, escaped
from tokend.client import TokenClient

REFUSED, CTRL_C = 4, 130


@click.command("login")
@name_argument(needs="begin_browser", required=False)
@click.option("--device", "way", flag_value="device", help="Finish on any device, with a code.")
@click.option("--browser", "way", flag_value="browser", help="Finish in a browser that reaches this machine.")
@click.option("--paste", "way", flag_value="paste", help="Finish in any browser, and paste the address where it ends.")
@click.option("--no-open", is_flag=True, help="Only print the address: start no browser.")
@click.option(
    "--timeout", default="10m", show_default=True, metavar="DURATION", callback=duration, help="Wait at most this long."
)
@click.option("--other-account", is_flag=True, help="Accept another account than before, or than `subject` says.")
@click.option("--list", "listed", is_flag=True, help="List the tokens that have a login, and how long it lasts.")
@OUTPUT
@SOCKET
def command(
    name: str | None,
    way: str | None,
    no_open: bool,
    timeout: str,
    other_account: bool,
    listed: bool,
    output: str,
    socket: str | None,
) -> int:
    """Log in for the token NAME, so that the daemon can fetch and refresh it. For admins and access.login.

    Without --device, --browser or --paste, the way is chosen: another device where the server has that and there is no
    display or the terminal is an ssh one, else a browser. While it waits for the browser, the address at which the
    browser has ended may also be pasted. With sudo, no browser is started. The extra qr (pip install "tokend[qr]")
    adds a QR code.

    Exit codes: 0 done, 3 no daemon, 4 refused, 5 no such token, 6 not allowed, 7 not possible now, 124 not finished
    in time, 130 cancelled.
    """
    client = TokenClient(socket)
    if listed:
        return show_logins(client, name, output)
    if name is None:
        raise click.UsageError("give a NAME, or --list")
    seconds = duration_seconds(timeout) or 0.0
    requests = LoginRequests(client, name, other_account=other_account)
    choice = Choice(way, opens=not no_open, says=output == "text")
    try:
        with _signals(requests):
            return _logged_in(requests, name, choice, time.monotonic() + seconds, output)
    except _Stopped as stopped:
        if stopped.code == CTRL_C:
            complain(f"{name}: cancelled")
        return stopped.code


def _logged_in(requests: LoginRequests, name: str, choice: Choice, deadline: float, output: str) -> int:
    try:
        with begin(requests, choice, os.environ) as begun:
            if output == "json":
                click.echo(json.dumps(begun.answer))
                sys.stdout.flush()
            answer = _waiting(requests, begun, deadline).until_ended()
    except BaseException:
        cancelled(requests)
        raise
    if output == "json":
        click.echo(json.dumps(answer))
    elif answer["state"] == "done":
        account = "" if answer["subject"] is None else f" as {escaped(str(answer['subject']))}"
        click.echo(f"{name}: logged in{account}")
    if answer["state"] == "done":
        return 0
    if output == "text":
        complain(f"{name}: the login has {answer['state']}: {answer['error']}")
    return 124 if answer["state"] == "expired" else REFUSED


def _waiting(requests: LoginRequests, begun: Begun, deadline: float) -> Waiting:
    return Waiting(requests, complain, deadline, begun.redirect_uri, begun.listener, begun.typed)


class _Stopped(BaseException):  # no `except Exception` on the way may hold it up
    """A signal that ends the command."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@contextmanager
def _signals(requests: LoginRequests) -> Iterator[None]:
    """Let Ctrl-C, a closed terminal and SIGTERM cancel the login; one that is being begun as soon as it has begun."""

    def stop(number: int, _: FrameType | None) -> None:
        stopped = _Stopped(128 + number)
        if not requests.interrupt(stopped):
            raise stopped
        complain("the login is cancelled as soon as tokend answers; once more ends this command at once")

    before: dict[int, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
