"""One client of a raw-token socket: a token, or a refusal, and then the end of the stream."""

import socket
from pathlib import Path

import pytest

from tests.api.fake_engine import RAW, FakeEngine, FakeHeld
from tests.credentials.server import (
    NOBODY,
    connected,
    everything,
    from_systemd,
    given,
    handing_out,
    is_refusal,
    rule,
    without_token,
)
from tests.httpd.served import eventually, logged
from tokend.access.peer import Peer
from tokend.credentials.raw_token_connection import RefusedError, Rule
from tokend.credentials.raw_token_server import Bounds
from tokend.engine.context.contract import Entry


def test_each_client_is_sent_the_token_and_then_the_end(engine: FakeEngine, path: Path) -> None:
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
        assert is_refusal(given(path, from_systemd()))
        engine.entries.clear()
        assert is_refusal(given(path, from_systemd()))
    first = next(line for line in lines if line["event"] == "client.denied")
    assert first["log_level"] == "warning"
    assert first["token"] == "demo"
    # The second fell within the second that has one line; none of them is lost for good.
    assert sum(line["event"] == "client.denied" for line in lines) == 1


def test_a_read_is_reported_at_debug_and_never_the_token(engine: FakeEngine, path: Path) -> None:
    """Issue 4: an audit line per read at debug level."""
    with logged() as lines, handing_out(engine, rule, path=path):
        given(path)
    assert [(line["log_level"], line["token"]) for line in lines if line["event"] == "client.read"] == [
        ("debug", "demo")
    ]
    assert RAW not in str(lines)


def test_access_is_asked_again_after_the_wait(engine: FakeEngine, path: Path) -> None:
    """What a reload took away while the client waited is not given any more."""
    entry = without_token(engine)
    with handing_out(engine, rule, path=path) as running, connected(path, from_systemd()) as client:
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

    with handing_out(engine, rule, path=path) as running, connected(path, from_systemd()) as client:
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
        assert is_refusal(given(path, from_systemd()))
        assert given(path) == RAW.encode()
    assert RAW not in str(lines)


def test_a_client_that_does_not_read_is_cut_off(engine: FakeEngine, path: Path) -> None:
    """A refusal does not fit into the kernel's buffer; nobody waits for its reader for ever."""
    engine.entries["demo"].settings = FakeHeld(access=NOBODY)
    bounds = Bounds(send_seconds=0.1)
    with handing_out(engine, rule, path=path, bounds=bounds) as running, connected(path, from_systemd()) as greedy:
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


def test_a_refusal_names_what_it_is_about() -> None:
    """For the audit line."""
    assert RefusedError("no", unit="a.service").what == {"unit": "a.service"}
