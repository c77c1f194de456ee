"""`tokend refresh`: a newer token, for readers too, and the exit code of the first failure."""

import json

import pytest

from tests.cli.running import (
    SECRETS,
    SOMEBODY,
    Running,
    as_root,
    daemon,
    short_directory,
    tokend_as,
    write_config,
)
from tokend.sandbox import Options, start


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
    assert rows["partner"]["expires_at"] == running.row("partner")["expires_at"]
    assert rows["partner"]["refresh_at"] == running.row("partner")["refresh_at"]
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


WRONG_LINKS = """
[daemon]
socket = "tokend.sock"
state_directory = "state"

[providers.links]
kind = "auth-token"
base_url = "{url}"
client_secret = {{ file = "secrets/wrong" }}
"""
USER = ("clientId=C1", "username=ann", "displayName=Ann", "ipAddress=192.0.2.7")


def test_refresh_lets_rejected_credentials_of_an_on_demand_token_be_tried_again() -> None:
    """Status names the probe and the command, and the command works; with nothing rejected it is a 2."""
    with (
        short_directory() as directory,
        start(Options()) as sandbox,
        daemon(write_config(directory, WRONG_LINKS, url=sandbox.url)) as own,
    ):
        assert own.tokend("refresh", "links").code == 2
        assert [own.tokend("issue", "links", *USER).code for _ in range(3)] == [7, 4, 4]
        shown = own.tokend("status", "links").out
        assert "links (auth-token): rejected" in shown
        assert "the next `tokend issue` is sent in 4 min" in shown
        assert "or after `tokend refresh links`" in shown
        done = own.tokend("refresh", "links")
        assert (done.code, done.out) == (0, "links: the next `tokend issue links` tries the credentials again\n")
        assert own.row("links")["state"] == "on_demand"
        assert own.tokend("issue", "links", *USER).code == 4
        answer = json.loads(own.tokend("refresh", "--all", "-o", "json").out)
        assert answer["tokens"] == [{"name": "links", "ok": True, "generation": None, "fingerprint": None}]
        (directory / "secrets" / "wrong").write_text(SECRETS["xerve"])
        assert own.tokend("issue", "links", *USER).code == 0
