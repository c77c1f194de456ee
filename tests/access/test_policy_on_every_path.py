"""One question, "may this peer have these bytes now?": the same answer on every path that hands out a token.

`AccessPolicy.may_read` and `answerable` decide. The hot path compares objects instead of calling them, and other paths
call them at different moments; so the property below asks all paths in the same situation.
"""

import asyncio
import http.client
import itertools
import select
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.api.fake_engine import RAW, START, FakeEngine, FakeHeld
from tests.httpd.served import PATIENCE_SECONDS, Client, Served, eventually, served
from tokend.access.peer import NOBODY, Peer
from tokend.access.policy import AccessPolicy, answerable, unit_may_read
from tokend.api.routes import Router
from tokend.credentials.raw_token_server import Bounds, RawTokenServer
from tokend.credentials.rules import readers_rule, units_rule
from tokend.httpd.loopback_server import LoopbackServer
from tokend.httpd.unix_socket import SocketFile
from tokend.machine.thread_pool import ThreadPool
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import Access
from tokend.values.secret import Secret
from tokend.values.tokens import Token

SECRET = "obviously-fake-loopback-secret"
OWN_UID = 3
READ = "/v1/tokens/demo"
NEWER = "fake-newer-token"
HEADS = {
    "known text": (f"GET {READ} HTTP/1.1", "Host: x"),
    "conditional": (f"GET {READ} HTTP/1.1", "Host: x", 'If-None-Match: "0"'),
    "long poll": (f"GET {READ} HTTP/1.1", "Host: x", "Prefer: wait=0"),
    "min_ttl": (f"GET {READ}?min_ttl=1s HTTP/1.1", "Host: x"),
    "refresh": (f"POST {READ}/refresh HTTP/1.1", "Host: x", "Content-Type: application/json", "Content-Length: 19"),
}
BODIES = {"refresh": b'{"if_generation":1}'}


def peer_of(uid: int, groups: frozenset[int] = frozenset(), unit: str | None = None, contained: bool = False) -> Peer:
    """A peer of which it is known already in which unit it is, and whether in a container."""
    peer = Peer(uid, groups)
    peer.__dict__.update(unit=unit, is_contained=contained)
    return peer


@dataclass(frozen=True)
class Case:
    """The situation when the question is asked. ``change`` is what happens after the text became known."""

    peer: Peer
    access: Access | None
    change: str
    plain: bool

    def settings(self) -> FakeHeld:
        return FakeHeld(access=self.access)


@dataclass
class Paths:
    """Every server that hands out the token `demo`."""

    api: Served
    peer: Peer
    policy: AccessPolicy
    loopback: LoopbackServer
    sink: RawTokenServer
    credentials: RawTokenServer
    directory: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def identify(self, _connection: socket.SocketType) -> Peer:
        return self.peer

    # ---------------------------------------------------------------- asking

    def text(self, head: str, *, plain: bool) -> bytes:
        lines = [*HEADS[head], *(["Accept: text/plain"] if plain else []), "", ""]
        return "\r\n".join(lines).encode() + BODIES.get(head, b"")

    def over_loopback(self, *, plain: bool) -> bytes:
        connection = http.client.HTTPConnection(self.loopback.host, self.loopback.port, timeout=PATIENCE_SECONDS)
        accept = {"Accept": "text/plain"} if plain else {}
        connection.request("GET", READ, headers={"Authorization": SECRET, **accept})
        body = connection.getresponse().read()
        connection.close()
        return body

    def raw(self, server: RawTokenServer, name: str, address: str | None = None) -> bytes:
        """What a raw-token socket sends; nothing if the client is left waiting."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_SECONDS)
            if address is not None:
                client.bind(address)
            client.connect(str(self.directory / name))
            while not select.select([client], [], [], 0.002)[0]:
                if self.api.inside(lambda: "demo" in server._changed):
                    self.api.inside(lambda: server._changed.pop("demo"))  # the next client is noticed, too
                    break
            else:
                return b"".join(iter(lambda: client.recv(1 << 20), b""))
        assert eventually(lambda: self.api.inside(lambda: server.connections) == 0)
        return b""


@contextmanager
def running() -> Iterator[Paths]:
    """All servers in one loop."""
    engine = FakeEngine()
    engine.hold("demo")
    found: list[Paths] = []
    with tempfile.TemporaryDirectory(prefix="tk-") as name:
        directory = Path(name)
        (directory / "secret").write_text(SECRET)
        source = SecretSource(file=directory / "secret")
        with served(directory, engine, own_uid=OWN_UID, identify=lambda one: found[0].identify(one)) as api:

            async def start() -> tuple[Paths, list[asyncio.Task[None]]]:
                service = api.service
                loopback = LoopbackServer(Router(service), "127.0.0.1", 0, lambda: source, threads=ThreadPool(1))
                await loopback.start()
                servers: list[RawTokenServer] = []
                tasks: list[asyncio.Task[None]] = []
                rules = {
                    "sink": readers_rule(engine, service.policy, "demo"),
                    "cred": units_rule(engine, own_uid=OWN_UID),
                }
                for path, rule in rules.items():
                    server = RawTokenServer(
                        engine,
                        rule,
                        place=SocketFile(directory / path),
                        bounds=Bounds(),
                        identify=lambda one: found[0].identify(one),
                    )
                    listening = asyncio.Event()
                    tasks.append(asyncio.create_task(server.serve(listening.set)))
                    await listening.wait()
                    servers.append(server)
                sink, credentials = servers
                peer = Peer(0, frozenset())
                return Paths(api, peer, service.policy, loopback, sink, credentials, directory), tasks

            paths, tasks = asyncio.run_coroutine_threadsafe(start(), api.loop).result(PATIENCE_SECONDS)
            found.append(paths)
            try:
                yield paths
            finally:

                async def end() -> None:
                    for task in tasks:
                        task.cancel()
                        with suppress(asyncio.CancelledError):
                            await task
                    await paths.loopback.close(grace_seconds=0.2)

                asyncio.run_coroutine_threadsafe(end(), api.loop).result(PATIENCE_SECONDS)


def begin(engine: FakeEngine, case: Case) -> None:
    """Let the token be valid, under the case's access."""
    engine.clock.now = START
    engine.hold("demo").settings = case.settings()


