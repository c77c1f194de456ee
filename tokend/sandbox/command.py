"""Command line of the sandbox: ``tokend sandbox`` and ``python -m tokend.sandbox``.

The options, their defaults and their help come from `Options`. This module adds the options of the process.
"""

import os
import signal
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import click

from tokend.sandbox.guide import guide
from tokend.sandbox.options import Options, parse_duration
from tokend.sandbox.server import start

_EPILOG = """\
The accounts above are fake; the sandbox accepts them. While it runs, GET /_sandbox lists the requests that show and
change its state: faults, credentials, the clock. The variable TOKEND_SANDBOX_<OPTION> sets an option, too.
"""
_SECTIONS = {
    "projectx": "ProjectX: POST /api/Auth/loginKey, /api/Auth/validate, /api/Account/search",
    "partner": "Partner JWT: GET /portfolio",
    "tt": "Trading Technologies: POST /ttid/ext_uat_cert/token, GET /ttuser/ext_uat_cert/users",
    "wallet": "Wallet, a JWT per request: POST /api/wallet/transfer, GET /api/wallet/balance",
    "xerve": "Xerve: POST /api/v1/generate-auth-token, GET the loginLink, GET /api/v1/get-balance",
    "railway": "Railway, a store of variables: POST /graphql/v2",
    "oauth2": "OAuth 2: issuer URL/oauth2; POST /oauth2/token, /authorize and /device for a browser",
    "vault": "Vault, OpenBao: POST /v1/auth/approle/login, /v1/auth/token/renew-self, /v1/secret/data/app",
    "github": "GitHub Apps: POST /app/installations/1/access_tokens, GET /orgs/sandbox-org/installation",
    "google": "Google service accounts: POST /google/token, GET /google/userinfo, /google/key.json",
}


class _Duration(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.3
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


_TYPES: dict[str, Any] = {
    "duration": _Duration(),
    "number": float,
    "integer": click.IntRange(min=0),
    "text": str,
    "path": click.Path(dir_okay=False),
}


class _SectionedCommand(click.Command):
    """Command whose help groups the options by vendor."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section per vendor, after those of the server."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                title = _SECTIONS.get(_vendor_of(parameter.name or ""), "Server")
                sections.setdefault(title, []).append(record)
        for title in ("Server", *_SECTIONS.values()):
            with formatter.section(title):
                formatter.write_dl(sections.get(title, []))


def _vendor_of(name: str) -> str:
    return name.removeprefix("no_").partition("_")[0]


def _option(declared: Field[Any]) -> click.Option:
    kind = declared.metadata["kind"]
    flag = f"--{declared.name.replace('_', '-')}"
    if kind == "flag":
        return click.Option([flag], is_flag=True, help=declared.metadata["help"])
    if isinstance(kind, tuple):
        kind = click.Choice([str(choice) for choice in kind])
    elif isinstance(kind, range):
        kind = click.IntRange(kind.start, kind.stop - 1)
    else:
        kind = _TYPES[kind]
    default = declared.default
    if isinstance(kind, _Duration) and default:
        default = f"{default:g}s"  # as the user would write it
    help_text = declared.metadata["help"]
    return click.Option([flag], type=kind, default=default, show_default=bool(default), help=help_text)


def _run(port_file: str | None, **values: Any) -> None:
    """Run a local HTTP server that plays all vendors faithfully, with faults on request.

    Prints "listening on http://127.0.0.1:PORT" and the accounts that it accepts. Runs until SIGTERM or Ctrl-C.
    """
    # click gives a choice as text; only the choices of xerve_status are numbers.
    if values["xerve_status"] is not None:
        values["xerve_status"] = int(values["xerve_status"])
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        options = Options(**values)
        with start(options) as sandbox, _announced(port_file, sandbox.port):
            # One write: a program that has read the first line can read all of them. echo flushes.
            click.echo("\n".join([f"listening on {sandbox.url}", *guide(sandbox.url, options)]))
            stop.wait()
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except (OSError, sqlite3.Error) as error:
        raise click.ClickException(f"the sandbox cannot run on {values['host']}:{values['port']}: {error}") from None


@contextmanager
def _announced(port_file: str | None, port: int) -> Iterator[None]:
    """Keep the port in a file until the block ends."""
    if port_file is None:
        yield
        return
    _write_whole(Path(port_file), f"{port}\n")
    try:
        yield
    finally:
        Path(port_file).unlink(missing_ok=True)


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or no file."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".port-", delete=False) as file:
        file.write(text)
    os.replace(file.name, path)  # noqa: PTH105  (both are strings)


def _command(options: Sequence[click.Option]) -> click.Command:
    return _SectionedCommand(
        "sandbox",
        params=list(options),
        callback=_run,
        help=_run.__doc__,
        short_help="Run a local server that plays the upstreams and stores.",
        epilog=_EPILOG,
        context_settings={"auto_envvar_prefix": "TOKEND_SANDBOX", "max_content_width": 100},
    )


command = _command(
    [
        *(_option(declared) for declared in fields(Options)),
        click.Option(["--port-file"], type=click.Path(dir_okay=False), help="Write the port into this file."),
    ]
)
