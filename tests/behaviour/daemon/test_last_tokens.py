"""Logins whose server gives no refresh token, in the real daemon: the token is the last one until its end."""

import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from tests.behaviour.daemon.test_persons_logins import LOCAL, begin, finish
from tests.daemon.harness import Daemon, Home, until
from tests.small_server import QuietHandler, serving

TABLE = """
[providers.web]
kind = "oauth2"
grant = "authorization_code"
authorize_url = "{url}/authorize"
token_url = "{url}/token"
client_id = "fake-client"
client_secret = {{ file = "s/client" }}
"""


class Server:
    """A token endpoint. Each code gets the next token, which lives ``life`` seconds."""

    def __init__(self) -> None:
        self.life = 3600
        self.asked: list[str] = []

    def handler(self) -> type[QuietHandler]:
        server = self

        class Handler(QuietHandler):
            def get(self) -> None:
                server.asked.append(self.path)
                token = f"fake-token-{len(server.asked)}"
                self.reply(200, {"access_token": token, "token_type": "bearer", "expires_in": server.life})

        return Handler


@pytest.fixture
def server(home: Home) -> Iterator[Server]:
    made = Server()
    with serving(made.handler()) as url:
        home.secret("client", "fake-client-secret")
        home.write(TABLE, url=url)
        yield made


def log_in(daemon: Daemon) -> Any:
    """Log in as a person whose browser ends with a code."""
    begun = begin(daemon)
    state = urllib.parse.parse_qs(urllib.parse.urlsplit(begun["url"]).query)["state"][0]
    done = finish(daemon, begun, f"{LOCAL}?code=fake-code&state={state}")
    assert done.json["state"] == "done", done.body
    return daemon.lease("web")


def test_the_token_outlives_a_kill_and_a_program_that_reports_it(home: Home, server: Server) -> None:
    """Nothing is sent but the code; the status has the login's end, and says that the next token takes a person."""
    daemon = home.start()
    until(lambda: daemon.row("web")["state"] == "login_required", "login_required")
    token = log_in(daemon)
    daemon.process.kill()
    daemon.process.wait()
    again = home.start().settled()
    assert again.lease("web") == token
    row = again.row("web")
    assert (row["state"], row["login"]["state"], row["login"]["ends_at"]) == ("valid", "ok", row["expires_at"])
    assert "gave no refresh token" in row["note"]
    report = {"if_generation": token["generation"], "reason": "unauthorized"}
    refused = again.ask("POST", "/v1/tokens/web/refresh", report)
    assert (refused.status, refused.json["code"]) == (503, "token_unavailable")
    assert "tokend login web" in refused.json["detail"]
    assert again.lease("web") == token
    assert home.run("refresh", "web").returncode == 7
    assert (again.row("web")["state"], again.row("web")["reports"]["count"]) == ("valid", 1)
    assert server.asked == ["/token"]


def test_at_the_end_of_the_token_a_login_is_required_and_nothing_is_sent(home: Home, server: Server) -> None:
    """Another login replaces it; a logout ends that one, and serves its token no more, also after a restart."""
    server.life = 1
    daemon = home.start()
    begun = begin(daemon)
    state = urllib.parse.parse_qs(urllib.parse.urlsplit(begun["url"]).query)["state"][0]
    assert finish(daemon, begun, f"{LOCAL}?code=fake-code&state={state}").json["state"] == "done"
    until(lambda: daemon.row("web")["state"] == "login_required" and not daemon.row("web")["valid"], "the end")
    assert home.run("get", "web").returncode == 4
    assert server.asked == ["/token"]
    server.life = 3600
    token = log_in(daemon)
    assert (token["access_token"], daemon.row("web")["state"]) == ("fake-token-2", "valid")
    done = home.run("logout", "web")
    assert (done.returncode, done.stdout) == (0, "web: logged out\n")
    assert daemon.get("/v1/tokens/web").status == 503
    daemon.end()
    again = home.start()
    until(lambda: again.row("web")["state"] == "login_required", "login_required")
    assert again.get("/v1/tokens/web").status == 503
    assert server.asked == ["/token", "/token"]
