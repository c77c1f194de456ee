"""The begin of a login: its flow is chosen, a listener made, and what the person has to do is shown."""

import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from shutil import get_terminal_size
from urllib.parse import urlsplit

import click

from tokend.cli.login.certificate import server_context
from tokend.cli.login.flow_choice import Flow, first_flow, forwarding_command, may_open_browser, other_flow
from tokend.cli.login.open_browser import open_browser
from tokend.cli.login.qr_code import qr_lines
from tokend.cli.login.redirect_listener import RedirectListener
from tokend.cli.login.requests import Answer, LoginRequests
from tokend.cli.login.shown_address import shown_address, shown_code
from tokend.cli.login.terminal_input import TerminalInput
from tokend.cli.streams import complain
from tokend.client import BadRequestError, TokendError
from tokend.values.url import is_loopback_redirect


class PasteOnlyError(TokendError):
    """A login whose address a browser may not bring."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Choice:
    """What the person asked for: the ``way`` (None: choose), whether a browser is started, whether anything is said."""

    way: str | None
    opens: bool
    says: bool


@dataclass(frozen=True, slots=True)
class Begun:
    """A login that was begun, and where its end may come from. ``redirect_uri`` is None for another device."""

    answer: Answer
    redirect_uri: str | None = None
    listener: RedirectListener | None = None
    typed: TerminalInput | None = None


@contextmanager
def begin(requests: LoginRequests, choice: Choice, environ: Mapping[str, str]) -> Iterator[Begun]:
    """Begin a login and show what to do; what listens and reads is closed at the end of the block."""
    with ExitStack() as stack:
        listener = None
        if choice.way in (None, "browser"):
            listener = RedirectListener()
            stack.callback(listener.close)
        answer = _begin(requests, choice, environ, None if listener is None else listener.proposal)
        if answer["flow"] == "device":
            _show_device(answer, choice)
            yield Begun(answer)
            return
        address, redirect_uri = shown_address(answer["url"]), str(answer["redirect_uri"])
        if answer.get("paste_only"):
            if choice.way == "browser":
                raise PasteOnlyError("nothing in the address shows that it is of this login: only --paste")
            listener = None
        listener = _serving(listener, redirect_uri, choice)
        typed = stack.enter_context(TerminalInput())
        _show_browser(address, redirect_uri, listener, choice, environ)
        yield Begun(answer, redirect_uri, listener, typed)


def _begin(requests: LoginRequests, choice: Choice, environ: Mapping[str, str], proposal: str | None) -> Answer:
    if choice.way is not None:
        return requests.begin("device" if choice.way == "device" else "browser", proposal)
    flow: Flow = first_flow(environ)
    try:
        return requests.begin(flow, proposal if flow == "browser" else None)
    except BadRequestError as error:
        if error.code != "not_supported":
            raise
    flow = other_flow(flow)
    return requests.begin(flow, proposal if flow == "browser" else None)


def _serving(listener: RedirectListener | None, redirect_uri: str, choice: Choice) -> RedirectListener | None:
    """Listen where the browser ends; None where that is not on this machine, or cannot be listened at."""
    if listener is None or not is_loopback_redirect(redirect_uri):
        return None
    context: ssl.SSLContext | None = None
    if urlsplit(redirect_uri).scheme == "https":
        context, fingerprint = server_context()
        if choice.says:
            click.echo("At the end the browser warns of a certificate made for this login, SHA-256")
            click.echo(f"  {fingerprint}\n")
    try:
        listener.serve(redirect_uri, context)
    except OSError as error:
        complain(f"cannot listen at {redirect_uri}: {error.strerror}; paste the address where the browser ends")
        return None
    return listener


def _show_device(answer: Answer, choice: Choice) -> None:
    address, code = shown_address(answer["verification_uri"]), shown_code(answer["user_code"])
    complete = answer["verification_uri_complete"]
    scanned = address if complete is None else shown_address(complete)
    if not choice.says:
        return
    click.echo("On any device, open")
    click.echo(f"  {address}")
    click.echo("and enter the code")
    click.echo(f"  {click.style(code, bold=True)}")
    if sys.stdout.isatty():
        lines = qr_lines(scanned, columns=get_terminal_size().columns)
        click.echo("" if lines is None else "\n" + "\n".join(lines))
    click.echo("tokend waits until that is done. Ctrl-C cancels.")


def _show_browser(
    address: str,
    redirect_uri: str,
    listener: RedirectListener | None,
    choice: Choice,
    environ: Mapping[str, str],
) -> None:
    opened = choice.opens and listener is not None and may_open_browser(environ) and open_browser(address, environ)
    if not choice.says:
        return
    click.echo("A browser was started. If it does not show up, open" if opened else "In a browser, open")
    click.echo(f"\n{address}\n")
    if listener is None:
        click.echo(f"At the end the browser is at {_start(redirect_uri)}…, perhaps with an error page.")
        click.echo("Copy that address from the address bar, and paste it here (Ctrl-C cancels):")
        return
    if (forwarding := forwarding_command(environ, listener.port)) is not None:
        click.echo("If the browser is not on this machine, first run where the browser is")
        click.echo(f"  {forwarding}\n")
    click.echo(f"tokend waits for the browser at {_start(redirect_uri)}")
    click.echo("Or paste the address at which it has ended here (Ctrl-C cancels):")


def _start(redirect_uri: str) -> str:
    return shown_address(redirect_uri.partition("?")[0])
