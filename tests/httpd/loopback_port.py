"""A loopback port beside a Unix socket, in one loop."""

import asyncio
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.api.fake_engine import FakeEngine
from tests.httpd.served import PATIENCE_SECONDS, Reply, Served, served
from tokend.api.routes import Router
from tokend.httpd.loopback_server import LoopbackServer
from tokend.httpd.request_parser import Limits
from tokend.machine.thread_pool import ThreadPool
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import Access

SECRET = "obviously-fake-loopback-secret"
BEARER = {"Authorization": f"Bearer {SECRET}"}


@dataclass
class Port:
    """A running loopback server beside a running Unix one."""

    beside: Served
    server: LoopbackServer
    secret: Path

    def ask(
        self, method: str, target: str, headers: dict[str, str] | None = None, *, body: Any = None, host: str = ""
    ) -> Reply:
        """One request over TCP on a connection of its own, with the Host that http.client sends unless given."""
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=PATIENCE_SECONDS)
        try:
            sent = dict(headers or {}) | ({"Host": host} if host else {})
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, target, body=data, headers=sent)
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def raw(self, text: str) -> bytes:
        """Send bytes as they are; returns the status line."""
        with socket.create_connection((self.server.host, self.server.port), PATIENCE_SECONDS) as client:
            client.sendall(text.encode("latin-1"))
            return client.makefile("rb").readline()


@contextmanager
def listening(directory: Path, *, host: str = "127.0.0.1", limits: Limits | None = None) -> Iterator[Port]:
    """Both servers in one loop, with a held, a hidden and an on-demand token."""
    engine = FakeEngine()
    engine.hold("demo")
    engine.offer("wallet")
    engine.hold("hidden", access=Access(users=("root",)))
    engine.hold("units", access=Access(units=("*",)))
    secret = directory / "secret"
    secret.write_text(SECRET + "\n")
    with served(directory, engine) as beside:

        async def start() -> LoopbackServer:
            source = SecretSource(file=secret)
            server = LoopbackServer(
                Router(beside.service), host, 0, lambda: source, threads=ThreadPool(1), limits=limits
            )
            await server.start()
            return server

        server = asyncio.run_coroutine_threadsafe(start(), beside.loop).result(PATIENCE_SECONDS)
        try:
            yield Port(beside, server, secret)
        finally:
            closing = server.close(grace_seconds=0.2)
            asyncio.run_coroutine_threadsafe(closing, beside.loop).result(PATIENCE_SECONDS)
