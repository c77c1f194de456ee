"""Places of connections: those of a container that runs as root are none of root's; `test_listener` has the others."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.access.test_peer_process import with_namespaces
from tests.api.fake_engine import FakeEngine
from tests.credentials import server as raw
from tests.httpd.served import logged, served
from tokend.httpd.places import CONTAINER_PLACES
from tokend.httpd.request_parser import Limits

# Opens a number of connections, prints how many stay open, and keeps them.
CROWD = """
import select, socket, sys
clients = []
for _ in range(int(sys.argv[2])):
    client = socket.socket(socket.AF_UNIX)
    client.connect(sys.argv[1])
    clients.append(client)
poll = select.poll()
for client in clients:
    poll.register(client, select.POLLRDHUP)
closed = set()
while len(clients) - len(closed) > int(sys.argv[3]):
    if not (found := poll.poll(5_000)):
        break
    for descriptor, _ in found:
        closed.add(descriptor)
        poll.unregister(descriptor)
print(len(clients) - len(closed), flush=True)
sys.stdin.read()
"""


@contextmanager
def crowd(path: Path, number: int, *, staying: int) -> Iterator[int]:
    """A process in a container of our uid with many connections, of which some are closed; yields how many stay."""
    argv = [*with_namespaces("--pid", "--fork"), sys.executable, "-c", CROWD, str(path), str(number), str(staying)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.stdin.close()


def test_a_container_that_runs_as_root_leaves_room_for_root(tmp_path: Path) -> None:
    """It may have 64 connections as root, then what any uid may have. The lines of denials name its uid."""
    limits = Limits(max_connections=1000, max_connections_per_uid=100)
    engine = FakeEngine()
    engine.hold("demo")
    staying = CONTAINER_PLACES + 100
    with (
        logged() as lines,
        served(tmp_path, engine, limits=limits) as running,
        crowd(running.path, 300, staying=staying) as open_now,
    ):
        assert open_now == staying
        clients = [running.client() for _ in range(100 - CONTAINER_PLACES)]
        for client in clients:
            client.send(b"GET /v1/tokens/demo HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.reply().status == 200
            client.close()
    denied = [line for line in lines if line["event"] == "client.denied"]
    assert denied
    assert {line["uid"] >= 0 for line in denied} == {True}


def test_on_a_raw_token_socket_it_is_bounded_too() -> None:
    """Root's connections have no limit per uid there; those of a container have one."""
    engine = FakeEngine()
    engine.hold("demo").lease = None  # everybody waits for a token
    with (
        raw.place() as directory,
        raw.handing_out(engine, raw.rule, path=directory / "s"),
        crowd(directory / "s", 200, staying=CONTAINER_PLACES + 64) as open_now,
    ):
        assert open_now == CONTAINER_PLACES + 64
