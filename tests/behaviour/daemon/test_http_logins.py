"""Logins of kind `http` in the real daemon, with the real `tokend login`, at a vendor that this file plays."""

import hashlib
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.behaviour.daemon.test_persons_logins import begin, finish
from tests.cli.login.logging_in import NEUTRAL, command
from tests.daemon.harness import Daemon, Home, until
from tests.small_server import QuietHandler, serving

KEY, SECRET = "fake-api-key", "fake-api-secret"
REQUEST = """
[providers.web]
kind = "http"
{more}
[providers.web.secrets]
api_key = {{ file = "s/key" }}
api_secret = {{ file = "s/secret" }}
[providers.web.request]
method = "POST"
url = "{url}/session/token"
headers = {{ X-Version = "3" }}
form = {{ api_key = "{{api_key}}", request_token = "{{login.request_token}}", checksum = "{{checksum}}" }}
[providers.web.values.checksum]
hash = "sha256"
parts = ["api_key", "login.request_token", "api_secret"]
output = "hex"
[providers.web.answer]
token = "data.access_token"
expires_in = "data.life"
subject = "data.user"
"""
LOGIN = """
[providers.web.login]
url = "{url}/connect?v=3&api_key={{api_key}}&redirect_params=state%3D{{state}}"
redirect_uri = "{redirect}"
callback = ["request_token"]
"""
HEADERS = 'headers = { Authorization = "token {api_key}:{token}", X-Version = "3" }'
REFRESH = """
refresh_token = "data.again"
[providers.web.renew]
method = "POST"
url = "{url}/session/refresh"
form = {{ again = "{{refresh_token}}", old = "{{token}}" }}
"""
MACHINE = """
[providers.web]
kind = "http"
[providers.web.secrets]
api_key = {{ file = "s/key" }}
[providers.web.request]
method = "POST"
url = "{url}/session/password"
json = {{ password = "{{api_key}}" }}
[providers.web.answer]
token = "data.access_token"
expires_in = "data.life"
refresh_token = "data.again"
[providers.web.renew]
method = "POST"
url = "{url}/session/refresh"
form = {{ again = "{{refresh_token}}", old = "{{token}}" }}
"""


