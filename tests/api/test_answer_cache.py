"""Prepared answers: their cost, their number and their validity."""

import asyncio
import socket
import sys
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from tests.fakes import FakeHeld, World, provider
from tests.httpd.served import Served
from tests.virtual import EPOCH, VirtualClock, run_virtually
from tokend.access.peer import Peer
from tokend.access.policy import AccessPolicy
from tokend.api import answer_cache
from tokend.api.answer_cache import MOST_REMEMBERED
from tokend.api.routes import Router
from tokend.api.token_api import TokenApi
from tokend.httpd.application import Application, PreparedAnswers
from tokend.httpd.connection import Connection
from tokend.httpd.listener import Listener
from tokend.httpd.places import ConnectionLimits
from tokend.httpd.request_parser import Limits
from tokend.httpd.unix_socket import SocketFile
from tokend.values.secret import Secret
from tokend.values.status import ConfigStatus

TEXT = b"GET /v1/tokens/a HTTP/1.1\r\nHost: x\r\n\r\n"


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes | bytearray | memoryview] = []
        self.write = self.written.append  # type: ignore[method-assign, assignment]  # not counted: the real one is in C

    def resume_reading(self) -> None:
        """There is nothing that could be paused."""


class ConnectionOwner:
    """A server without a socket."""

    limits = Limits()

    def __init__(self, service: TokenApi) -> None:
        self.application: Application = Router(service)
        self.answers: PreparedAnswers | None = service.answers
        self.listener: Listener[Connection] = Listener(
            SocketFile(Path("/nowhere")),
            lambda *_: pytest.fail("nobody connects"),
            limits=ConnectionLimits(1),
            denied=lambda *_: None,
        )


def test_a_prepared_answer_costs_three_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the connection, one of the cache, one of the engine's entry. Every further call slows every read."""
    calls: list[str] = []
    monkeypatch.setattr(answer_cache, "_boot_seconds", lambda _: float)  # zero, and in C as the real one is

    async def main(clock: VirtualClock) -> None:
        async with World(clock).running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            service = TokenApi(supervisor, AccessPolicy(lambda: ()), config_state=lambda: ConfigStatus(EPOCH, None))
            transport = Transport()
            ours, theirs = socket.socketpair()
            connection = Connection(ConnectionOwner(service), Peer(0, frozenset()), ours)
            ours.close()
            theirs.close()
            connection.connection_made(transport)
            transport.written.clear()
            connection.data_received(TEXT)
            await anyio.sleep(1)
            assert TEXT in service.answers.texts
            sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_qualname) if event == "call" else None)
            try:
                connection.data_received(TEXT)
            finally:
                sys.setprofile(None)
            first, second = transport.written
            assert first == second

    run_virtually(main)
    assert calls == ["Connection.data_received", "_finder.<locals>.find", "HeldProvider.lease"]


def test_what_is_kept_of_answers_does_not_grow_with_the_tokens_that_are_read(running: Served) -> None:
    """docs/promises.md P9: hundreds of tokens, each read twice, are all answered; so many answers are kept at most."""
    names = [f"token-{number}" for number in range(MOST_REMEMBERED + 200)]
    for name in names:
        running.engine.hold(name, value=f"fake-of-{name}")
    with running.client() as client:
        for name in [*names, *names]:
            client.send(f"GET /v1/tokens/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert client.reply().json["access_token"] == f"fake-of-{name}"
    assert 0 < running.inside(lambda: running.service.answers.bodies) <= MOST_REMEMBERED
    assert 0 < running.inside(lambda: len(running.service.answers.texts)) <= MOST_REMEMBERED


class CountingSecret(Secret):
    """Counts how often it is given out."""

    __slots__ = ("times",)

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.times = 0

    def reveal(self) -> str:
        self.times += 1
        return super().reveal()


def test_an_answer_is_laid_out_once_per_generation(running: Served) -> None:
    """Plain reads in both forms, min_ttl and refresh take the token out of its box once per lease, not per request."""
    times = []
    for generation in (18, 19):
        value = CountingSecret(f"fake-{generation}")
        lease = running.engine.hold("demo", generation=generation).lease
        assert lease is not None
        running.engine.entries["demo"].lease = replace(lease, token=replace(lease.token, value=value))
        for _ in range(3):
            assert running.get("/v1/tokens/demo").json["access_token"] == f"fake-{generation}"
            assert running.get("/v1/tokens/demo", Accept="text/plain").body == f"fake-{generation}".encode()
            assert running.get("/v1/tokens/demo?min_ttl=1s").json["generation"] == generation
            assert running.post("/v1/tokens/demo/refresh").json["generation"] == generation
            times.append(value.times)
    assert len(set(times)) == 1, times
