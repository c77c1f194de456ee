"""Attempts with given answers: which way a provider is tried, and what comes of the kind's own code."""

from collections.abc import Mapping
from typing import Any

import pytest

from tokend.cli.try_offline.attempt import Tried, Way, WrongWayError, attempt, way_of
from tokend.cli.try_offline.replies import given_reply
from tokend.kinds import PROVIDERS
from tokend.plugin.settings import ProviderSettings
from tokend.values.errors import InvalidParametersError, LoginRefusedError, RejectedError

NOWHERE = {"file": "/nonexistent/secret"}
PROJECTX = {"kind": "projectx", "username": NOWHERE, "api_key": NOWHERE, "refresh": "validate"}
LINKS = {"kind": "auth-token", "client_secret": NOWHERE}
VISITOR = {"clientId": "a", "username": "b", "displayName": "c", "ipAddress": "192.0.2.1"}
CLIENT = {"kind": "oauth2", "token_url": "https://login.example/token", "client_id": "a", "client_secret": NOWHERE}
MACHINE = {**CLIENT, "grant": "client_credentials"}
PERSON = {**CLIENT, "grant": "authorization_code", "authorize_url": "https://login.example/authorize"}
NOTHING: Mapping[str, str] = {}
GRANTED = b'{"access_token": "fake-token", "expires_in": 60, "refresh_token": "fake-refresh"}'


def made(table: dict[str, Any]) -> ProviderSettings:
    """Return the settings of a table."""
    model = PROVIDERS.get(table["kind"])
    assert model is not None
    return model.model_validate(table)


def tried(
    table: dict[str, Any], *bodies: bytes, status: int = 200, way: Way | None = None, given: Mapping[str, str] = NOTHING
) -> Tried:
    """Make an attempt."""
    settings = made(table)
    return attempt(settings, [given_reply(body, status=status) for body in bodies], way_of(settings, way), given)


def methods(attempt: Tried) -> list[tuple[str, str]]:
    """Return what would have been sent."""
    return [(one.request.method, one.request.url) for one in attempt.exchanges]


def test_a_provider_is_tried_as_a_daemon_asks_most_of_the_time() -> None:
    """A fetch, the refresh of a login, an issue; a longer life and a login where they are asked for."""
    assert [way_of(made(one), None) for one in (PROJECTX, MACHINE, PERSON, LINKS)] == [
        "fetch",
        "fetch",
        "refresh",
        "issue",
    ]
    assert way_of(made(PROJECTX), "renew") == "renew"
    assert way_of(made(PERSON), "login") == "login"


@pytest.mark.parametrize(
    ("table", "asked"),
    [({"kind": "jwt", "secret": NOWHERE}, None), (LINKS, "renew"), (LINKS, "login"), (MACHINE, "login")],
)
def test_a_way_that_a_provider_does_not_have_is_said(table: dict[str, Any], asked: Way | None) -> None:
    """A kind that sends nothing, too."""
    with pytest.raises(WrongWayError):
        way_of(made(table), asked)


def test_a_fetch_is_the_kinds_own_code() -> None:
    """Its request, with stand-ins, and its reading of the answer."""
    good = tried(PROJECTX, b'{"success": true, "errorCode": 0, "token": "fake-token"}')
    assert methods(good) == [("POST", "https://api.topstepx.com/api/Auth/loginKey")]
    assert good.exchanges[0].request.body == b'{"userName":"{username}","apiKey":"{api_key}"}'
    assert good.token is not None
    assert good.token.value.reveal() == "fake-token"
    refused = tried(PROJECTX, b'{"success": false, "errorCode": 3}')
    assert isinstance(refused.error, RejectedError)
    assert refused.token is None


def test_a_renewal_begins_with_a_token_that_is_held() -> None:
    """Where it is refused, the request after it has no answer, or the next one."""
    first = tried(PROJECTX, b'{"success": false}', way="renew")
    assert [url.rpartition("/")[2] for _, url in methods(first)] == ["validate", "loginKey"]
    assert first.is_unanswered
    both = tried(PROJECTX, b'{"success": false}', b'{"success": true, "token": "fake-token"}', way="renew")
    assert both.token is not None
    kept = tried(PROJECTX, b'{"success": true, "errorCode": 0}', way="renew")
    assert kept.token is not None
    assert kept.token.value.reveal() == "{token}"


def test_a_login_is_refreshed_with_a_stand_in() -> None:
    """What is granted, what is refused; the token beside a refresh token may be unusable."""
    good = tried(PERSON, GRANTED)
    assert b"refresh_token=%7Brefresh_token%7D" in good.exchanges[0].request.body
    assert good.granted is not None
    assert good.granted.refresh_token is not None
    assert good.token is not None
    assert isinstance(tried(PERSON, b'{"error": "invalid_grant"}', status=400).error, LoginRefusedError)
    half = tried(PERSON, b'{"refresh_token": "fake-refresh", "access_token": "fake\\ntoken", "expires_in": 60}')
    assert half.granted is not None
    assert half.token is None
    assert half.error is not None


