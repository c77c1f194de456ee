"""Rules of the raw-token sockets: systemd's LoadCredential= on credentials.sock, and the sockets of sinks.

LoadCredential= works on the sockets of sinks, too: systemd asks as root, or as our own user.
"""

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import anyio
import structlog
from anyio.abc import TaskStatus

from tokend.access.handout_log import HandoutLog
from tokend.access.peer import Peer
from tokend.access.policy import AccessPolicy, unit_may_read
from tokend.credentials.raw_token_connection import RefusedError, Rule
from tokend.credentials.raw_token_server import RawTokenServer
from tokend.engine.context.contract import Engine, Entry
from tokend.httpd.unix_socket import SocketFile
from tokend.machine.thread_pool import Threads
from tokend.plugin.sink import ListeningSink
from tokend.values.errors import SinkError
from tokend.values.tokens import Lease

# The characters of a unit's name are those of systemd.unit(5). A credential is named for the token that it holds.
_ADDRESS = re.compile(rb"\0[0-9a-f]{1,16}/unit/([A-Za-z0-9:_.\\@-]{1,255})/([a-z0-9][a-z0-9._-]{0,63})", re.ASCII)

# The directory of a sink's socket may be on a disk that hangs.
DISK_SECONDS = 5.0
# After this time a path that was taken from us is tried again.
RETRY_SECONDS = 10.0

_log = structlog.get_logger("tokend.api")


def units_rule(engine: Engine, *, own_uid: int | None = None) -> Rule:
    """Make the rule of credentials.sock: systemd asks, for a unit that is one of the token's ``access.units``."""
    ours = os.geteuid() if own_uid is None else own_uid

    def rule(peer: Peer, address: object) -> Entry:
        if peer.uid not in (0, ours):
            raise RefusedError("only systemd may ask here")
        if peer.is_contained:
            raise RefusedError(f"only systemd may ask here, and this uid {peer.uid} is in a container")
        match = _ADDRESS.fullmatch(address) if isinstance(address, bytes) else None
        if match is None:
            raise RefusedError("this is not systemd: it connects from a name with a unit in it", trusted=True)
        unit, name = match[1].decode(), match[2].decode()
        entry = engine.entries.get(name)
        if entry is None:
            detail = "there is no such token: write LoadCredential=TOKEN:SOCKET"
        elif entry.is_on_demand:
            detail = "tokens of this kind are issued on demand: there is nothing to load"
        elif unit_may_read(unit, entry.settings):
            return entry
        elif entry.settings.access is None or not entry.settings.access.units:
            detail = "the token's access has no units: nobody gets it here"
        else:
            detail = "the unit is none of the token's access.units"
        raise RefusedError(detail, trusted=True, unit=unit, token=name)

    return rule


def readers_rule(engine: Engine, rules: AccessPolicy, name: str) -> Rule:
    """Make the rule of a sink's socket: the peers that may read the token on tokend.sock."""

    def rule(peer: Peer, address: object) -> Entry:  # noqa: ARG001  # the rule's signature
        entry = engine.entries.get(name)
        if entry is None:
            raise RefusedError("the token is not configured any more", token=name)
        if not rules.may_read(peer, entry.settings, name):
            raise RefusedError("the peer passes none of the token's access", token=name)
        return entry

    return rule


async def serve_credentials(
    engine: Engine,
    path: Path | None,
    passed: socket.socket | None,
    *,
    handouts: HandoutLog,
    threads: Threads,
    report: Callable[[OSError | None], object],
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve credentials.sock until cancelled: on the ``passed`` socket (activation) if there is one, else at ``path``.

    A socket that cannot be made, or is lost, is tried again. ``report`` is called with each error, and with None as
    soon as clients can connect. ``task_status`` starts after the first of these calls.
    """
    # Only root and our own user are served, and root needs no permission.
    place = SocketFile(path, mode=0o600) if path is not None and passed is None else None
    begun = False

    def tried(error: OSError | None) -> None:
        nonlocal begun
        report(error)
        if not begun:
            begun = True
            task_status.started()

    def handed_out(peer: Peer, address: object, lease: Lease) -> None:
        match = _ADDRESS.fullmatch(address) if isinstance(address, bytes) else None
        unit = None if match is None else match[1].decode()
        handouts.record(peer, lease.name, lease.generation, "credentials.sock", unit=unit)

    def listening() -> None:
        where = path if place is not None or passed is None else passed.getsockname()
        _log.info("credentials.listening", path=str(where))
        tried(None)

    while True:
        server = RawTokenServer(
            engine, units_rule(engine), place=place, sock=passed, threads=threads, handed_out=handed_out
        )
        try:
            await server.serve(listening)
        except OSError as error:
            tried(error)
            await anyio.sleep(RETRY_SECONDS)


async def serve_sink(
    engine: Engine,
    rules: AccessPolicy,
    name: str,
    sink: ListeningSink,
    listening: Callable[[], object],
    *,
    handouts: HandoutLog,
    threads: Threads,
) -> None:
    """Serve a sink's socket until cancelled; calls ``listening`` when clients can connect. Raises `SinkError`."""
    place = SocketFile(sink.path, mode=int(sink.mode, 8), owner=sink.owner, group=sink.group, exact=True)
    if not await _in_thread(threads, sink.path.parent.is_dir, sink):
        # As for files: a directory made by us could have the wrong owner or mode.
        raise SinkError(f"{sink.target}: the directory {sink.path.parent} does not exist")
    rule = readers_rule(engine, rules, name)

    def handed_out(peer: Peer, _: object, lease: Lease) -> None:
        handouts.record(peer, lease.name, lease.generation, "socket")

    async def settle(peer: Peer) -> None:
        if rules.is_unsettled and (entry := engine.entries.get(name)) is not None:
            await rules.settle(peer, (entry.settings,))

    server = RawTokenServer(
        engine, rule, place=place, offer=sink.offer, threads=threads, handed_out=handed_out, settle=settle
    )
    try:
        await server.serve(listening)
    except OSError as error:
        where = "" if str(place.path) in str(error.strerror or error) else f"{place.path}: "
        raise SinkError(f"{where}{error.strerror or error}") from None


async def _in_thread(threads: Threads, call: Callable[[], bool], sink: ListeningSink) -> bool:
    try:
        return await threads.run(call, seconds=DISK_SECONDS)
    except TimeoutError:
        raise SinkError(f"{sink.target}: the directory {sink.path.parent} does not answer: its disk hangs") from None
