"""Kind ``http`` in the real daemon: a token that is prolonged without a new one."""

import json
import threading
from typing import Any

from tests.daemon.harness import Home, until
from tests.small_server import QuietHandler, serving

TABLE = """
[providers.acme]
kind = "http"
refresh_before = "2s"
secrets = {{ key = {{ file = "s/acme" }} }}
values.sum = {{ hmac = "sha256", key = "key", parts = ["body"] }}
request.method = "POST"
request.url = "URL/session"
request.form = {{ nonce = "{{counter_ms}}" }}
request.headers = {{ X-Sum = "{{sum}}" }}
renew = {{ method = "GET", url = "URL/renew", headers = {{ X-Old = "{{token}}" }}, token_optional = true }}
answer = {{ token = "token", expires_in = "life", extra = {{ site = "site" }} }}

[[providers.acme.sinks]]
kind = "json"
path = "out/acme.json"
on_change = ["/bin/sh", "-c", "echo called >> CALLS"]
"""
FIRST = "obviously-fake-session-token"


class Played:
    """The API: a short session for each counter, and a longer life for each request to renew."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counters: list[int] = []
        self.renewed: list[str] = []

    def session(self, body: str) -> tuple[int, dict[str, Any]]:
        with self.lock:
            self.counters.append(int(body.removeprefix("nonce=")))
            return 200, {"token": f"{FIRST}-{len(self.counters)}", "life": 4, "site": "one"}

    def renew(self, token: str) -> tuple[int, dict[str, Any]]:
        with self.lock:
            self.renewed.append(token)
            return 200, {"life": 7200}


def test_a_prolonged_token_is_written_again_and_nobody_is_told(home: Home) -> None:
    """The generation stays, and so do its members. No output shows a secret."""
    played = Played()

    class Handler(QuietHandler):
        def get(self) -> None:
            self.reply(*played.renew(self.headers["X-Old"]))

        def post(self) -> None:
            self.reply(*played.session(self.rfile.read(int(self.headers["Content-Length"])).decode()))

    with serving(Handler) as url:
        home.secret("acme", "fake-acme-secret")
        calls = home.out("calls")
        home.write(TABLE.replace("URL", url).replace("CALLS", str(calls)))
        daemon = home.start().settled()
        first = daemon.lease("acme")
        assert (first["access_token"], first["extra"]) == (f"{FIRST}-1", {"site": "one"})
        until(calls.exists, "the announcement")
        second = until(lambda: (found := daemon.lease("acme"))["expires_at"] > first["expires_at"] and found, "its end")
        assert (second["access_token"], second["generation"], second["extra"]) == (
            first["access_token"], first["generation"], first["extra"],
        )  # fmt: skip
        assert played.renewed == [f"{FIRST}-1"]
        shown = home.out("acme.json")
        until(lambda: json.loads(shown.read_text())["expires_at"] == second["expires_at"], "the file")
        assert calls.read_text() == "called\n"
        seen = home.log.read_text() + json.dumps(daemon.status()) + daemon.get("/metrics").body.decode()
        for secret in ("fake-acme-secret", FIRST):
            assert secret not in seen


def test_a_trial_beside_the_daemon_sends_no_counter(home: Home) -> None:
    """The daemon would send the same value again. Without a daemon the trial saves it first."""
    played = Played()

    class Handler(QuietHandler):
        def get(self) -> None:
            self.reply(*played.renew(self.headers["X-Old"]))

        def post(self) -> None:
            self.reply(*played.session(self.rfile.read(int(self.headers["Content-Length"])).decode()))

    with serving(Handler) as url:
        home.secret("acme", "fake-acme-secret")
        home.write(TABLE.replace("URL", url).partition("[[providers.acme.sinks]]")[0])
        daemon = home.start().settled()
        daemon.lease("acme")
        until(lambda: bool(played.renewed), "the renewal, after which the token lives for long")
        sent = list(played.counters)
        beside = home.run("check", str(home.config), "--try", "acme")
        assert "its counter is the daemon's, which would send the same value again" in beside.stdout + beside.stderr
        assert played.counters == sent
        assert daemon.end() == 0
        alone = home.run("check", str(home.config), "--try", "acme")
        assert alone.returncode == 0, alone.stdout + alone.stderr
        assert "a token was issued" in alone.stdout
