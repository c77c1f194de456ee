"""Sinks are isolated: nothing else waits for a sink, and no sink causes a request to an upstream."""

import time

from tests.daemon.harness import Home, metric, until
from tests.daemon.tables import PARTNER, PX


def hanging(number: int) -> str:
    table = PARTNER.replace("providers.partner", f"providers.p{number}").replace("partner.jwt", f"p{number}.jwt")
    return table + 'on_change = ["sleep", "60"]\n'


def test_hooks_that_hang_delay_nothing_else(home: Home) -> None:
    """Ten commands of a minute: every other token is written, refreshed and served at once."""
    began = time.monotonic()
    daemon = home.start(*(hanging(number) for number in range(10)), PX, PARTNER)
    daemon.settled()  # their files are written too: a hook comes after the write
    home.secret("partner", "another-partner-secret-of-some-length")
    first = home.out("partner.jwt").read_text()
    until(lambda: home.out("partner.jwt").read_text() != first, "the next token in the file")
    assert daemon.lease("px")
    assert time.monotonic() - began < 40  # the commands have not ended yet
    assert home.requests("projectx") == 1


def test_a_missing_directory_is_reported_and_recovers_by_itself(home: Home) -> None:
    """docs/promises.md 53: log, status and readyz say so; the socket serves; it is written when the directory comes."""
    table = PX.replace("out/bot.env", "later/bot.env")
    daemon = home.start(table, PARTNER)
    assert until(lambda: daemon.lease("px"), "the token")
    row = until(lambda: (row := daemon.row("px")["sinks"][0])["state"] == "failing" and row, "the failure")
    assert row["kind"] == "dotenv"
    assert row["path"] == str(home.path / "later" / "bot.env")
    assert "does not exist" in row["error"]
    assert row["last_success_at"] is None
    assert daemon.log("sink.")
    assert daemon.get("/readyz").status == 503
    assert daemon.row("px")["state"] == "valid"
    until(lambda: any("sink dotenv-1" in note for note in daemon.notes), "STATUS= that says so")
    (home.path / "later").mkdir()
    daemon.settled()
    text = (home.path / "later" / "bot.env").read_text()
    assert text == f"JWT_TOKEN={daemon.lease('px')['access_token']}\n"
    assert daemon.row("px")["sinks"][0]["error"] is None
    assert metric(daemon, 'tokend_sink_writes_total{result="success",sink="dotenv-1",token="px"}') == 1
    assert home.requests("projectx") == 1


def test_a_sink_that_is_not_required_does_not_count(home: Home) -> None:
    """required = false: shown, not awaited."""
    table = PARTNER + '\n[[providers.partner.sinks]]\nkind = "raw"\npath = "nowhere/x"\nrequired = false\n'
    daemon = home.start(table).settled()
    until(lambda: daemon.row("partner")["sinks"][1]["state"] == "failing", "the failure")
    assert daemon.get("/readyz").status == 200
    assert daemon.row("partner")["sinks"][0]["state"] == "ok"


def test_a_template_of_several_tokens_follows_each_of_them(home: Home) -> None:
    """One file for a program that needs two: new when any of them is, and written again after one was forgotten."""
    several = """
[[providers.px.sinks]]
kind = "template"
path = "out/both"
tokens = ["partner"]
template = "{{{{ access_token }}}} {{{{ tokens.partner.access_token }}}}"
"""
    daemon = home.start(PX + several, PARTNER).settled()

    def holds_both() -> bool:
        both = f"{daemon.lease('px')['access_token']} {daemon.lease('partner')['access_token']}"
        return home.out("both").read_text() == both

    until(holds_both, "both tokens in one file")
    first = home.out("both").read_text()
    home.secret("partner", "another-partner-secret-of-some-length")
    until(lambda: home.out("both").read_text() != first and holds_both(), "the other's next token")
    assert home.run("forget", "px").returncode == 0
    until(lambda: home.out("both").exists() and holds_both(), "the token after the forgotten one")
    assert home.requests("projectx") == 2
