"""Kind ``oauth2`` in the real daemon, against the sandbox's server."""

import json
import signal
from typing import Any
from urllib.parse import urlsplit

from tests.daemon.harness import Daemon, Home, at_home, until
from tests.sandbox.browsing import decide
from tests.sandbox.player import Player

CLIENT = """
[providers.api]
kind = "oauth2"
grant = "client_credentials"
issuer = "{url}/oauth2"
client_id = "sandbox-oauth2-client"
client_secret = {{ file = "s/oauth2" }}
scope = ["read"]
headers = {{ X-Scope = "{{extra.scope}}" }}
answer = {{ extra = {{ scope = "scope" }}, secret_extra = {{ kept = "access_token" }} }}

[[providers.api.sinks]]
kind = "json"
path = "out/api.json"

[[providers.api.sinks]]
kind = "template"
path = "out/api.txt"
template = "{{{{ extra.scope }}}} {{{{ extra.kept == access_token }}}} {{{{ extra }}}}"
"""

REFRESHED = """
[providers.mine]
kind = "oauth2"
grant = "refresh_token"
token_url = "{url}/oauth2/token"
client_id = "sandbox-oauth2-client"
client_secret = {{ file = "s/oauth2" }}
refresh_token = {{ file = "s/first" }}
"""
PERSONAL = """
[providers.person]
kind = "oauth2"
grant = "authorization_code"
issuer = "{url}/oauth2"
device_url = "{url}/oauth2/device_authorization"
client_id = "sandbox-oauth2-app"
scope = ["read"]
redirect_uri = "http://127.0.0.1/callback"
required = false
"""
REDIRECT = "http://127.0.0.1:7/callback"


def test_a_client_gets_a_token_that_the_api_accepts(home: Home) -> None:
    """From the request to the answer for readers, files and templates; changed headers hold at once."""
    home.secret("oauth2", "sandbox-oauth2-secret")
    home.write(CLIENT)
    daemon = home.start().settled()
    lease: dict[str, Any] = daemon.lease("api")
    assert lease["headers"] == {"Authorization": f"Bearer {lease['access_token']}", "X-Scope": "read"}
    assert lease["extra"] == {"scope": "read", "kept": lease["access_token"]}
    shown = json.loads(home.out("api.json").read_text())
    assert (shown["access_token"], shown["extra"]) == (lease["access_token"], {"scope": "read"})
    assert home.out("api.txt").read_text() == "read True {'scope': 'read'}"
    before = home.requests("oauth2")
    home.write(CLIENT.replace("X-Scope", "X-Changed"))
    assert home.run("reload").returncode == 0
    until(lambda: "X-Changed" in daemon.lease("api")["headers"], "the changed header")
    assert daemon.lease("api")["access_token"] == lease["access_token"]
    assert home.requests("oauth2") == before


def witness(home: Home) -> list[dict[str, Any]]:
    """What the server says of the requests for tokens."""
    requests = Player(home.sandbox).control("requests?vendor=oauth2").json["requests"]
    return [one["detail"] for one in requests if one["detail"].get("grant_type")]


def test_a_login_rotates_over_kills_and_no_refresh_token_is_seen() -> None:
    """The strict server sees no reuse. The first refresh token is used once."""
    with at_home() as home:
        home.secret("oauth2", "sandbox-oauth2-secret")
        home.secret("first", "sandbox-refresh-token")
        home.write(REFRESHED)
        daemon = home.start().settled()
        first = until(lambda: daemon.lease("mine"), "a token")["access_token"]
        daemon.end(signal.SIGKILL)
        daemon = home.start().settled()
        assert home.run("refresh", "mine").returncode == 0
        until(lambda: daemon.lease("mine")["access_token"] != first, "another token")
        seen = [(one["refresh_token"], one["new_refresh_token"], one["reuse"]) for one in witness(home)]
        assert seen == [(number, number + 1, False) for number in range(2)]
        shown = home.log.read_text() + json.dumps(daemon.status()) + daemon.get("/v1/tokens/mine").body.decode()
        assert "sandbox-refresh-token" not in shown
        assert "sandbox-rt-" not in shown


