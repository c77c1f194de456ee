"""One raw token to each client, then the end; a refused client gets more bytes than systemd accepts."""

import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.api.fake_engine import RAW, FakeEngine, FakeEntry, FakeHeld
from tests.credentials.server import (
    STRANGER,
    as_root,
    connected,
    everything,
    given,
    given_to,
    handing_out,
    is_refusal,
    place,
)
from tests.httpd.served import eventually, logged
from tokend.access.peer import Peer
from tokend.access.policy import AccessPolicy
from tokend.credentials.raw_token_connection import RefusedError, Rule
from tokend.credentials.raw_token_server import Bounds, RawTokenServer
from tokend.credentials.rules import readers_rule
from tokend.engine.context.contract import Entry
from tokend.httpd.unix_socket import SocketInUseError
from tokend.plugin.settings import Access

NOBODY = Access(users=("no-such-user",))


def rule(engine: FakeEngine) -> Rule:
    """The peers that may read `demo`; root has no special rights here, so that it can be refused."""
    rules = AccessPolicy(lambda: (), own_uid=1)
    rules._almighty = frozenset()
    return readers_rule(engine, rules, "demo")


@pytest.fixture
def engine() -> FakeEngine:
    """It holds `demo`."""
    one = FakeEngine()
    one.hold("demo")
    return one


@pytest.fixture
def path() -> Iterator[Path]:
    """Where the socket is to be."""
    with place() as directory:
        yield directory / "s"


def without_token(engine: FakeEngine) -> FakeEntry:
    entry = engine.entries["demo"] = FakeEntry("demo", FakeHeld(), engine.clock)
    return entry


def test_whoever_connects_is_sent_the_token_and_then_the_end(engine: FakeEngine, path: Path) -> None:
    """Exactly the token, as often as somebody asks; the newest."""
    with handing_out(engine, rule, path=path) as running:
        assert [given(path), given(path)] == [RAW.encode()] * 2
        running.inside(lambda: engine.hold("demo", generation=18, value="fake-newer-token"))
        assert given(path) == b"fake-newer-token"
        assert eventually(lambda: running.open == 0)


def test_a_client_waits_for_a_valid_token(engine: FakeEngine, path: Path) -> None:
    """Also one that has ended its own half, as systemd does at once; an expired token is none."""
    engine.clock.now = engine.clock.now.after(4000)  # over
    with handing_out(engine, rule, path=path) as running, connected(path) as patient, connected(path) as half:
        half.shutdown(socket.SHUT_WR)
        assert eventually(lambda: running.open == 2)
        running.inside(lambda: engine.announce("demo"))  # a failed attempt is no token
        running.inside(lambda: engine.announce("another"))
        patient.settimeout(0.05)
        with pytest.raises(TimeoutError):
            patient.recv(1)
        patient.settimeout(10)
        running.inside(lambda: engine.renew("demo", value="fake-fresh"))
        assert everything(patient) == everything(half) == b"fake-fresh"


def test_a_client_that_leaves_while_it_waits_is_forgotten(engine: FakeEngine, path: Path) -> None:
    """Nobody reads what it may have sent, and it takes nobody else's place."""
    without_token(engine)
    with handing_out(engine, rule, path=path) as running, connected(path) as patient:
        for sent in (b"", b"GET / HTTP/1.1\r\n\r\n"):
            with connected(path) as leaving:
                leaving.sendall(sent)
                assert eventually(lambda: running.open == 2)
            assert eventually(lambda: running.open == 1)
        running.inside(lambda: engine.renew("demo"))
        assert everything(patient) == RAW.encode()


def test_a_refusal_is_more_than_systemd_accepts(engine: FakeEngine, path: Path) -> None:
    """docs: closing without data would start the unit with an empty credential. The denial is a warning."""
    engine.entries["demo"].settings = FakeHeld(access=NOBODY)
    with logged() as lines, handing_out(engine, rule, path=path):
        assert is_refusal(given(path))
        engine.entries.clear()
        assert is_refusal(given(path))
    first = next(line for line in lines if line["event"] == "client.denied")
    assert first["log_level"] == "warning"
    assert first["token"] == "demo"
    # The second fell within the second that has one line; none of them is lost for good.
    assert sum(line["event"] == "client.denied" for line in lines) == 1


