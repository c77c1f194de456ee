"""Rules between the keys of a login."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.providers.http.logging_in import LOGIN, REFRESHED, personal, refreshed


def faults_of(make: Any = personal, **keys: Any) -> dict[str, str]:
    """The faults of settings by the path of their key."""
    try:
        make(**keys)
    except ValidationError as error:
        return {".".join(map(str, one["loc"])): one["msg"].removeprefix("Value error, ") for one in error.errors()}
    return {}


def with_login(**keys: Any) -> dict[str, str]:
    return faults_of(login={key: one for key, one in {**LOGIN, **keys}.items() if one is not None})


@pytest.mark.parametrize(
    ("keys", "place", "text"),
    [
        ({"url": "https://vendor.example/?{nosuch}"}, "login.url", 'no placeholder "nosuch"'),
        ({"url": "https://vendor.example/?{login.code}"}, "login.url", "no placeholder"),
        ({"url": "https://vendor.example/?{body}"}, "login.url", "no placeholder"),
        ({"url": "https://vendor.example/?{sum}"}, "login.url", ""),
        ({"url": "https://vendor.example/?n={counter_ms}"}, "login.url", "counted for requests"),
        ({"url": "http://vendor.example/"}, "login.url", "https"),
        ({"url": "http://169.254.169.254/"}, "login.url", "a browser opens it"),
        ({"redirect_uri": None}, "login.redirect_uri", "it is missing"),
        ({"redirect_uri": "http://app.example/"}, "login.redirect_uri", ""),
        ({"redirect_uri": "https://app.example/{key}"}, "login.redirect_uri", "no placeholder"),
        ({"redirect_uri": "https://app.example/\\u00e9"}, "login.redirect_uri", ""),
        ({"callback": ["other"]}, "login.callback", "request uses none of it: write {login.other} there"),
    ],
)
def test_what_is_wrong_with_a_login_is_said_at_its_key(keys: dict[str, Any], place: str, text: str) -> None:
    """A value that needs what comes back cannot stand in the address that a person opens."""
    found = with_login(**keys)
    assert text in found.get(place, "-"), found


def test_a_login_that_is_right_has_no_fault() -> None:
    """With the secrets in the URL, and with the redirect in it."""
    assert with_login() == {}
    assert with_login(url="https://vendor.example/?b={redirect_uri}&s={state}&t={now_s}", redirect_uri=None) == {}
    assert with_login(callback=["code", "more"]) == {}


def test_a_name_that_only_a_login_brings_is_unknown_without_one() -> None:
    """And in every other request."""
    assert set(faults_of(login=None)) >= {"request.json.code", "values.sum.parts.1"}
    renew = {"method": "GET", "headers": {"X-Code": "{login.code}"}}
    assert set(faults_of(renew=renew)) == {"renew.headers.X-Code"}
    # A table that is wrong in itself is said once.
    assert set(with_login(url="ftp://x")) == {"login.url"}


def test_a_refresh_token_is_for_a_renewal_that_uses_it() -> None:
    """Nobody else sends it."""
    assert faults_of(refreshed) == {}
    without = {**REFRESHED["renew"], "json": {"key": "{key}"}}
    assert set(faults_of(refreshed, renew=without)) == {"answer.refresh_token"}
    assert set(faults_of(refreshed, renew=None)) == {"answer.refresh_token"}
    answer = {"token": "token", "lifetime": "1h"}
    assert set(faults_of(refreshed, answer=answer)) == {"renew.json.again"}
    ends = {**answer, "refresh_expires_in": "x"}
    assert set(faults_of(refreshed, answer=ends, renew=None)) == {"answer.refresh_expires_in"}
    assert set(faults_of(refreshed, request={"json": {"key": "{refresh_token}"}})) == {"request.json.key"}
    unit = {**REFRESHED["answer"], "expires_in": None, "lifetime": "1h", "unit": "h"}
    assert faults_of(refreshed, answer=unit) == {}


def test_where_a_login_is_kept_needs_a_login() -> None:
    """And the key of the file a file."""
    key = {"file": "/etc/tokend/key"}
    assert faults_of(refreshed, login_file="/a/b", login_file_key=key) == {}
    assert faults_of(personal, login_file="/a/b", subject="me") == {}
    assert set(faults_of(refreshed, login_file_key=key)) == {"login_file_key"}
    assert set(faults_of(refreshed, login_file="/a/b", login_file_key={"token": "other"})) == {"login_file_key"}
    bare = {"answer": {"token": "t", "lifetime": "1h"}, "renew": None}
    assert set(faults_of(refreshed, **bare, login_file="/a/b", subject="me")) == {"login_file", "subject"}
