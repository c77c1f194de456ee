"""Logins that nobody can begin, in the real daemon: their refresh token is configured, and a newer one helps."""

import json
from collections.abc import Iterator

import pytest

from tests.daemon.harness import Home, until
from tests.daemon.tables import DAEMON
from tests.small_server import QuietHandler, serving

TABLE = """
[providers.web]
kind = "oauth2"
grant = "refresh_token"
token_url = "{url}/token"
client_id = "fake-client"
refresh_token = {{ file = "./s/refresh" }}
"""


class Handler(QuietHandler):
    """A token endpoint that accepts one refresh token."""

    def get(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if b"fake-refresh-good" in body:
            self.reply(200, {"access_token": "fake-token", "token_type": "bearer", "expires_in": 3600})
        else:
            self.reply(400, {"error": "invalid_grant"})


@pytest.fixture
def url() -> Iterator[str]:
    with serving(Handler) as found:
        yield found


def test_the_advice_is_another_refresh_token_and_never_a_login_that_nobody_can_begin(home: Home, url: str) -> None:
    """Status, get, try, doctor, readiness, notices and the log name the place of the refresh token; it then helps."""
    home.secret("refresh", "fake-refresh-bad")
    notices = home.path / "notices"
    script = f"env | grep ^TOKEND_ | sort | tr '\\n' ' ' >> {notices}; echo >> {notices}"
    home.write(TABLE, url=url, daemon=DAEMON + f"notify = {json.dumps(['sh', '-c', script])}\n")
    daemon = home.start()
    until(lambda: daemon.row("web")["state"] == "login_required", "login_required")
    until(lambda: notices.exists() and "login_required" in notices.read_text(), "the notice")
    remedy = f"put a newer refresh token into refresh_token (file {home.path}/s/refresh)"
    login = daemon.row("web")["login"]
    assert (login["state"], login["command"], login["step"]) == ("required", None, remedy)
    refused = daemon.ask("GET", "/v1/tokens/web")
    assert (refused.status, refused.json["code"], refused.json["detail"]) == (503, "login_required", remedy)
    home.save(home.path / "reply.json", json.dumps({"error": "invalid_grant"}))
    reply = ("--reply", str(home.path / "reply.json"), "--status", "400")
    shown = {
        "status": home.run("status"),
        "get": home.run("get", "web"),
        "refresh": home.run("refresh", "web"),
        "list": home.run("login", "--list"),
        "doctor": home.run("doctor"),
        "try": home.run("try", "web", "--config", str(home.config), *reply),
    }
    for command, done in shown.items():
        said = " ".join((done.stdout + done.stderr).split())
        assert remedy in said, command
        assert "tokend login" not in said, command
    assert (shown["get"].returncode, shown["try"].returncode) == (4, 4)
    assert remedy in daemon.ask("GET", "/readyz").json["reasons"][0]["detail"]
    for text in (notices.read_text(), "\n".join(daemon.log("login.required"))):
        assert remedy in text
        assert "tokend login" not in text
        assert "TOKEND_COMMAND" not in text
    assert "nobody can log in" in home.run("login", "web", "--paste").stderr
    home.secret("refresh", "fake-refresh-good")
    until(lambda: daemon.row("web")["state"] == "valid", "the token of the newer refresh token")
