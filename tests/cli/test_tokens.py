"""`tokend refresh`, `forget` and `reload`: what changes something, and for whom."""

import json
from collections.abc import Iterator

import pytest

from tests.cli.running import SOMEBODY, Running, as_root, daemon, lines, short_directory, tokend_as, write_config

LOCAL = """\
[daemon]
socket = "tokend.sock"
socket_mode = "0666"
state_directory = "state"

[providers.one]
kind = "jwt"
secret = {{ file = "secrets/partner" }}
ttl = "15m"
claims = {{ clientId = "one" }}
jti = true

[[providers.one.sinks]]
kind = "raw"
path = "one.jwt"
"""
TWO = """
[providers.two]
kind = "jwt"
secret = {{ file = "secrets/partner" }}
claims = {{ clientId = "two" }}
"""


@pytest.fixture
def own() -> Iterator[Running]:
    """A daemon of the test's own, which it may change."""
    with short_directory() as directory, daemon(write_config(directory, LOCAL)) as running:
        running.becomes("one", "valid")
        yield running


def test_refresh_fetches_a_newer_token_and_names_it_by_its_fingerprint(running: Running) -> None:
    """A higher generation than before, and its fingerprint."""
    before = running.row("partner")["generation"]
    done = running.tokend("refresh", "partner")
    assert (done.code, done.err) == (0, "")
    row = running.row("partner")
    assert row["generation"] > before
    name, _, rest = done.out.partition(":")
    assert name == "partner"
    assert rest.startswith(" generation ")


def test_refresh_of_everything_goes_on_after_a_failure(running: Running) -> None:
    """`--all`: every held token, on-demand ones left out; the exit code is the first failure's."""
    running.becomes("refused", "rejected")
    done = running.tokend("refresh", "--all", "-o", "json")
    answer = json.loads(done.out)
    assert answer["version"] == 1
    rows = {row["name"]: row for row in answer["tokens"]}
    assert set(rows) == {"away", "partner", "private", "refused", "topstepx", "tt"}
    assert [name for name, row in rows.items() if not row["ok"]] == ["away", "refused"]
    assert (rows["away"]["code"], rows["refused"]["code"]) == ("token_unavailable", "login_required")
    assert done.code == 7


def test_refresh_of_a_rejected_token_that_is_rejected_again_is_4(running: Running) -> None:
    """A person must act: exit code 4, the reason on stderr."""
    running.becomes("refused", "rejected")
    done = running.tokend("refresh", "refused")
    assert (done.code, done.out) == (4, "")
    assert "InvalidCredentials" in done.err


@pytest.mark.parametrize(
    ("arguments", "code"), [((), 2), (("tt", "--all"), 2), (("nosuch",), 5), (("wallet",), 2), (("a b",), 5)]
)
def test_refresh_of_what_cannot_be_refreshed(running: Running, arguments: tuple[str, ...], code: int) -> None:
    """A name or --all, exactly one of them; unknown is 5, on demand is 2."""
    done = running.tokend("refresh", *arguments)
    assert (done.code, done.out) == (code, "")
    assert done.err


@as_root
def test_a_reader_may_refresh_but_neither_forget_nor_reload(own: Running) -> None:
    """Refreshing is for readers too, within their allowance; the rest is for admins: exit code 6."""
    where = str(own.socket)
    before = own.row("one")["generation"]
    assert tokend_as(SOMEBODY, "refresh", "one", TOKEND_SOCKET=where).code == 0
    assert own.row("one")["generation"] > before
    for arguments in (("forget", "one"), ("reload",), ("reload", "--dry-run")):
        done = tokend_as(SOMEBODY, *arguments, TOKEND_SOCKET=where)
        assert (done.code, done.out) == (6, ""), arguments
        assert "only admins may" in done.err


def test_forget_drops_the_token_and_logs_in_anew(own: Running) -> None:
    """Another token follows; who asks for what cannot be forgotten is told."""
    before = own.client.get("one")
    done = own.tokend("forget", "one")
    assert (done.code, done.out) == (0, "one: forgotten; a new login follows\n")
    assert (own.becomes("one", "valid")["generation"] or 0) > (before.generation or 0)
    assert own.tokend("forget", "nosuch").code == 5


def test_an_on_demand_token_cannot_be_forgotten(running: Running) -> None:
    """Nothing of it is kept: exit code 2."""
    assert running.tokend("forget", "wallet").code == 2


def test_reload_prints_the_plan_and_applies_it(own: Running) -> None:
    """`--dry-run` only prints; without it the plan is in force when the command ends."""
    assert own.tokend("reload").out == "nothing changed\n"
    assert own.tokend("reload", "--dry-run").out == "nothing would change\n"
    write_config(own.directory, LOCAL + TWO)
    assert lines(own.tokend("reload", "--dry-run").out) in (["add      two"], ["nothing would change"])
    assert own.tokend("reload").code == 0  # the file watch may have been quicker
    assert own.row("two")["kind"] == "jwt"


def test_a_refused_reload_is_2_and_shows_every_error(own: Running) -> None:
    """Each error with its place on stderr, exit code 2, everything goes on as before; `status` shows it too."""
    write_config(own.directory, LOCAL.replace('"15m"', "15") + "oops = 1\n")
    done = own.tokend("reload")
    assert (done.code, done.out) == (2, "")
    places = [line for line in lines(done.err) if line.startswith(f"{own.config}:")]
    assert len(places) == 2
    assert "oops" in done.err
    assert lines(done.err)[-1] == "tokend: the configuration was refused; everything goes on as before"
    assert own.row("one")["valid"]
    said = own.tokend("status").out
    assert "a newer one was refused:" in said
    assert all(place in said for place in places)
