"""The loopback port as a port: who has a place, who is cut off, and where it listens."""

import asyncio
import http.client
import os
import resource
import socket
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.httpd.loopback_port import BEARER, Port, listening
from tests.httpd.served import PATIENCE_SECONDS, eventually
from tokend.api.routes import Router
from tokend.httpd.loopback_server import LoopbackServer
from tokend.httpd.places import RESERVED_DESCRIPTORS
from tokend.httpd.request_parser import Limits
from tokend.machine.thread_pool import ThreadPool
from tokend.plugin.secret_source import SecretSource


def test_one_connection_too_many_is_closed(tmp_path: Path) -> None:
    """An eighth of max_connections; a place that becomes free is given to the next."""
    with listening(tmp_path, limits=Limits(max_connections=16, header_seconds=600)) as port:
        address = ("127.0.0.1", port.server.port)
        with socket.create_connection(address), socket.create_connection(address) as second:
            third = socket.create_connection(address, PATIENCE_SECONDS)
            with third, third.makefile("rb") as file, suppress(ConnectionResetError):
                assert file.read() == b""
            second.close()
            assert eventually(lambda: len(port.server.listener.connections) == 1)
            assert port.ask("GET", "/livez").status == 200


def test_the_last_descriptors_are_not_for_its_clients(tmp_path: Path) -> None:
    """docs/promises.md 71: as on the Unix socket."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with listening(tmp_path) as port:
        lowest = os.open(os.devnull, os.O_RDONLY)
        os.close(lowest)
        # The client has the lowest number, so that the server's end has a reserved one.
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + RESERVED_DESCRIPTORS, before[1]))
        try:
            with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
                port.ask("GET", "/livez")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert eventually(lambda: _is_served(port))  # the limit is read once for all connections accepted in one go


def test_who_sends_nothing_is_closed(tmp_path: Path) -> None:
    """The time limits of the Unix socket hold."""
    with (
        listening(tmp_path, limits=Limits(header_seconds=0.1)) as port,
        socket.create_connection(("127.0.0.1", port.server.port), PATIENCE_SECONDS) as idle,
        suppress(ConnectionResetError),
    ):
        assert idle.recv(1) == b""


def test_a_port_that_is_taken_is_named_in_one_sentence(tmp_path: Path) -> None:
    """OSError, as where the Unix socket cannot be made."""
    with listening(tmp_path) as port:
        service, number = port.beside.service, port.server.port
        source = SecretSource(file=port.secret)
        second = LoopbackServer(Router(service), "127.0.0.1", number, lambda: source, threads=ThreadPool(1))
        starting = asyncio.run_coroutine_threadsafe(second.start(), port.beside.loop)
        with pytest.raises(OSError, match=rf"^cannot listen on 127\.0\.0\.1:{number}: Address already in use$"):
            starting.result(PATIENCE_SECONDS)


def _same(source: SecretSource | None) -> SecretSource | None:
    return source


def test_a_port_without_a_readable_secret_is_not_opened(tmp_path: Path) -> None:
    """It would serve nobody; the error says what is wrong, and the port stays free."""
    with listening(tmp_path) as port:
        for source, words in ((None, "no listen_secret"), (SecretSource(file=tmp_path / "gone"), "listen_secret: ")):
            kept = partial(_same, source)
            server = LoopbackServer(Router(port.beside.service), "127.0.0.1", 0, kept, threads=ThreadPool(1))
            starting = asyncio.run_coroutine_threadsafe(server.start(), port.beside.loop)
            with pytest.raises(OSError, match=words):
                starting.result(PATIENCE_SECONDS)


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
def test_ipv6_loopback_works_too(tmp_path: Path) -> None:
    """[::1], in the address and in Host."""
    with listening(tmp_path, host="::1") as port:
        assert port.ask("GET", "/v1/tokens/demo", BEARER).status == 200


def _is_served(port: Port) -> bool:
    try:
        return port.ask("GET", "/livez").status == 200
    except ConnectionError:
        return False
