"""One raw token to each client, then the end; a refused client gets more bytes than systemd accepts."""

import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.api.fake_engine import RAW, FakeEngine, FakeHeld
from tests.credentials.server import (
    NOBODY,
    STRANGER,
    as_root,
    connected,
    everything,
    from_systemd,
    given,
    given_to,
    handing_out,
    is_refusal,
    rule,
    without_token,
)
from tests.httpd.served import eventually, logged
from tokend.credentials.raw_token_server import Bounds, RawTokenServer
from tokend.httpd.unix_socket import SocketInUseError


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


def test_a_waiting_client_is_refused_at_the_end(engine: FakeEngine, path: Path) -> None:
    """A stop or a restart must not start a unit with an empty credential; and the path is gone."""
    without_token(engine)
    with handing_out(engine, rule, path=path) as running:
        waiting = [connected(path, from_systemd()) for _ in range(3)]
        assert eventually(lambda: running.open == 3)
        # Somebody must read meanwhile: a refusal does not fit into the kernel's buffer.
        readers = ThreadPoolExecutor(3)
        got = [readers.submit(everything, client) for client in waiting]
    assert [is_refusal(one.result()) for one in got] == [True] * 3
    readers.shutdown()
    assert not path.exists()


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


def test_a_removed_path_comes_back_and_who_waits_stays(engine: FakeEngine, path: Path) -> None:
    """docs/promises.md 92, as for the main socket."""
    without_token(engine)
    with handing_out(engine, rule, path=path) as running, connected(path) as patient:
        assert eventually(lambda: running.open == 1)
        path.unlink()
        assert eventually(lambda: path.exists() and stat.S_IMODE(path.lstat().st_mode) == 0o666)
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