def test_a_login_in_a_browser_is_the_exchange_of_a_code() -> None:
    """The address at which the browser ends is made here."""
    good = tried(PERSON, GRANTED, way="login")
    assert b"code=%7Bcode%7D" in good.exchanges[0].request.body
    assert good.granted is not None
    assert tried({**PERSON, "redirect_uri": "https://127.0.0.1:8443/cb?a=1"}, GRANTED, way="login").error is None


@pytest.mark.parametrize("redirect", ["http://127.0.0.1:8400/", "http://127.0.0.1:8400/?state={state}"])
def test_a_login_of_kind_http_brings_the_parameters_that_it_names(redirect: str) -> None:
    """With the state, once."""
    table = {
        "kind": "http",
        "request": {"method": "POST", "url": "https://api.example/token", "form": {"t": "{login.request_token}"}},
        "login": {"url": "https://b.example/?s={state}", "redirect_uri": redirect, "callback": ["request_token"]},
        "answer": {"token": "data.token", "lifetime": "1h"},
    }
    good = tried(table, b'{"data": {"token": "fake-token"}}', way="login")
    assert good.exchanges[0].request.body == b"t=%7Brequest_token%7D"
    assert (good.error, good.bug, good.token is None) == (None, None, False)


def test_an_issue_takes_a_callers_parameters() -> None:
    """They are checked as the daemon checks them, before anything else."""
    good = tried(LINKS, b'{"status": "success", "data": {"token": "fake-token"}}', given=VISITOR)
    assert good.token is not None
    with pytest.raises(InvalidParametersError):
        tried(LINKS, b"{}")


def test_a_bug_of_a_kind_is_its_class_alone() -> None:
    """Its text could quote the answer."""

    class Broken(type(made(PROJECTX))):  # type: ignore[misc]  # a class of this system
        async def fetch(self, *_: object) -> Any:
            raise ZeroDivisionError("fake-secret")

    settings = Broken(username=made(PROJECTX).secrets()["username"], api_key=made(PROJECTX).secrets()["api_key"])
    found = attempt(settings, [given_reply(b"{}")], "fetch", {})
    assert (found.bug, found.error, found.token) == ("ZeroDivisionError", None, None)


HTTP: dict[str, Any] = {
    "kind": "http",
    "secrets": {"key": NOWHERE},
    "request": {"method": "POST", "url": "https://api.example/token", "form": {"k": "{key}"}},
    "answer": {"token": "t", "lifetime": "1h"},
}
WITH_LOGIN = {
    **HTTP,
    "request": {**HTTP["request"], "form": {"c": "{login.c}"}},
    "login": {
        "url": "https://api.example/login?s={state}",
        "redirect_uri": "http://127.0.0.1:5010/",
        "callback": ["c"],
    },
}
REFRESHED = {
    **HTTP,
    "answer": {**HTTP["answer"], "refresh_token": "r"},
    "renew": {"method": "POST", "url": "https://api.example/renew", "form": {"r": "{refresh_token}"}},
}
BY_TOKEN = {**WITH_LOGIN, "renew": {"method": "POST", "url": "https://api.example/renew", "form": {"t": "{token}"}}}


def test_a_login_that_nothing_refreshes_is_tried_as_a_persons() -> None:
    """What the browser brings back has a stand-in each; there is nothing to renew."""
    good = tried(WITH_LOGIN, b'{"t": "fake-token"}')
    assert good.way == "login"
    assert good.exchanges[0].request.body == b"c=%7Bc%7D"
    assert good.token is not None
    with pytest.raises(WrongWayError):
        way_of(made(WITH_LOGIN), "renew")


def test_a_login_that_needs_no_person_is_begun_and_its_refresh_is_asked_for() -> None:
    """The request begins it; --renew is the refresh, with a refresh token or with the token held."""
    begun = tried(REFRESHED, b'{"t": "fake-token", "r": "fake-refresh"}')
    assert (begun.way, methods(begun)) == ("begin", [("POST", "https://api.example/token")])
    assert begun.granted is not None
    refreshed = tried(REFRESHED, b'{"t": "fake-token"}', way="renew")
    assert refreshed.exchanges[0].request.body == b"r=%7Brefresh_token%7D"
    by_token = tried(BY_TOKEN, b'{"t": "fake-token"}')
    assert (by_token.way, by_token.exchanges[0].request.body) == ("refresh", b"t=%7Btoken%7D")
