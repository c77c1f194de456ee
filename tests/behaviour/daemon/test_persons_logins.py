"""Logins of persons in the real daemon, at the sandbox's pages: begun, disturbed, finished, ended."""

import html
import json
import re
import signal
import threading
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest

from tests.cli.login.logging_in import NEUTRAL, command
from tests.daemon.harness import PATIENCE_SECONDS, Daemon, Home, metric, until
from tests.daemon.tables import DAEMON
from tokend.sandbox.faults import Behaviour

WEB = """
[providers.web]
kind = "oauth2"
grant = "authorization_code"
issuer = "{url}/oauth2"
client_id = "sandbox-oauth2-client"
client_secret = {{ file = "s/oauth2" }}
scope = ["openid", "read"]
"""
OTHER = WEB.replace("providers.web", "providers.other")
TV = WEB.replace("providers.web", "providers.tv").replace("authorization_code", "device_code")
LOCAL = "http://127.0.0.1:9/"  # the discard port: the test plays the browser's end


def start(home: Home, *tables: str, **more: Any) -> Daemon:
    home.secret("oauth2", "sandbox-oauth2-secret")
    home.write(*tables, **more)
    return home.start()


class _Stay(urllib.request.HTTPRedirectHandler):
    """Do not follow: the address is what the test wants."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def person(url: str, *, account: str = "alice", decision: str = "allow") -> str:
    """Open a page of the sandbox as a person, decide, and return the address at which the browser ends."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)
    page = opener.open(url, timeout=20).read().decode()
    pairs = re.findall(r'<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"', page)
    fields = [(html.unescape(key), html.unescape(value)) for key, value in pairs if key != "account"]
    action = re.search(r'action="([^"]*)"', page)
    assert action is not None, page
    data = urllib.parse.urlencode([*fields, ("account", account), ("decision", decision)]).encode()
    try:
        with opener.open(urllib.parse.urljoin(url, action[1]), data=data, timeout=20) as answer:
            return str(answer.url)
    except urllib.error.HTTPError as error:
        assert error.code in (302, 303), error.read()
        return str(error.headers["Location"])


def begin(daemon: Daemon, name: str = "web", **body: Any) -> dict[str, Any]:
    answer = daemon.ask("POST", f"/v1/tokens/{name}/login", {"redirect_uri": LOCAL, **body})
    assert answer.status == 201, answer.body
    begun: dict[str, Any] = answer.json
    return begun


def finish(daemon: Daemon, begun: dict[str, Any], address: str, name: str = "web") -> Any:
    return daemon.ask("POST", f"/v1/tokens/{name}/login/{begun['login_id']}", {"redirected_to": address})


def logged_in(daemon: Daemon, name: str = "web", **who: str) -> dict[str, Any]:
    """Log in as a person; returns the token."""
    begun = begin(daemon, name)
    done = finish(daemon, begun, person(begun["url"], **who), name)
    assert done.json["state"] == "done", done.body
    return daemon.lease(name)


def test_a_person_logs_in_with_the_command_and_out_again(home: Home) -> None:
    """The token is there at once; after the logout it is withdrawn, and its refresh token is revoked at the server."""
    daemon = start(home, WEB)
    with command(home.socket, "login", "web", "--browser", **NEUTRAL) as running:
        running.shows("Or paste the address")
        found = re.search(r"open\n\n(\S+)\n", running.shown)
        assert found is not None
        address = person(found[1])
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=20).read()
        assert running.ends() == 0
        assert running.shown.endswith("web: logged in as alice\n")
    token = daemon.lease("web")["access_token"]
    assert daemon.row("web")["login"]["subject"] == "alice"
    listed = home.run("login", "--list")
    assert re.fullmatch(r"web  oauth2  of alice, begun \d+ s ago\n", listed.stdout), listed.stdout
    done = home.run("logout", "web")
    assert (done.returncode, done.stdout) == (0, "web: logged out\n")
    assert daemon.get("/v1/tokens/web").status == 503
    asked = home.sandbox.stage.journal.report()
    assert "/oauth2/revoke" in json.dumps(asked)
    text = home.log.read_text() + running.shown
    assert token not in text
    assert "sandbox-code" not in home.log.read_text()


