"""``tokend credential``: credential helpers that git, docker and bazel start when they need to log in.

``--for`` or ``$TOKEND_HOSTS`` maps hosts to tokens: clients never read the configuration, and no host outside of that
map gets a token. For such a host each helper gives the answer with which its program continues without credentials.
"""

import hmac
import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from tokend.cli.credential_hosts import Host, HostError, parse_url
from tokend.cli.options import SOCKET
from tokend.cli.output_formats import asked_again_at, git_credential
from tokend.client import BadRequestError, TokenClient, TokendError
from tokend.client.calls import token_target

# Docker clients that find this text on stdout go on without credentials (docker-credential-helpers, errors.go).
NOT_FOUND = "credentials not found in native keychain"


def _hosts(_: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Host, ...]:
    try:
        return tuple(map(Host.parse, values))
    except HostError as error:
        raise click.BadParameter(str(error), param=parameter) from None


FOR = click.option(
    "--for", "hosts", multiple=True, required=True, envvar="TOKEND_HOSTS", callback=_hosts,
    metavar="[USER@]HOST[:PORT]=NAME",
    help="Host and the token for it; repeatable. HOST may begin with *. (before two labels) and is reached by https "
    "(http://HOST only on loopback). [default: $TOKEND_HOSTS, several separated by blanks]",
)  # fmt: skip


@click.group("credential")
def command() -> None:
    """Act as a credential helper of git, docker or bazel.

    These programs start the helper themselves. It answers with the token of the host that they name.
    """


@command.command(
    short_help="User name, token and expiry, for git.",
    epilog="\b\nExample:\n  git config --global credential.https://git.example.com.helper \\\n"
    "    '!tokend credential git --for git.example.com=forge'",
)
@FOR
@SOCKET
@click.argument("action", metavar="get|store|erase")
def git(hosts: tuple[Host, ...], socket: str | None, action: str) -> None:
    """Answer git with user name, token and expiry. See gitcredentials(7).

    USER is x-access-token unless --for or the URL names one. After the server refused a token (erase) the daemon
    refreshes it, unless there is a newer one already. The helper stores nothing.
    """
    asked = dict(line.partition("=")[::2] for line in _input().split("\n") if "=" in line)
    host = asked.get("host", "")
    # git sends host and path separately: with one of these characters, the URL below would have another host.
    url = None if set(host) & set("/?#@") else parse_url(f"{asked.get('protocol', '')}://{host}")
    found = _find(hosts, *url) if url else None
    user = asked.get("username")
    if found is None or action not in ("get", "erase") or (found.user and user and user != found.user):
        return  # git asks its next helper
    client = TokenClient(socket)
    answer = client.call("GET", token_target(found.name))
    if action == "get":
        click.echo(git_credential(answer, user or found.username))
    elif hmac.compare_digest(asked.get("password", "").encode(), answer["access_token"].encode()):
        client.refresh(found.name, if_generation=answer["generation"], reason="unauthorized")


@command.command(
    short_help="User name and token, for docker and podman.",
    epilog="\b\nDocker gives its helper no options. Example, with ~/.docker/config.json:\n"
    '  {"credHelpers": {"registry.example.com": "tokend"}}\n'
    "  export TOKEND_HOSTS=registry.example.com=registry",
)
@FOR
@SOCKET
@click.argument("action", metavar="get|list|store|erase")
def docker(hosts: tuple[Host, ...], socket: str | None, action: str) -> int:
    """Answer docker, podman and others with user name and token. Also installed as docker-credential-tokend.

    USER is x-access-token unless --for names one. `docker login` and `docker logout` (store, erase) fail: the
    daemon logs in.
    """
    try:
        click.echo(json.dumps(_docker(hosts, socket, action)))
    except TokendError as error:
        # Docker clients read the reason from stdout.
        click.echo(str(error) if str(error) == NOT_FOUND else f"tokend: {error}")
        return 1
    return 0


def _docker(hosts: tuple[Host, ...], socket: str | None, action: str) -> dict[str, str]:
    if action == "list":
        return {host.url: host.username for host in hosts}
    if action != "get":
        raise BadRequestError(f"{action}: tokend keeps this registry's token itself; there is nothing to {action}")
    server = _input().strip()
    url = parse_url(server)
    found = _find(hosts, *url) if url else None
    if found is None:
        raise BadRequestError(NOT_FOUND)
    answer = TokenClient(socket).call("GET", token_target(found.name))
    return {"ServerURL": server, "Username": found.username, "Secret": answer["access_token"]}


@command.command(
    short_help="All headers of a request, for Bazel.",
    epilog="\b\nBazel gives its helper no options. Example, with .bazelrc and the script helper:\n"
    "  common --credential_helper=*.example.com=%workspace%/helper\n"
    "  exec tokend credential bazel --for '*.example.com=cache' \"$@\"",
)
@FOR
@SOCKET
@click.argument("action", metavar="get")
def bazel(hosts: tuple[Host, ...], socket: str | None, action: str) -> None:
    """Answer Bazel with all headers that a request needs, and with the time of the next question."""
    if action != "get":
        raise click.UsageError("Bazel's credential helpers know only get")
    try:
        uri = json.loads(_input())["uri"]
    except (ValueError, KeyError, TypeError):
        raise BadRequestError('Bazel gives {"uri": "https://…"} on standard input: this is something else') from None
    url = parse_url(str(uri))
    found = _find(hosts, *url) if url else None
    click.echo(json.dumps({"headers": {}} if found is None else _bazel(found, socket)))


def _bazel(found: Host, socket: str | None) -> Mapping[str, Any]:
    answer = TokenClient(socket).call("GET", token_target(found.name))
    shown: dict[str, Any] = {"headers": {name: [value] for name, value in answer["headers"].items()}}
    if (end := asked_again_at(answer)) is not None:
        shown["expires"] = end
    return shown


def _find(hosts: tuple[Host, ...], scheme: str | None, host: str, port: int) -> Host | None:
    return next((one for one in hosts if one.matches(scheme, host, port)), None)


def _input() -> str:
    """Read all of stdin. Bytes that are not UTF-8 are replaced, and the result then names no host."""
    return sys.stdin.buffer.read().decode(errors="replace")
