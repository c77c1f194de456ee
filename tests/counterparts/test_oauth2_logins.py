"""Logins at an authorization server that was written by others: rotation, devices, browsers, logout; a whole daemon."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.cli.login.logging_in import command
from tests.cli.running import Running, daemon, short_directory
from tests.counterparts.chromium import Chromium
from tests.counterparts.person import Person
from tests.counterparts.programs import Counterpart, post_form

CONFIG = """
[daemon]
socket = "tokend.sock"
state_directory = "state"

[providers.app]
kind = "oauth2"
grant = "{grant}"
issuer = "{issuer}"
client_id = "app"
scope = ["openid", "offline_access", "read"]
{more}
"""


@contextmanager
def running(server: Counterpart, grant: str, more: str = "", **secrets: str) -> Iterator[Running]:
    """A daemon with one token of the client without a secret."""
    with short_directory() as directory:
        config = directory / "config.toml"
        config.write_text(CONFIG.format(grant=grant, issuer=server.url, more=more))
        for name, value in secrets.items():
            (directory / name).write_text(value)
            (directory / name).chmod(0o600)
        with daemon(config) as started:
            yield started


def works(server: Counterpart, running: Running) -> bool:
    """Whether the server accepts the token that readers get."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(f"{server.url}/me", headers=dict(running.client.get("app").headers))  # noqa: S310
    with opener.open(request, timeout=20) as reply:
        return "sub" in json.loads(reply.read())


def refresh_token_of(running: Running) -> str:
    """The refresh token in the state directory."""
    [record] = (running.directory / "state" / "tokens").glob("app.json")
    found: str = json.loads(record.read_text())["login"]["state"]["login"]["refresh_token"]
    return found


def test_a_login_lives_on_through_refreshes_and_restarts(oidc_provider: Counterpart) -> None:
    """Each refresh token is sent once: a single reuse would destroy the grant at this server."""
    first = post_form(oidc_provider, "/test/grant?client=app")["refresh_token"]
    used = {first}
    with short_directory() as directory:
        config = directory / "config.toml"
        more = 'refresh_token = { file = "first" }'
        config.write_text(CONFIG.format(grant="refresh_token", issuer=oidc_provider.url, more=more))
        (directory / "first").write_text(first)
        (directory / "first").chmod(0o600)
        for _ in range(2):
            with daemon(config) as started:
                started.becomes("app", "valid")
                used.add(refresh_token_of(started))
                assert started.tokend("refresh", "app").code == 0
                assert works(oidc_provider, started)
                used.add(refresh_token_of(started))
        assert len(used) == 4


def test_a_device_code_brings_a_login(oidc_provider: Counterpart) -> None:
    """Address and code are shown; a person allows it elsewhere."""
    with running(oidc_provider, "device_code") as started, command(started.socket, "login", "app", "--device") as login:
        shown = login.shows("tokend waits until")
        found = re.search(r"open\n +(http://\S+)\nand enter the code\n.*?([A-Z]{4}-[A-Z]{4})", shown)
        assert found is not None, shown
        assert "Sign-in Success" in Person("alice").allow(f"{found[1]}?user_code={found[2]}")
        assert login.ends() == 0, login.shown
        assert started.becomes("app", "valid")["login"]["state"] == "ok"
        assert works(oidc_provider, started)


def test_a_browser_brings_a_login_and_logout_revokes_it(oidc_provider: Counterpart) -> None:
    """The browser ends at the command's own address; PKCE is checked by the server. Logout ends it there, too."""
    with running(oidc_provider, "authorization_code") as started:
        with command(started.socket, "login", "app", "--browser", "--no-open") as login:
            back = Person("alice").allow(address_in(login))
            assert back.startswith("http://127.0.0.1:")
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(back, timeout=20) as page:
                assert page.status == 200
            assert login.ends() == 0, login.shown
        started.becomes("app", "valid")
        assert works(oidc_provider, started)
        token = refresh_token_of(started)
        ended = started.tokend("logout", "app")
        assert (ended.code, ended.err) == (0, ""), ended
        refused = post_form(oidc_provider, "/token", grant_type="refresh_token", refresh_token=token)
        assert refused["error"] == "invalid_grant"


def test_a_real_browser_logs_in_and_allows(oidc_provider: Counterpart, chromium: Chromium) -> None:
    """Chromium: the login, the consent, and the page that says that it is done."""
    with running(oidc_provider, "authorization_code") as started:
        with command(started.socket, "login", "app", "--browser", "--no-open") as login:
            chromium.open(address_in(login))
            chromium.type("input[name=login]", "alice")
            chromium.type("input[name=password]", "fake-password")
            chromium.click("button.login-submit")
            chromium.wait_for("!!document.querySelector('input[name=prompt][value=consent]')")
            chromium.click("button.login-submit")
            chromium.wait_for("location.host.startsWith('127.0.0.1') && document.body.innerText.includes('close')")
            assert login.ends() == 0, login.shown
        assert started.becomes("app", "valid")["login"]["subject"] == "alice"
        assert works(oidc_provider, started)


def address_in(login: Any) -> str:
    """The address that a login shows."""
    at = login.listening_at
    assert at.startswith("http://127.0.0.1"), login.shown
    found = re.search(r"http://\S+/auth\?\S+", login.shown)
    assert found is not None, login.shown
    return found[0]
