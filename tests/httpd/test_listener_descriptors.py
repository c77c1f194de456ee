"""Reserved descriptors of the servers."""

import os
import resource
from itertools import islice
from pathlib import Path

import pytest

from tests.httpd.served import Client, Served, eventually, served
from tests.httpd.test_unix_server import LIVE
from tokend.httpd import passed_descriptors
from tokend.httpd.places import RESERVED_DESCRIPTORS


@pytest.mark.parametrize("receives", [False, True])
def test_connections_leave_descriptors_for_everything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receives: bool
) -> None:
    """docs/promises.md 71: a flood within the limits of connections still leaves 64 descriptors, and is survived.

    320 are left where descriptors of clients have to be received.
    """
    if receives:
        monkeypatch.setenv(passed_descriptors.SWITCH, passed_descriptors.RECEIVE)
    with served(tmp_path) as running:
        can_refuse = running.inside(lambda: not running.server.listener._drains)
        _flood(running, RESERVED_DESCRIPTORS + (0 if can_refuse else passed_descriptors.SPARE_DESCRIPTORS))


def _flood(running: Served, reserved: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}
    free = (number for number in range(before[0]) if number not in taken)
    # Clients live in this process, too: some pairs fit, but not all. Gaps may be below an inherited one.
    first_reserved = next(islice(free, 20, None))
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_reserved + reserved, before[1]))
    clients: list[Client] = []
    spare: list[int] = []
    try:
        for _ in range(20):
            clients.append(running.client())
            if not _is_served(clients[-1]):
                break
        else:
            pytest.fail("nobody was refused")
        assert len(clients) > 5
        for _ in range(reserved - 1):  # the client that was refused holds one
            spare.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for descriptor in spare:
            os.close(descriptor)
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert eventually(lambda: running.server.connections == 0)
    assert running.get("/livez").status == 200


def _is_served(client: Client) -> bool:
    try:
        client.send(LIVE)
        return bool(client.file.peek(1))
    except (BrokenPipeError, ConnectionResetError):
        return False