@as_root
def test_a_noisy_peer_hides_no_other_ones_denial(engine: FakeEngine, path: Path) -> None:
    """Issue 4: a denial is a warning, rate-limited; each uid has lines of its own, as on tokend.sock."""
    engine.entries["demo"].settings = FakeHeld(access=NOBODY)
    with logged() as lines, handing_out(engine, rule, path=path):
        for uid in (0, 0, STRANGER, STRANGER, 0):
            assert given_to(uid, path)[1] == ""
        engine.clock.now = engine.clock.now.after(2)
        given_to(0, path)
    denied = [(line["uid"], line["unsaid_before"]) for line in lines if line["event"] == "client.denied"]
    assert denied == [(0, 0), (STRANGER, 0), (0, 2)]


def test_a_read_is_told_at_debug_and_never_the_token(engine: FakeEngine, path: Path) -> None:
    """Issue 4: an audit line per read at debug level."""
    with logged() as lines, handing_out(engine, rule, path=path):
        given(path)
    assert [(line["log_level"], line["token"]) for line in lines if line["event"] == "client.read"] == [
        ("debug", "demo")
    ]
    assert RAW not in str(lines)


def test_whoever_waits_at_the_end_is_refused(engine: FakeEngine, path: Path) -> None:
    """A stop or a restart must not start a unit with an empty credential; and the path is gone."""
    without_token(engine)
    with handing_out(engine, rule, path=path) as running:
        waiting = [connected(path) for _ in range(3)]
        assert eventually(lambda: running.open == 3)
        # Somebody must read meanwhile: a refusal does not fit into the kernel's buffer.
        readers = ThreadPoolExecutor(3)
        got = [readers.submit(everything, client) for client in waiting]
    assert [is_refusal(one.result()) for one in got] == [True] * 3
    readers.shutdown()
    assert not path.exists()


def test_access_is_asked_again_after_the_wait(engine: FakeEngine, path: Path) -> None:
    """What a reload took away while the client waited is not given any more."""
    entry = without_token(engine)
    with handing_out(engine, rule, path=path) as running, connected(path) as client:
        assert eventually(lambda: running.open == 1)

        def reload() -> None:
            entry.settings = FakeHeld(access=NOBODY)
            engine.hold("demo")
            engine.announce("demo")

        running.inside(reload)
        assert is_refusal(everything(client))


def test_a_provider_that_is_removed_refuses_who_waits(engine: FakeEngine, path: Path) -> None:
    """It would wait for ever."""
    without_token(engine)

    def forget_all() -> None:
        engine.entries.clear()
        engine.announce("demo")

    with handing_out(engine, rule, path=path) as running, connected(path) as client:
        assert eventually(lambda: running.open == 1)
        running.inside(forget_all)
        assert is_refusal(everything(client))


def test_a_bug_is_one_clients_own(engine: FakeEngine, path: Path) -> None:
    """It is refused; the next one is served."""
    calls: list[int] = []

    def stumbling(engine: FakeEngine) -> Rule:
        good = rule(engine)

        def one(peer: Peer, address: object) -> Entry:
            calls.append(1)
            if len(calls) == 1:
                raise ZeroDivisionError(RAW)
            return good(peer, address)

        return one

    with logged() as lines, handing_out(engine, stumbling, path=path):
        assert is_refusal(given(path))
        assert given(path) == RAW.encode()
    assert RAW not in str(lines)


def test_one_too_many_waits_in_the_backlog(engine: FakeEngine, path: Path) -> None:
    """An empty close would be an empty credential: the kernel keeps it until there is room."""
    without_token(engine)
    with handing_out(engine, rule, path=path, bounds=Bounds(connections=2)) as running:
        first, second, third = (connected(path) for _ in range(3))
        assert eventually(lambda: running.open == 2)
        third.settimeout(0.3)
        with pytest.raises(TimeoutError):
            third.recv(1)
        third.settimeout(10)
        first.close()
        running.inside(lambda: engine.renew("demo"))
        assert everything(second) == everything(third) == RAW.encode()