def begin(daemon: Daemon, **body: Any) -> dict[str, Any]:
    """Begin a login over the socket."""
    answer = daemon.ask("POST", "/v1/tokens/person/login", body)
    assert answer.status == 201, answer.body
    return dict(answer.json)


def login_of(daemon: Daemon, login_id: str) -> dict[str, Any]:
    return dict(daemon.get(f"/v1/tokens/person/login/{login_id}").json)


def test_a_person_logs_in_with_a_browser_and_out() -> None:
    """Discovery, PKCE, the issuer of the answer, a refresh, revocation; a stranger's address changes nothing."""
    with at_home() as home:
        home.write(PERSONAL)
        daemon, player = home.start(), Player(home.sandbox)
        until(lambda: daemon.row("person"), "the daemon")
        begun = begin(daemon, flow="browser", redirect_uri="http://127.0.0.1:7/")
        place = urlsplit(begun["url"])
        sent_back = decide(player, player.call("GET", f"{place.path}?{place.query}")).headers["location"]
        assert sent_back.startswith(REDIRECT)
        login = f"/v1/tokens/person/login/{begun['login_id']}"
        wrong = daemon.ask("POST", login, {"redirected_to": f"{REDIRECT}?state=planted&code=planted"})
        assert wrong.status == 400
        assert login_of(daemon, begun["login_id"])["state"] == "pending"
        assert daemon.ask("POST", login, {"redirected_to": sent_back}).status == 200
        until(lambda: login_of(daemon, begun["login_id"])["state"] == "done", "the login")
        token = until(lambda: daemon.lease("person"), "a token")["access_token"]
        assert home.run("refresh", "person").returncode == 0
        until(lambda: daemon.lease("person")["access_token"] != token, "a refresh")
        assert [one["grant_type"] for one in witness(home)][:2] == ["authorization_code", "refresh_token"]
        done = daemon.ask("POST", "/v1/tokens/person/logout", {})
        assert done.status == 200, done.body
        assert player.control("oauth2").json["grants"][-1]["ended"] == "revoked"
        assert daemon.get("/v1/tokens/person").status == 503


def test_a_person_logs_in_on_another_device() -> None:
    """The daemon polls; the device code is nowhere to be seen."""
    with at_home(oauth2_device_interval=1.0) as home:
        home.write(PERSONAL)
        daemon, player = home.start(), Player(home.sandbox)
        until(lambda: daemon.row("person"), "the daemon")
        begun = begin(daemon, flow="device")
        shown = player.call("GET", f"/oauth2/device?user_code={begun['user_code']}")
        assert decide(player, shown).status == 200
        until(lambda: login_of(daemon, begun["login_id"])["state"] == "done", "the login")
        assert daemon.lease("person")["headers"]["Authorization"].startswith("Bearer ")
        assert "device_code" not in begun


def test_a_probe_says_whether_the_server_is_the_one_that_is_written(home: Home) -> None:
    """`tokend check --probe`: the metadata, without a secret; a mismatch is exit code 4."""
    home.secret("oauth2", "sandbox-oauth2-secret")
    home.write(CLIENT, PERSONAL, REFRESHED)
    done = home.run("check", "config.toml", "--probe")
    host = home.sandbox.url.removeprefix("http://")
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = f"ok: {host}: the metadata are of the issuer {home.sandbox.url}/oauth2, and have what the settings need"
    assert [line for line in done.stdout.splitlines() if "server" in line] == [
        f"api server: {wanted}", f"person server: {wanted}",
    ]  # fmt: skip
    home.write(CLIENT.replace("/oauth2", "/oauth2/"))
    done = home.run("check", "config.toml", "--probe")
    assert (done.returncode, "must be the same, byte for byte" in done.stdout) == (4, True), done.stdout
    assert witness(home) == []