def test_strangers_disturb_nothing(home: Home) -> None:
    """A wrong state, a second browser, another login's address: nothing is sent, and the right address still works."""
    daemon = start(home, WEB, OTHER)
    mine, other = begin(daemon), begin(daemon, "other")
    stranger = person(other["url"], account="mallory")
    before = home.requests("oauth2")
    for address in (stranger, LOCAL + "?code=stolen&state=wrong", LOCAL, "http://127.0.0.1:9/x?error=access_denied"):
        refused = finish(daemon, mine, address)
        assert (refused.status, refused.json["code"]) == (400, "bad_request")
    assert home.requests("oauth2") == before
    right = person(mine["url"])
    assert finish(daemon, mine, right).json["state"] == "done"
    assert finish(daemon, mine, right).status == 400
    assert daemon.row("web")["login"]["subject"] == "alice"
    assert finish(daemon, other, stranger, "other").json["state"] == "done"


def test_a_person_who_denies_and_another_account_change_nothing(home: Home) -> None:
    """The token goes on being served; --other-account is what it takes."""
    daemon = start(home, WEB, OTHER)
    token = logged_in(daemon)["access_token"]
    begun = begin(daemon)
    denied = finish(daemon, begun, person(begun["url"], decision="deny")).json
    assert (denied["state"], "access_denied" in denied["error"]) == ("failed", True)
    begun = begin(daemon)
    refused = finish(daemon, begun, person(begun["url"], account="mallory")).json
    assert (refused["state"], "--other-account" in refused["error"]) == ("failed", True)
    begun = begin(daemon, "other")
    same = finish(daemon, begun, person(begun["url"]), "other").json
    assert "the login of web is of the account alice already" in same["error"]
    assert daemon.lease("web")["access_token"] == token
    begun = begin(daemon, other_account=True)
    assert finish(daemon, begun, person(begun["url"], account="mallory")).json["state"] == "done"
    assert daemon.lease("web")["access_token"] != token
    assert daemon.row("web")["login"]["subject"] == "mallory"


def test_a_reload_in_the_middle_of_a_login_leaves_it_alone_unless_its_client_changes(home: Home) -> None:
    """Meanwhile the status says that a person is logging in, and readers get the token."""
    daemon = start(home, WEB)
    token = logged_in(daemon)["access_token"]
    begun = begin(daemon)
    assert daemon.row("web")["login"]["state"] == "pending"
    assert daemon.lease("web")["access_token"] == token
    home.write(WEB.replace("scope =", 'timeout = "20s"\nscope ='))
    assert home.run("reload").returncode == 0
    assert finish(daemon, begun, person(begun["url"])).json["state"] == "done"
    assert daemon.row("web")["login"]["state"] == "ok"
    begun = begin(daemon)
    address = person(begun["url"])
    home.write(WEB.replace("sandbox-oauth2-client", "another-client"))
    assert home.run("reload").returncode == 0
    failed = finish(daemon, begun, address).json
    assert (failed["state"], "was changed" in failed["error"]) == ("failed", True)


def test_a_login_that_is_being_finished_survives_the_end_of_the_daemon(home: Home) -> None:
    """The answer comes within the few seconds that the daemon has: the next one serves its token."""
    daemon = start(home, WEB)
    begun = begin(daemon)
    address = person(begun["url"])
    held_back = Behaviour("slow", executed=True, delay=60.0, count=1, path="/oauth2/token")
    home.sandbox.stage.faults.set("oauth2", held_back)
    answers: list[Any] = []

    def browse() -> None:
        try:
            answers.append(finish(daemon, begun, address))
        except OSError:
            answers.append(None)  # the daemon has closed the connection

    browser = threading.Thread(target=browse)
    browser.start()
    journal = home.sandbox.stage.journal
    until(lambda: any(one.path == "/oauth2/token" for one in journal.entries("oauth2")), "the code at the server")
    daemon.send(signal.SIGTERM)
    until(lambda: daemon.noted("STOPPING=1"), "the end")
    home.sandbox.stage.faults.set("oauth2", None)  # the answer goes out
    assert daemon.process.wait(PATIENCE_SECONDS) == 0
    browser.join()
    again = home.start()
    assert again.row("web")["login"]["subject"] == "alice"
    assert again.lease("web")["access_token"]


def test_a_device_login_is_polled_by_the_daemon_and_cancelled_by_ctrl_c(home: Home) -> None:
    """The device code stays in the daemon."""
    daemon = start(home, TV)
    with command(home.socket, "login", "tv", **NEUTRAL) as running:
        running.shows("tokend waits until that is done")
        running.process.send_signal(signal.SIGINT)
        assert running.ends() == 130
    with command(home.socket, "login", "tv", SSH_CONNECTION="198.51.100.7 5 203.0.113.5 22") as running:
        running.shows("tokend waits until that is done")
        code = re.search(r"and enter the code\n\s+(\S+)", re.sub(r"\x1b\[[0-9;]*m", "", running.shown))
        assert code is not None
        person(f"{home.sandbox.url}/oauth2/device?user_code={code[1]}")
        assert running.ends() == 0
    assert daemon.lease("tv")["access_token"]