@as_root
def test_one_user_cannot_take_all_places(engine: FakeEngine, path: Path) -> None:
    """Per uid; root's own do not count, it speaks for every unit."""
    with handing_out(engine, rule, path=path, bounds=Bounds(per_uid=0)):
        assert given_to(STRANGER, path) == (0, "")
        assert given(path) == RAW.encode()


def test_a_client_that_does_not_read_is_cut_off(engine: FakeEngine, path: Path) -> None:
    """A refusal does not fit into the kernel's buffer; nobody waits for its reader for ever."""
    engine.entries["demo"].settings = FakeHeld(access=NOBODY)
    with handing_out(engine, rule, path=path, bounds=Bounds(send_seconds=0.1)) as running, connected(path) as greedy:
        assert eventually(lambda: running.open == 1)
        assert eventually(lambda: running.open == 0)
        got = everything(greedy)
        assert got
        assert not got.strip(b"\0")


def test_what_a_client_sends_is_never_read(engine: FakeEngine, path: Path) -> None:
    """Not even looked at: it stays in the kernel, and the token comes all the same."""
    without_token(engine)  # or it would have been given and let go before it said anything
    with handing_out(engine, rule, path=path) as running, connected(path) as talkative:
        assert eventually(lambda: running.open == 1)
        talkative.sendall(b"x" * 1000)
        running.inside(lambda: engine.renew("demo"))
        assert talkative.recv(1000) == RAW.encode()


def test_a_removed_path_comes_back_and_who_waits_stays(engine: FakeEngine, path: Path) -> None:
    """docs/promises.md 92, as for the main socket."""
    without_token(engine)
    with handing_out(engine, rule, path=path) as running, connected(path) as patient:
        assert eventually(lambda: running.open == 1)
        path.unlink()
        assert eventually(path.exists)
        assert eventually(lambda: stat.S_IMODE(path.lstat().st_mode) == 0o666)
        running.inside(lambda: engine.renew("demo"))
        assert everything(patient) == given(path) == RAW.encode()


def test_a_path_that_cannot_be_taken_back_is_an_error(engine: FakeEngine, path: Path) -> None:
    """A foreign file stays, and the caller gets the error."""
    with handing_out(engine, rule, path=path) as running:
        path.unlink()
        path.write_text("precious")
        assert eventually(lambda: bool(running.failed))
    assert isinstance(running.failed[0], SocketInUseError)
    assert path.read_text() == "precious"


def test_an_inherited_socket_is_served_and_kept(engine: FakeEngine, path: Path) -> None:
    """Socket activation: who comes while nobody serves waits in the kernel."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(8)
        with handing_out(engine, rule, path=path, sock=listening.dup()):
            assert given(path) == RAW.encode()
        late = connected(path)
        with handing_out(engine, rule, path=path, sock=listening.dup()):
            assert everything(late) == RAW.encode()
    assert path.exists()


def test_it_is_given_one_socket(engine: FakeEngine) -> None:
    """Neither none nor two."""
    with pytest.raises(ValueError, match="either a place"):
        RawTokenServer(engine, rule(engine))


def test_many_clients_wait_and_all_are_served(engine: FakeEngine, path: Path) -> None:
    """Some of them leave; each of the others gets the token once it is there."""
    without_token(engine)
    with handing_out(engine, rule, path=path) as running:
        clients = [connected(path) for _ in range(200)]
        assert eventually(lambda: running.open == 200)
        for client in clients[::2]:
            client.close()
        assert eventually(lambda: running.open == 100)
        running.inside(lambda: engine.renew("demo"))
        assert {everything(client) for client in clients[1::2]} == {RAW.encode()}
        assert eventually(lambda: running.open == 0)


def test_a_refusal_names_what_it_is_about() -> None:
    """For the audit line."""
    assert RefusedError("no", unit="a.service").what == {"unit": "a.service"}
