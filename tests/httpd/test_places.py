"""Places of connections: who makes room when all are taken, and what a container that runs as root may have."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.access.test_peer_process import with_namespaces
from tests.api.fake_engine import FakeEngine
from tests.credentials import server as raw
from tests.httpd.served import logged, served
from tokend.httpd.places import CONTAINER_PLACES, RESERVED_DESCRIPTORS, ConnectionLimits, Places
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


FREE = -1.0  # the new connection's descriptor does not lie in the reserve
FEW, MANY, ROOT = 1001, 1002, 0


class Idle:
    """A connection that does nothing but give way. The earlier it was active, the idler it is."""

    def __init__(self, active: float) -> None:
        self.active = active
        self.gone = False

    def start(self) -> None:
        raise AssertionError("places start nothing")

    def close_soon(self) -> None:
        raise AssertionError("places close nothing softly")

    def abort(self) -> None:
        raise AssertionError("places abort nothing")

    def give_way(self) -> None:
        self.gone = True

    def last_active(self) -> float:
        return self.active


def places(total: int, *uids: int, kept: Callable[[int], bool] | None = None) -> tuple[Places[Idle], list[Idle]]:
    """Places with a connection for each of ``uids``; the first of them is the idlest."""
    made: Places[Idle] = Places(ConnectionLimits(total, kept=kept), lambda peer, reason: None)
    connections = [Idle(float(number)) for number in range(len(uids))]
    for one, uid in zip(connections, uids, strict=True):
        made.add(one, uid)
    return made, connections


def gone(connections: list[Idle]) -> list[int]:
    """The numbers of the connections that gave way."""
    return [number for number, one in enumerate(connections) if one.gone]


def test_the_idlest_of_the_uid_with_the_most_gives_way_to_another_uid() -> None:
    """Not the idlest of all: FEW has one connection, and keeps it."""
    made, open_now = places(4, FEW, MANY, MANY, MANY)
    assert made.make_room(FEW, FREE)
    assert gone(open_now) == [1]


def test_the_uid_with_the_most_makes_no_room_for_itself() -> None:
    """Nor does one that has as many: two such uids would close each other's connections for ever."""
    made, open_now = places(4, MANY, MANY, FEW, FEW)
    assert not made.make_room(MANY, FREE)
    assert not made.make_room(FEW, FREE)
    assert gone(open_now) == []


def test_a_uid_with_kept_places_gets_room_also_where_it_has_the_most() -> None:
    """Another uid's idlest connection gives way to root; root's own never does while there is another's."""
    made, open_now = places(6, ROOT, ROOT, ROOT, MANY, MANY, FEW, kept=lambda uid: uid == ROOT)
    assert made.make_room(ROOT, FREE)
    assert gone(open_now) == [3]


def test_root_alone_makes_no_room_for_root() -> None:
    """Where all connections are root's, the next one is refused, as anybody's."""
    made, open_now = places(3, ROOT, ROOT, ROOT, kept=lambda uid: uid == ROOT)
    assert not made.make_room(ROOT, FREE)
    assert gone(open_now) == []


def test_the_second_half_of_the_reserved_descriptors_is_for_kept_uids() -> None:
    """There is a place, but no descriptor: only root may go on."""
    deep = RESERVED_DESCRIPTORS / 2
    made, open_now = places(100, MANY, MANY, FEW, kept=lambda uid: uid == ROOT)
    assert not made.make_room(FEW, deep)
    assert gone(open_now) == []
    assert made.make_room(ROOT, deep)
    assert gone(open_now) == [0]


def test_a_connection_that_was_active_meanwhile_is_not_the_idlest_any_more() -> None:
    """What was remembered of it is old: the next one gives way."""
    made, open_now = places(6, MANY, MANY, MANY, MANY, MANY, FEW)
    assert made.make_room(FEW, FREE)
    open_now[1].active = 99.0
    made.add(Idle(100.0), FEW)
    assert made.make_room(ROOT, FREE)
    assert gone(open_now) == [0, 2]


def test_what_is_known_of_a_process_is_forgotten_after_a_second() -> None:
    """Its pid may be another process's by then."""

    async def main() -> None:
        made, _ = places(100)
        loop = asyncio.get_running_loop()
        made._contained, made._contained_until = {1: True}, loop.time() - 0.001
        ours, theirs = socket.socketpair()
        with ours, theirs:
            made._is_contained(ours)
        assert 1 not in made._contained

    asyncio.run(main())
