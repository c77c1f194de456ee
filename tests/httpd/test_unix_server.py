"""The HTTP server on a Unix socket: time limits, numbers of connections."""

import socket
from pathlib import Path

from tests.httpd.served import Client, Served, eventually, served
from tokend.httpd.request_parser import Limits

LIVE = b"GET /livez HTTP/1.1\r\n\r\n"


LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


def test_floods_are_capped_and_the_seats_come_back(tmp_path: Path) -> None:
    """Beyond the limit new connections are closed at once; when one leaves there is room again."""
    with served(tmp_path, limits=Limits(max_connections=5, header_seconds=30)) as running:
        clients = [running.client() for _ in range(5)]
        for client in clients:
            client.send(LIVE)
            assert client.reply().status == 200
        for _ in range(20):
            with running.client() as refused:
                assert refused.ends()
        clients[0].send(LIVE)
        assert clients[0].reply().status == 200
        clients[1].close()
        assert eventually(lambda: running.server.connections == 4)
        assert running.get("/livez").status == 200
        for client in clients:
            client.close()


def test_one_uid_cannot_take_all_seats(tmp_path: Path) -> None:
    """The limit per uid holds although there is room in all."""
    with served(tmp_path, limits=Limits(max_connections_per_uid=2, header_seconds=30)) as running:
        with running.client() as one, running.client() as two:
            for client in (one, two):
                client.send(LIVE)
                assert client.reply().status == 200
            with running.client() as refused:
                assert refused.ends()
        assert eventually(lambda: running.server.connections == 0)
        assert running.get("/livez").status == 200


def test_passed_descriptors_are_not_kept(running: Served) -> None:
    """From Linux 6.16 on, sending them along with a request fails. On older kernels a thread closes them soon."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Client(running.path) as client, Path("/dev/null").open() as null:
        try:
            socket.send_fds(client.socket, [LIVE], [null.fileno()] * 10)
        except PermissionError:
            client.send(LIVE)
        assert client.reply().status == 200
        assert eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) < before + 10)
