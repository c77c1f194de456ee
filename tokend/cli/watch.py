"""``tokend watch``: a line for each new token, for scripts that act on a change."""

import json
import os
import select
import threading

import click

from tokend.cli.options import NAME, OUTPUT, SOCKET
from tokend.cli.streams import complain, escaped
from tokend.client import Lease, NotRunningError, TokenClient


@click.command("watch")
@NAME
@OUTPUT
@SOCKET
def command(name: str, output: str, socket: str | None) -> None:
    """Print a line now and for each new token: generation, fingerprint, expiry; never the token."""
    threading.Thread(target=_exit_when_the_reader_closes, daemon=True).start()
    client = TokenClient(socket)
    try:
        client.list()
    except NotRunningError as error:
        complain(f"{error} (waiting for it)")
    for lease in client.watch(name):
        click.echo(_line(lease, output))


def _line(lease: Lease, output: str) -> str:
    expires = None if lease.expires_at is None else lease.expires_at.isoformat().replace("+00:00", "Z")
    row = {"version": 1, "name": lease.name, "generation": lease.generation, "fingerprint": lease.fingerprint,
           "expires_at": expires}  # fmt: skip
    text = f"{lease.name}: generation {lease.generation}, fingerprint {lease.fingerprint}, expires {expires or 'never'}"
    return json.dumps(row) if output == "json" else escaped(text)


def _exit_when_the_reader_closes() -> None:
    """End the process when the reader of stdout closes it, as `tail -f` does: the next line may be hours away."""
    poll = select.poll()
    poll.register(1, 0)  # the kernel reports POLLERR and POLLHUP also where no event is requested
    poll.poll()
    os._exit(1)
