"""Grants for a login: ends, accounts, scopes."""

import base64
import json
from typing import Any

import pytest

from tests.providers.live import NOW, at
from tests.providers.oauth2.asking import granted
from tests.providers.oauth2.logins import HOURS, NEW, granted_by, login


def jwt(**claims: Any) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b'=').decode()}.x"


@pytest.mark.parametrize(
    ("members", "keys", "seconds"),
    [
        ({}, {}, None),
        ({"refresh_token_expires_in": 60}, {}, 60),
        ({"x_refresh_token_expires_in": "60"}, {}, 60),
        ({"refresh_expires_in": 60}, {}, 60),
        ({"refresh_expires_in": 0}, {}, None),
        ({"refresh_expires_in": -1}, {}, None),
        ({"refresh_expires_in": True}, {}, None),
        ({"refresh_expires_in": "soon"}, {}, None),
        ({"refresh_expires_in": 10**9}, {}, None),
        ({"refresh_expires_in": 60}, {"login_lifetime": "7d"}, 60),
        ({}, {"login_lifetime": "2h"}, HOURS),
        ({}, {"login_lifetime": "2h", "login_lifetime_from": "refresh"}, 2 * HOURS),
        ({"left": 9}, {"answer": {"refresh_expires_in": "left"}}, 9),
    ],
)
def test_the_end_of_the_login(members: dict[str, Any], keys: dict[str, Any], seconds: float | None) -> None:
    """The server's word, else that of the settings: from the login, which was an hour ago, or from now."""
    found = granted_by(granted(refresh_token=NEW, **members), **keys)
    assert found.refresh_ends_at == (None if seconds is None else at(NOW + seconds))
    assert found.token is not None


@pytest.mark.parametrize(
    ("members", "keys", "subject"),
    [
        ({}, {}, None),
        ({"id_token": jwt(sub="ann")}, {}, "ann"),
        ({"id_token": "x.y.z"}, {}, None),
        ({"user": {"id": 7}}, {"answer": {"subject": "user.id"}}, "7"),
        ({"user": True, "id_token": jwt(sub="ann")}, {"answer": {"subject": "user"}}, None),
        ({"user": "a\x1b[2J"}, {"answer": {"subject": "user"}}, None),
    ],
)
def test_the_account_of_the_login(members: dict[str, Any], keys: dict[str, Any], subject: str | None) -> None:
    """Where the settings say, else in an ID token."""
    assert granted_by(granted(**members), **keys).subject == subject


@pytest.mark.parametrize(
    ("scope", "keys", "scopes"),
    [
        ("a b", {}, ("a", "b")),
        ("repo,gist", {}, ("repo", "gist")),
        ("", {}, ()),
        (["a", "b"], {}, ("a", "b")),
        ("a|b", {"scope_separator": "|"}, ("a", "b")),
        ("a b", {"scope_separator": "|"}, ("a", "b")),
        (7, {"scope": ["a"]}, None),
        (None, {"scope": ["a"]}, None),
    ],
)
def test_the_scopes_of_the_login(scope: Any, keys: dict[str, Any], scopes: Any) -> None:
    """Separated by spaces, GitHub's by commas. Without a word a refresh has changed nothing."""
    assert granted_by(granted(scope=scope), kept=login(), **keys).scopes == scopes


@pytest.mark.parametrize(
    ("members", "scopes"),
    [
        ({"scope": "a"}, ("a", "offline_access")),
        ({"scope": "a", "id_token": jwt(sub="x")}, ("a", "openid", "offline_access")),
        ({"scope": "a https://www.googleapis.com/auth/userinfo.email"},
         ("a", "https://www.googleapis.com/auth/userinfo.email", "offline_access", "email")),
        ({"scope": "a offline_access"}, ("a", "offline_access")),
    ],
)  # fmt: skip
def test_scopes_that_a_server_grants_without_naming_them(members: dict[str, Any], scopes: tuple[str, ...]) -> None:
    """Azure's offline_access, Google's long names: nobody has to log in again for them."""
    asked = ["a", "openid", "offline_access", "email", "b"]
    assert granted_by(granted(**members), kept=login(), scope=asked).scopes == scopes