def change(engine: FakeEngine, case: Case) -> None:
    """Let happen what the case says."""
    entry = engine.entries["demo"]
    lease = entry.lease
    assert lease is not None
    if case.change == "expired":
        engine.clock.now = START.after(3600)
    elif case.change == "nearly expired":
        engine.clock.now = START.after(3598)
    elif case.change == "none":
        entry.lease = None
    elif case.change == "newer":
        engine.hold("demo", generation=18, value=NEWER)
    elif case.change == "endless":
        entry.lease = replace(lease, generation=18, token=Token(Secret(NEWER), "Bearer", START, None))
    elif case.change == "hidden":
        entry.settings = FakeHeld(access=Access())
    elif case.change == "reloaded":
        entry.settings = case.settings()


UNITS = st.sampled_from([None, "a.service", "b.service"])
PEERS = st.builds(
    peer_of,
    st.sampled_from([0, 1, 2, OWN_UID]),
    st.frozensets(st.sampled_from([10, 11]), max_size=2),
    UNITS,
    st.booleans(),
)
CHANGES = ("nothing", "expired", "nearly expired", "none", "newer", "endless", "hidden", "reloaded")


def some(*names: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(names), max_size=2, unique=True).map(tuple)


ACCESS = st.none() | st.builds(
    Access, users=some("1", "2"), groups=some("10", "11"), units=some("a.service", "?.service")
)
CASES = st.builds(Case, PEERS, ACCESS, st.sampled_from(CHANGES), st.booleans())


@pytest.fixture(scope="module")
def paths() -> Iterator[Paths]:
    with running() as all_paths:
        yield all_paths


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CASES)
@example(Case(peer_of(1), Access(users=("1",)), "hidden", False))
@example(Case(peer_of(1), None, "expired", True))
@example(Case(peer_of(1), None, "none", False))
@example(Case(peer_of(0), None, "newer", False))
@example(Case(peer_of(2), Access(users=("1",)), "nothing", False))
@example(Case(peer_of(0, contained=True), Access(units=("?.service",)), "nothing", False))
@example(Case(peer_of(OWN_UID, contained=True), None, "nothing", True))
def test_every_path_gives_the_token_exactly_to_those_who_may_have_it(paths: Paths, case: Case) -> None:
    """The same peer, table and lease: the bytes come on all paths, or on none; and they are the newest token's."""
    api, engine = paths.api, paths.api.engine
    plain, text = case.plain, paths.text("known text", plain=case.plain)
    api.inside(lambda: begin(engine, case))
    paths.peer = peer_of(0)
    with api.client() as first:  # somebody who may: the text is known from now on
        first.send(text)
        assert RAW.encode() in first.reply().body
    paths.peer = case.peer
    with api.client() as kept:
        kept.send(text)
        kept.reply()
        kept.send(text)  # no bare socket any more, and perhaps granted
        kept.reply()
        api.inside(lambda: change(engine, case))
        entry = engine.entries["demo"]
        now, settings_now = engine.clock.instant(), entry.settings
        valid = answerable(entry.lease, now)
        expected = paths.policy.may_read(case.peer, settings_now) and valid
        got: dict[str, bool] = {}

        def note(path: str, body: bytes) -> None:
            token = (NEWER if case.change in ("newer", "endless") else RAW).encode()
            old = RAW.encode() if token != RAW.encode() else b"never"
            assert old not in body, path
            got[path] = token in body

        kept.send(text)
        note("kept connection", kept.reply().body)
        with api.client() as accepted:
            accepted.send(text)
            note("bare socket", accepted.reply().body)
            accepted.send(text)
            note("second request", accepted.reply().body)
        for head in HEADS.keys() - {"known text"}:
            with Client(api.path) as client:
                if entry.lease is None and head in ("min_ttl", "refresh"):
                    continue  # the engine would have to answer; this one has nothing to hand on
                client.send(paths.text(head, plain=plain))
                note(head, client.reply().body)
        note("socket of a sink", paths.raw(paths.sink, "sink"))
    assert got == dict.fromkeys(got, expected)
    assert len(got) >= 6
    by_secret = b"fake" in paths.over_loopback(plain=plain)
    assert by_secret == (paths.policy.may_read(NOBODY, settings_now) and valid)
    for unit in ("a.service", "b.service"):
        address = f"\0{next(paths.numbers):x}/unit/{unit}/demo"
        by_unit = b"fake" in paths.raw(paths.credentials, "cred", address)
        systemd = case.peer.uid in (0, OWN_UID) and not case.peer.is_contained
        assert by_unit == (systemd and unit_may_read(unit, settings_now) and valid)
