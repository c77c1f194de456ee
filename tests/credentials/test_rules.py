"""Rule of credentials.sock: systemd itself gets tokens, for the units of `access.units`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.fake_engine import RAW, FakeEngine
from tests.credentials.server import (
    STRANGER,
    as_root,
    from_systemd,
    given,
    given_to,
    handing_out,
    is_refusal,
    place,
)
from tests.httpd.served import logged
from tokend.access.peer import Peer
from tokend.access.policy import AccessPolicy
from tokend.credentials.raw_token_connection import RefusedError, Rule
from tokend.credentials.rules import readers_rule, units_rule
from tokend.plugin.settings import Access

ROOT = Peer(0, frozenset((0,)))


def rule(engine: FakeEngine) -> Rule:
    return units_rule(engine)


def asked_by(unit: str, name: str = "demo") -> bytes:
    """The name that systemd connects from."""
    return f"\0{'18bf93cf8da6f5df'}/unit/{unit}/{name}".encode()


@pytest.fixture
def engine() -> FakeEngine:
    """`demo` is for some units, `open` says nothing of units, `all` is for each; `wallet` is issued on demand."""
    one = FakeEngine()
    one.hold("demo", access=Access(units=("bot.service", "worker@*.service")))
    one.hold("open")
    one.hold("users", access=Access(users=("root",)))
    one.hold("all", access=Access(units=("*",)))
    one.offer("wallet", access=Access(units=("*",)))
    return one


@pytest.fixture
def path() -> Iterator[Path]:
    """Where the socket is to be."""
    with place() as directory:
        yield directory / "s"


@pytest.mark.parametrize("unit", ["bot.service", "worker@1.service", r"worker@a\x2db.service"])
def test_a_unit_of_the_list_gets_the_token(engine: FakeEngine, path: Path, unit: str) -> None:
    """By its name or by a pattern: systemd's own connection, imitated to the byte."""
    with handing_out(engine, rule, path=path, mode=0o600):
        assert given(path, asked_by(unit)) == RAW.encode()


@pytest.mark.parametrize(
    ("unit", "name"),
    [
        ("other.service", "demo"),
        ("Bot.service", "demo"),
        ("worker.service", "demo"),
        ("bot.service", "open"),
        ("bot.service", "users"),
        ("bot.service", "nosuch"),
        ("bot.service", "wallet"),
    ],
)
def test_everything_else_is_refused_and_reported(engine: FakeEngine, path: Path, unit: str, name: str) -> None:
    """Another unit; a token without units; an unknown one; one that is issued on demand. Each is a warning."""
    with logged() as lines, handing_out(engine, rule, path=path):
        assert is_refusal(given(path, asked_by(unit, name)))
    (line,) = (line for line in lines if line["event"] == "client.denied")
    assert (line["unit"], line["token"], line["log_level"]) == (unit, name, "warning")


@pytest.mark.parametrize(
    "name",
    [
        b"\0deadbeef/unit/bot.service/demo\n",
        b"\0/unit/bot.service/demo",
        b"\x0012345678901234567/unit/bot.service/demo",
        b"\0nothex00/unit/bot.service/demo",
        b"\0deadbeef/unit/bot.service/\xff",
        b"\0deadbeef/unit/bot.service/NO_TOKEN",
    ],
)
def test_a_name_that_may_be_systemds_is_refused_with_more_than_it_accepts(
    engine: FakeEngine, path: Path, name: bytes
) -> None:
    """Closed without data, a unit would start with an empty credential."""
    with handing_out(engine, rule, path=path):
        assert is_refusal(given(path, name))


@pytest.mark.parametrize(
    "name",
    [
        None,
        b"\0deadbeef",
        b"\0deadbeef/unit/bot.service",
        b"\0deadbeef/unit/bot.service/demo/",
        b"\0deadbeef/unit//demo",
        b"\0deadbeef/unit/bot.service/../demo",
        b"\0deadbeef/user/bot.service/demo",
    ],
)
def test_a_client_that_is_not_systemd_is_closed_without_data(
    engine: FakeEngine, path: Path, name: bytes | None
) -> None:
    """No name at all (curl, nc), or one of another shape: a refusal of a megabyte would be a burden."""
    with logged() as lines, handing_out(engine, rule, path=path):
        assert given(path, name) == b""
    assert sum(line["event"] == "client.denied" for line in lines) == 1


@as_root
def test_the_socket_of_a_sink_serves_systemd_and_refuses_it_as_systemd_wants(engine: FakeEngine, path: Path) -> None:
    """LoadCredential= works there too. Another user with such a name is closed without data."""
    with handing_out(engine, lambda engine: readers_rule(engine, AccessPolicy(lambda: ()), "users"), path=path):
        assert given(path, from_systemd()) == RAW.encode()
        assert given_to(STRANGER, path, from_systemd()) == (0, "")
        engine.entries.clear()
        assert is_refusal(given(path, from_systemd()))
        assert given(path) == b""


def test_a_path_as_the_peers_name_is_refused(engine: FakeEngine) -> None:
    """A name in the filesystem is text, not bytes: it is no abstract one, whatever it looks like."""
    with pytest.raises(RefusedError):
        rule(engine)(ROOT, "/deadbeef/unit/bot.service/demo")


@as_root
def test_the_name_is_believed_of_root_and_our_own_user_alone(engine: FakeEngine, path: Path) -> None:
    """Anybody can bind it: the kernel says who did."""
    with handing_out(engine, rule, path=path):
        assert given_to(STRANGER, path, asked_by("bot.service")) == (0, "")
        assert given(path, asked_by("bot.service")) == RAW.encode()
    user = units_rule(engine, own_uid=STRANGER)
    assert user(Peer(STRANGER, frozenset()), asked_by("bot.service")).name == "demo"


def test_many_units_that_are_refused_are_all_reported(engine: FakeEngine, path: Path) -> None:
    """Only systemd can cause these lines: none is held back, as those that anybody can cause are."""
    with logged() as lines, handing_out(engine, rule, path=path):
        for number in range(5):
            given(path, asked_by(f"stranger-{number}.service"))
    assert sum(line["event"] == "client.denied" for line in lines) == 5