class Vendor:
    """The vendor: ``life`` is that of a token, ``gives`` whether there is a refresh token, ``user`` who logs in."""

    def __init__(self) -> None:
        self.life, self.gives, self.user = 3600, False, "alice"
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.valid: set[str] = set()
        self.made = 0

    def count(self, path: str) -> int:
        return sum(one == path for one, _ in self.asked)

    def _grant(self) -> dict[str, Any]:
        self.made += 1
        data: dict[str, Any] = {"access_token": f"fake-token-{self.made}", "life": self.life, "user": self.user}
        if self.gives:
            data["again"] = f"fake-refresh-{self.made}"
            self.valid.add(data["again"])
        return {"data": data}

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, object]:
        """Answer a POST."""
        self.asked.append((path, form))
        if path == "/session/token":
            whole = hashlib.sha256(f"{KEY}{form['request_token']}{SECRET}".encode()).hexdigest()
            is_right = (form["api_key"], form["checksum"]) == (KEY, whole)
            return (200, self._grant()) if is_right else (403, {"error": "checksum"})
        if path == "/session/refresh":
            if form["again"] not in self.valid or form["old"] != f"fake-token-{self.made}":
                return 401, {"error": "refresh token"}
            self.valid.discard(form["again"])
        return 200, self._grant()

    def handler(self) -> type[QuietHandler]:
        vendor = self

        class Handler(QuietHandler):
            def get(self) -> None:
                vendor.asked.append((self.path, {}))
                self.reply(404, {})

            def post(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = dict(urllib.parse.parse_qsl(body))
                self.reply(*vendor.answer(self.path, form))

        return Handler


@pytest.fixture
def vendor(home: Home) -> Iterator[Vendor]:
    made = Vendor()
    home.secret("key", KEY)
    home.secret("secret", SECRET)
    with serving(made.handler()) as url:
        made.url = url  # type: ignore[attr-defined]
        yield made


def write(home: Home, vendor: Any, *tables: str, redirect: str = "http://127.0.0.1:9/", more: str = HEADERS) -> None:
    text = "".join(tables).format(url=vendor.url, redirect=redirect, more=more)
    home.write(text.replace("{", "{{").replace("}", "}}"))


def person(url: str, brought: str = "fake-request-token") -> str:
    """Log in at the vendor's page; returns where the browser ends."""
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    assert query["api_key"] == KEY
    back = query.get("redirect_params", "")
    return f"http://127.0.0.1:9/?action=login&status=success&request_token={brought}" + (f"&{back}" if back else "")


def logged_in(daemon: Daemon) -> Any:
    begun = begin(daemon, redirect_uri=None)
    done = finish(daemon, begun, person(begun["url"]))
    assert done.json["state"] == "done", done.body
    return daemon.lease("web")


def test_a_person_logs_in_by_the_command_and_the_token_is_there_until_its_end(home: Home, vendor: Vendor) -> None:
    """The checksum is made of what the browser brought; nothing of it is in the log, in the state or in the status."""
    write(home, vendor, REQUEST, LOGIN, redirect="http://127.0.0.1:9/")
    daemon = home.start()
    until(lambda: daemon.row("web")["state"] == "login_required", "login_required")
    with command(home.socket, "login", "web", "--paste", **NEUTRAL) as running:
        running.shows("paste it here")
        found = re.search(r"open\n\n(\S+)\n", running.shown)
        assert found is not None
        running.types(person(found[1]) + "\n")
        assert running.ends() == 0, running.shown
        assert running.shown.endswith("web: logged in as alice\n")
    token = daemon.lease("web")
    assert token["headers"] == {"Authorization": f"token {KEY}:fake-token-1", "X-Version": "3"}
    daemon.process.kill()
    daemon.process.wait()
    again = home.start().settled()
    assert again.lease("web") == token
    row = again.row("web")
    assert (row["login"]["state"], row["login"]["subject"], row["login"]["ends_at"]) == (
        "ok",
        "alice",
        row["expires_at"],
    )
    assert [path for path, _ in vendor.asked] == ["/session/token"]
    kept = b"".join(one.read_bytes() for one in (home.path / "state").rglob("*") if one.is_file())
    for text in (kept, home.log.read_bytes()):
        assert b"fake-request-token" not in text
        assert SECRET.encode() not in text
    done = home.run("logout", "web")
    assert (done.returncode, again.get("/v1/tokens/web").status) == (0, 503)


def test_a_browser_brings_the_address_where_the_vendor_is_told_where_the_command_listens(
    home: Home, vendor: Vendor
) -> None:
    """A stranger's address is refused, and the right one still finishes the login."""
    told = LOGIN.replace("redirect_params", "back={{redirect_uri}}&redirect_params").replace(
        'redirect_uri = "{redirect}"\n', ""
    )
    write(home, vendor, REQUEST, told)
    home.start()
    with command(home.socket, "login", "web", "--browser", **NEUTRAL) as running:
        listening = running.listening_at.rstrip("…")
        found = re.search(r"open\n\n(\S+)\n", running.shown)
        assert found is not None
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with pytest.raises(urllib.error.HTTPError):
            opener.open(f"{listening}?request_token=stolen&state=another", timeout=20)
        assert vendor.asked == []
        opener.open(person(found[1]).replace("http://127.0.0.1:9/", listening), timeout=20).read()
        assert running.ends() == 0, running.shown
    assert [path for path, _ in vendor.asked] == ["/session/token"]


@pytest.mark.parametrize("says", ["yes", "no"])
def test_without_a_state_the_address_is_pasted_and_the_account_confirmed(home: Home, vendor: Vendor, says: str) -> None:
    """Nothing is published before that, and nothing after a no."""
    write(home, vendor, REQUEST, LOGIN.replace("&redirect_params=state%3D{{state}}", ""))
    daemon = home.start()
    refused = home.run("login", "web", "--browser")
    assert (refused.returncode, "only --paste" in refused.stderr) == (2, True)
    with command(home.socket, "login", "web", **NEUTRAL) as running:
        running.shows("paste it here")
        found = re.search(r"open\n\n(\S+)\n", running.shown)
        assert found is not None
        running.types(person(found[1]) + "\n")
        running.shows("of the account alice")
        assert daemon.get("/v1/tokens/web").status == 503
        running.types(f"{says}\n")
        assert running.ends() == (0 if says == "yes" else 4), running.shown
    assert daemon.get("/v1/tokens/web").status == (200 if says == "yes" else 503)
    assert vendor.count("/session/token") == 1


def test_a_login_with_a_refresh_token_rotates_over_a_kill(home: Home, vendor: Vendor) -> None:
    """By `renew`, with the old token; a dead one ends in login_required, and the token stays until its end."""
    vendor.gives = True
    write(home, vendor, REQUEST, REFRESH, LOGIN, more=HEADERS + '\nmin_interval = "1s"')
    daemon = home.start()
    first = logged_in(daemon)
    assert home.run("refresh", "web").returncode == 0
    assert vendor.asked[-1] == ("/session/refresh", {"again": "fake-refresh-1", "old": "fake-token-1"})
    assert daemon.lease("web")["generation"] > first["generation"]
    daemon.process.kill()
    daemon.process.wait()
    again = home.start().settled()
    assert again.lease("web")["access_token"] == "fake-token-2"
    until(lambda: home.run("refresh", "web").returncode == 0, "a refresh")
    assert vendor.asked[-1][1]["again"] == "fake-refresh-2"
    vendor.valid.clear()
    home.run("refresh", "web")  # the first refusal of a refresh token that was accepted may be a surprise
    until(lambda: again.row("web")["state"] == "login_required", "the end")
    assert again.lease("web")["access_token"] == "fake-token-3"
    assert "fake-refresh" not in home.log.read_text()
    assert "fake-refresh" not in again.get("/v1/status").body.decode()


def test_a_login_that_the_credentials_begin_needs_no_person(home: Home, vendor: Vendor) -> None:
    """A refused refresh is followed by the full request, in the same attempt."""
    vendor.gives = True
    write(home, vendor, MACHINE)
    daemon = home.start().settled()
    assert daemon.row("web")["login"] is None
    until(lambda: home.run("refresh", "web").returncode == 0, "a refresh")
    vendor.valid.clear()
    until(lambda: home.run("refresh", "web").returncode == 0, "the full request")
    assert (daemon.row("web")["state"], daemon.row("web")["failures"]) == ("valid", 0)
    paths = [path for path, _ in vendor.asked]
    assert paths == ["/session/password", "/session/refresh", "/session/refresh", "/session/password"]
    refused = home.run("logout", "web")
    assert refused.returncode != 0
    assert "no login to end" in refused.stderr
