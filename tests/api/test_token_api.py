"""The cost of a read with a prepared answer, counted in Python calls instead of timed."""

import sys
from pathlib import Path
from types import FrameType

import pytest

from tests.api.fake_engine import RAW, FakeEngine
from tests.httpd.served import Served, logged, served
from tokend.access.peer import Peer
from tokend.plugin.settings import Access
from tokend.values.errors import UnknownTokenError


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


def _calls_of(running: Served, name: str, identity: Peer) -> list[str]:
    """The names of tokend's functions that run when a peer asks for a token."""
    names: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and "/tokend/" in frame.f_code.co_filename:
            names.append(frame.f_code.co_name)

    def ask() -> None:
        sys.setprofile(note)
        try:
            with pytest.raises(UnknownTokenError):
                running.service.visible(identity, name)
        finally:
            sys.setprofile(None)

    running.inside(ask)
    return names


def test_hidden_and_unknown_tokens_take_one_path(tmp_path: Path) -> None:
    """The same functions, the same audit line, and the same words to the client: neither says which of them it is."""
    engine = FakeEngine()
    engine.hold("hidden", access=Access(users=("root",), groups=("root",)))
    peer = Peer(54321, frozenset((54321,)))
    with logged() as lines, served(tmp_path, engine, identify=lambda _: peer) as running:
        for name in ("hidden", "absent"):
            _calls_of(running, name, peer)  # names of users are looked up once
            running.engine.clock.now = running.engine.clock.now.after(2)
        hidden = _calls_of(running, "hidden", peer)
        running.engine.clock.now = running.engine.clock.now.after(2)
        unknown = _calls_of(running, "absent", peer)
        questions = [name for name in hidden if name in ("number", "denied", "record")]
        assert questions == [name for name in unknown if name in ("number", "denied", "record")]
        assert questions == ["number", "number", "denied", "record"]
        bodies = [
            running.get(f"/v1/tokens/{name}").body.replace(name.encode(), b"NAME") for name in ("hidden", "absent")
        ]
    assert bodies[0] == bodies[1]
    found = [(line["event"], line["uid"], line["token"]) for line in lines]
    assert found[:2] == [("client.denied", 54321, "hidden"), ("client.denied", 54321, "absent")]


def test_an_unknown_name_is_logged_and_cut(tmp_path: Path) -> None:
    """A client chooses it. For root there is nothing hidden, and no line."""
    with logged() as lines, served(tmp_path, FakeEngine(), identify=lambda _: Peer(54321, frozenset())) as running:
        assert running.get("/v1/tokens/" + "b" * 100).status == 404
    assert [line["token"] for line in lines] == ["b" * 64]
    with logged() as lines, served(tmp_path, FakeEngine(), identify=lambda _: Peer(0, frozenset())) as running:
        assert running.get("/v1/tokens/typo").status == 404
    assert lines == []
