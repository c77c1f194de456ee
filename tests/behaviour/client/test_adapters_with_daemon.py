"""The adapters with a real daemon and the sandbox: a refused token is replaced once, however many report it."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.client.adapters import ADAPTERS, Adapter, Call
from tests.daemon.harness import Daemon, Home, at_home
from tokend.client import TokenClient
from tokend.sandbox.vendors.projectx import ACCOUNTS, LOGIN, LOGOUT

TABLE = """
[providers.tt]
kind = "projectx"
base_url = "{url}"
username = {{ env = "PROJECTX_USER" }}
api_key = {{ env = "PROJECTX_KEY" }}
headers = {{ x-app = "fake-app" }}
"""
DAY_SECONDS = 86_400
HUNDRED = 100


@pytest.fixture(scope="module")
def home() -> Iterator[tuple[Home, Daemon]]:
    """A daemon that holds one ProjectX token, called tt."""
    with at_home(projectx_limit=100_000) as home:
        account = home.sandbox.stage.vendors["projectx"].credentials
        home.environ = {"PROJECTX_USER": account["username"], "PROJECTX_KEY": account["api_key"]}
        yield home, home.start(TABLE).settled()


def logins(home: Home) -> int:
    return sum(entry.path == LOGIN for entry in home.sandbox.stage.journal.entries("projectx"))


def post(home: Home, path: str, body: object, **headers: str) -> None:
    answer = httpx.post(home.sandbox.url + path, json=body, headers=headers, trust_env=False)
    assert answer.status_code == 200


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_hundred_programs_whose_token_was_revoked_cause_one_login(
    home: tuple[Home, Daemon], adapter: Adapter
) -> None:
    """Logged out at the server: a hundred 401 at once, one login, a hundred answers. A retry each, at most."""
    here, _ = home
    client = TokenClient(str(here.socket))
    old, before = client.get("tt"), logins(here)
    post(here, LOGOUT, {}, **old.headers)
    url = here.sandbox.url + ACCOUNTS
    call = Call(url, "POST", b'{"onlyActiveAccounts": true}', headers={"Content-Type": "application/json"})
    found = adapter(str(here.socket), [call] * HUNDRED)
    assert [answer.status for answer in found] == [200] * HUNDRED
    assert all(json.loads(answer.body)["success"] for answer in found)
    assert logins(here) == before + 1
    assert (client.get("tt").generation or 0) > (old.generation or 0)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_token_that_expired_by_the_servers_clock_is_replaced(adapter: Adapter) -> None:
    """The server is two days ahead: expired there, valid here. One report, one retry, and the offset is learned."""
    with at_home() as here:
        account = here.sandbox.stage.vendors["projectx"].credentials
        here.environ = {"PROJECTX_USER": account["username"], "PROJECTX_KEY": account["api_key"]}
        here.start(TABLE).settled()
        post(here, "/_sandbox/clock", {"skew": 2 * DAY_SECONDS})
        call = Call(here.sandbox.url + ACCOUNTS, "POST", b"{}", headers={"Content-Type": "application/json"})
        assert [answer.status for answer in adapter(str(here.socket), [call])] == [200]
        asked = [(entry.path, entry.status) for entry in here.sandbox.stage.journal.entries("projectx")]
        assert asked[-3:] == [(ACCOUNTS, 401), (LOGIN, 200), (ACCOUNTS, 200)]
