"""A remote sink in the real daemon: a real store behind a real socket, a secret in a file."""

import json
import sys
from pathlib import Path

from tests.daemon.harness import Home, until
from tests.daemon.tables import DAEMON, PARTNER
from tests.publishing_sinks import PASSWORD, Store, listening

ROOT = Path(__file__).parents[2]
# The kind is in no package: it is put into the table of kinds by the program that starts the daemon.
WITH_STORE = """
import sys
from tests.publishing_sinks import StoreSink
from tokend import kinds
from tokend.daemon import process
kinds.SINKS = kinds.SINKS.including({"store": StoreSink})
sys.exit(process.run("config.toml"))
"""
SINK = """
[[providers.partner.sinks]]
kind = "store"
url = "%s"
key = "app"
auth = {{ file = "./s/store" }}
timeout = "5s"
"""


def test_a_token_arrives_and_a_changed_secret_wakes_the_sink(home: Home) -> None:
    """Refused first; the file with the credential changes, and the token is there at once. No secret in the log."""
    store = Store()
    home.secret("store", "planted-fake-old-password")
    with listening(store) as url:
        home.write(PARTNER, SINK % url)
        daemon = home.start(wrap=(sys.executable, "-c", WITH_STORE), PYTHONPATH=str(ROOT))
        row = until(lambda: (row := daemon.row("partner")["sinks"][1])["state"] == "rejected" and row, "the refusal")
        assert (row["kind"], row["target"], row["path"]) == ("store", "store:app", None)
        assert row["error"] == "store:app: the store answered 403: the credential is not accepted, or may not do this"
        assert daemon.row("partner")["sinks"][0]["state"] == "ok"
        assert daemon.get("/readyz").status == 503
        assert store.requests == ["GET app", "GET app"]
        home.secret("store", PASSWORD)
        daemon.settled()
        assert store.held == {"app": (1, daemon.lease("partner")["access_token"])}
        shown = home.run("status", "partner").stdout
        assert "store-2  store:app, written" in shown
        assert len(daemon.log("sink.written")) == 2
        assert any("target=store:app" in line for line in daemon.log("sink.written"))
        seen = home.log.read_text() + shown + json.dumps(daemon.status()) + daemon.get("/metrics").body.decode()
        for secret in (PASSWORD, "planted-fake-old-password", daemon.lease("partner")["access_token"]):
            assert secret not in seen


def test_a_reload_with_a_missing_secret_is_refused(home: Home) -> None:
    """The file is named, with its place in the configuration; everything runs on."""
    daemon = home.start(PARTNER, wrap=(sys.executable, "-c", WITH_STORE), PYTHONPATH=str(ROOT)).settled()
    home.write(PARTNER, SINK % "http://127.0.0.1:1", daemon=DAEMON)
    refusal = daemon.ask("POST", "/v1/reload")
    assert refusal.status == 422
    [error] = refusal.json["errors"]
    assert error["message"].endswith("/s/store cannot be read: No such file or directory")
    assert daemon.row("partner")["sinks"][0]["state"] == "ok"


def test_a_start_with_a_missing_secret_concerns_the_sink_alone(home: Home) -> None:
    """The token is served and in its other sink. The sink says why it fails, and writes when the file appears."""
    store = Store()
    with listening(store) as url:
        home.write(PARTNER, SINK % url)
        daemon = home.start(wrap=(sys.executable, "-c", WITH_STORE), PYTHONPATH=str(ROOT))
        row = until(lambda: (row := daemon.row("partner")["sinks"][1])["state"] == "failing" and row, "the error")
        assert row["error"] == f"store:app: file {home.path}/s/store cannot be read: No such file or directory"
        until(lambda: daemon.row("partner")["sinks"][0]["state"] == "ok", "the other sink")
        assert daemon.row("partner")["state"] == "valid"
        messages = [one["message"] for one in daemon.row("partner")["warnings"] if one["code"] == "secret_unreadable"]
        assert messages == [f"sinks.1.auth: file {home.path}/s/store cannot be read: No such file or directory"]
        assert store.requests == []
        home.secret("store", PASSWORD)
        until(lambda: daemon.row("partner")["sinks"][1]["state"] == "ok", "the write", seconds=10)
        until(lambda: "secret_unreadable" not in str(daemon.row("partner")["warnings"]), "the end of the warning")
        assert store.held == {"app": (1, daemon.lease("partner")["access_token"])}
