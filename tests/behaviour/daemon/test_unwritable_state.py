"""A state that cannot be written: everybody is served all the same, and the operator sees what a restart would lose."""

from tests.daemon.harness import Home, metric, until
from tests.daemon.tables import PARTNER, PX


def test_a_state_that_cannot_be_written_is_reported_by_status_and_metrics_until_it_can(home: Home) -> None:
    """docs/promises.md 53: the directory is gone; then it is there again, and nobody has to do anything."""
    daemon = home.start(PX, PARTNER).settled()
    assert metric(daemon, "tokend_state_unsaved") == 0
    assert "note" not in daemon.row("px")
    tokens = home.path / "state" / "tokens"
    tokens.rename(tokens.with_name("away"))
    done = home.run("refresh", "px")
    assert done.returncode == 0, done.stderr
    note = daemon.row("px")["note"]
    assert note.startswith("a restart would not find what is known now: state of px cannot be written to ")
    assert str(tokens) in note
    assert "note" not in daemon.row("partner")
    assert metric(daemon, "tokend_state_unsaved") == 1
    assert "a restart would not find" in home.run("status", "px").stdout
    assert home.out("bot.env").read_text() == f"JWT_TOKEN={daemon.lease('px')['access_token']}\n"
    tokens.with_name("away").rename(tokens)
    until(lambda: metric(daemon, "tokend_state_unsaved") == 0, "the next try")
    assert "note" not in daemon.row("px")
    assert [line for line in daemon.log("state.saved") if "token=px" in line]
