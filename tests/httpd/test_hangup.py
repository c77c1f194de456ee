"""Disconnects of waiting clients."""

import socket

import pytest

from tests.api.test_events import waiting
from tests.httpd.served import Served, eventually
from tokend.httpd.connection import Connection


def test_a_long_poll_dies_with_its_client(running: Served) -> None:
    """A client that leaves frees what waited for it."""
    client = running.client()
    client.send(b'GET /v1/tokens/demo HTTP/1.1\r\nPrefer: wait=300\r\nIf-None-Match: "17"\r\n\r\n')
    assert eventually(lambda: waiting(running))
    client.close()
    assert eventually(lambda: not waiting(running))
    assert eventually(lambda: running.server.connections == 0)


@pytest.mark.parametrize("more", [b"", b"GET /livez HTTP/1.1\r\n\r\n"])
def test_a_waiter_that_left_behind_a_closed_half_or_an_unread_request_is_found(running: Served, more: bytes) -> None:
    """The loop does not report its end while nothing is read."""
    client = running.client()
    client.send(b'GET /v1/tokens/demo HTTP/1.1\r\nPrefer: wait=300\r\nIf-None-Match: "17"\r\n\r\n')
    assert eventually(lambda: waiting(running))
    if more:
        client.send(more)
        [connection] = running.server.listener.connections
        assert isinstance(connection, Connection)
        assert eventually(lambda: bool(connection._unread))
    else:
        client.socket.shutdown(socket.SHUT_WR)
    client.close()
    assert eventually(lambda: running.server.connections == 0)
    assert not waiting(running)
