"""The cost of a read with a prepared answer, counted in Python calls instead of timed."""

import asyncio
import socket
import sys
from pathlib import Path

import anyio
import pytest

from tests.api.fake_engine import RAW, FakeEngine
from tests.fakes import FakeHeld, World, provider
from tests.httpd.served import Served, logged, served
from tests.virtual import EPOCH, VirtualClock, run_virtually
from tokend.access.peer import Peer
from tokend.access.policy import AccessPolicy
from tokend.api import answer_cache
from tokend.api.answer_cache import MOST_REMEMBERED
from tokend.api.routes import Router
from tokend.api.token_api import TokenApi
from tokend.httpd.connection import Connection
from tokend.httpd.listener import Listener, Room
from tokend.httpd.request_parser import Limits
from tokend.httpd.unix_socket import SocketFile

TEXT = b"GET /v1/tokens/a HTTP/1.1\r\nHost: x\r\n\r\n"


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes | bytearray | memoryview] = []
        self.write = self.written.append  # type: ignore[method-assign]  # not counted: the real one is in C

    def resume_reading(self) -> None:
        """There is nothing that could be paused."""


class ConnectionOwner:
    """A server without a socket."""

    limits = Limits()

    def __init__(self, service: TokenApi) -> None:
        self.application, self.answers = Router(service), service.answers
        self.listener: Listener[Connection] = Listener(
            SocketFile(Path("/nowhere")),
            lambda *_: pytest.fail("nobody connects"),
            room=Room(1),
            denied=lambda *_: None,
        )


def test_a_prepared_answer_costs_three_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the connection, one of the cache, one of the engine's entry. Every further call slows every read."""
    calls: list[str] = []
    monkeypatch.setattr(answer_cache, "_boot_seconds", lambda _: float)  # zero, and in C as the real one is

    async def main(clock: VirtualClock) -> None:
        async with World(clock).running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            service = TokenApi(supervisor, AccessPolicy(lambda: ()), config_state=lambda: (EPOCH, None))
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


def test_reads_are_counted_by_token_and_status(running: Served) -> None:
    """Parsed and recognised reads count alike; unknown names count under no token."""
    for _ in range(5):
        running.get("/v1/tokens/demo")
    running.get("/v1/tokens/demo", If_None_Match='"17"')
    running.get("/v1/tokens/nope")
    counts = running.inside(running.service.requests)
    assert {key: n for key, n in counts.items() if n} == {("demo", 200): 5, ("demo", 304): 1, ("", 404): 1}


def test_each_read_is_a_debug_line_where_that_is_wanted(tmp_path: Path) -> None:
    """With auditing, every read is logged with uid and token, and nothing is answered past the log."""
    engine = FakeEngine()
    engine.hold("demo")
    with logged() as lines, served(tmp_path, engine, audit_reads=True) as running:
        for _ in range(3):
            assert running.get("/v1/tokens/demo").status == 200
    reads = [(one["event"], one["log_level"], one["token"]) for one in lines]
    assert reads == [("client.read", "debug", "demo")] * 3
    assert RAW not in str(lines)


def test_auditing_can_begin_while_we_run(running: Served) -> None:
    """A reload that sets the log level to debug counts for request texts that were recognised before, too."""
    for _ in range(3):
        assert running.get("/v1/tokens/demo").status == 200
    with logged() as lines:
        running.inside(lambda: running.service.audit(True))
        assert running.get("/v1/tokens/demo").status == 200
        running.inside(lambda: running.service.audit(False))
        assert running.get("/v1/tokens/demo").status == 200
    assert [one["event"] for one in lines] == ["client.read"]
    assert running.inside(running.service.requests)["demo", 200] == 5


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