def test_only_the_uid_that_began_it_and_no_web_page_may_touch_a_login(home: Home) -> None:
    """A web page's request is refused before anything is looked at."""
    daemon = start(home, WEB)
    begun = begin(daemon)
    path = f"/v1/tokens/web/login/{begun['login_id']}"
    assert daemon.ask("DELETE", path, None, Origin="https://evil.example").status == 403
    assert daemon.ask("POST", "/v1/tokens/web/login", {"flow": "device"}).status == 405
    assert daemon.ask("POST", "/v1/tokens/web/login", {}).status == 429
    assert daemon.ask("DELETE", path).json["state"] == "failed"
    assert daemon.ask("POST", "/v1/tokens/web/login", {}).status == 201


def test_a_login_that_is_required_is_noted_once(home: Home) -> None:
    """By `notify`, with the command; a restart notes it no more, and the metric has the end of a login."""
    script = f"env | grep ^TOKEND_ | sort | tr '\\n' ' ' >> {home.path}/notices; echo >> {home.path}/notices"
    notify = DAEMON + f"notify = {json.dumps(['sh', '-c', script])}\n"
    daemon = start(
        home, WEB.replace("scope =", 'login_lifetime = "7d"\nlogin_lifetime_from = "login"\nscope ='), daemon=notify
    )
    notices = home.path / "notices"
    until(lambda: notices.exists() and "login_required" in notices.read_text(), "the notice")
    assert "TOKEND_COMMAND=tokend login web" in notices.read_text()
    assert "TOKEND_EVENT=rejected" not in notices.read_text()
    assert daemon.log("login.required")
    daemon.end()
    again = home.start()
    logged_in(again)
    until(lambda: "TOKEND_EVENT=recovered" in notices.read_text(), "the end")
    assert notices.read_text().count("login_required") == 2  # its begin, and the sentence of its end
    week = metric(again, 'tokend_login_expiry_timestamp_seconds{token="web"}')
    assert again.row("web")["login"]["ends_at"] is not None
    assert week > 0


@pytest.mark.parametrize("with_login", [False, True])
def test_a_single_run_starts_no_login_and_says_what_is_required(home: Home, with_login: bool) -> None:
    """4 without a login; 0 with one that is in the state."""
    daemon = start(home, WEB)
    if with_login:
        logged_in(daemon)
    daemon.end()
    before = home.requests("oauth2")
    done = home.run("run", "--once", "--config", str(home.config))
    assert done.returncode == (0 if with_login else 4), done.stderr
    assert ("login.required" in done.stderr) is not with_login
    assert ("tokend login web" in done.stderr) is not with_login
    assert home.requests("oauth2") == before


def test_scopes_that_a_login_lacks_are_named_before_and_after_a_reload(home: Home) -> None:
    """In the plan, in the status, and by `notify`; the granted ones go on. The episode ends with the wish."""
    notices = home.path / "notices"
    script = f'echo "$TOKEND_EVENT, $TOKEND_DETAIL, $TOKEND_COMMAND" >> {notices}'
    notify = DAEMON + f"notify = {json.dumps(['sh', '-c', script])}\n"
    daemon = start(home, WEB, daemon=notify)
    token = logged_in(daemon)
    missing = "scopes missing: write \N{EM DASH} tokend login web"
    home.save(home.path / "more.toml", home.config.read_text().replace('"read"]', '"read", "write"]'))
    planned = daemon.ask("POST", "/v1/reload?dry_run=true", {"path": str(home.path / "more.toml")})
    assert planned.json["plan"] == [{"name": "web", "action": "change", "note": missing}]
    home.write(WEB.replace('"read"]', '"read", "write"]'), daemon=notify)
    until(lambda: f"scopes_missing, {missing}, tokend login web" in notices.read_text(), "the notice")
    assert daemon.row("web")["login"]["scopes_missing"] == ["write"]
    assert daemon.row("web")["note"] == missing
    assert daemon.lease("web")["access_token"] == token["access_token"]
    home.write(WEB, daemon=notify)
    until(lambda: "recovered, scopes: scopes_missing is over" in notices.read_text(), "the end")
