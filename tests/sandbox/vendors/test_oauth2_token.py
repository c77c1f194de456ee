"""The token endpoint of the sandbox's OAuth 2 server, by grant type."""

import base64
import json
import time
from typing import Any

import jwt
import pytest

from tests.sandbox.browsing import CLIENT, TOKEN, ask, code_of, post, redeem, refresh, works
from tests.sandbox.player import Play, Player

SECRET = "fake-secret-with-enough-bytes-for-hs256"
BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def claims_of(token: str) -> Any:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_a_token_for_the_client_itself(play: Play) -> None:
    """The documented members, no refresh token, and no cache may keep it."""
    player = play(oauth2_ttl=90.0)
    answer = ask(player, "client_credentials", scope="read")
    assert answer.headers["cache-control"] == "no-store"
    assert {**answer.json, "access_token": "…"} == {
        "access_token": "…", "token_type": "Bearer", "scope": "read", "expires_in": 90,
    }  # fmt: skip
    assert works(player, answer.json["access_token"])
    player.control("clock", {"skew": 91})
    assert not works(player, answer.json["access_token"])


@pytest.mark.parametrize(("form", "shown"), [("string", "3600"), ("none", None)])
def test_expires_in_in_the_forms_that_exist(play: Play, form: str, shown: str | None) -> None:
    """A string, or absent."""
    assert ask(play(oauth2_expires_in=form), "client_credentials").json.get("expires_in") == shown


def test_an_access_token_may_be_a_jwt(play: Play) -> None:
    """With its own end."""
    token = ask(play(oauth2_jwt=True, ttl=60.0), "client_credentials").json["access_token"]
    assert claims_of(token)["exp"] == pytest.approx(time.time() + 60, abs=10)


@pytest.mark.parametrize(
    ("grant_type", "fields", "error"),
    [
        ("password", {}, "unsupported_grant_type"),
        ("", {}, "invalid_request"),
        ("client_credentials", {"scope": "everything"}, "invalid_scope"),
        ("client_credentials", {"resource": "https://other.example"}, "invalid_target"),
        ("refresh_token", {}, "invalid_request"),
        (EXCHANGE, {"subject_token": "x"}, "invalid_request"),
        (EXCHANGE, {"subject_token": "x", "subject_token_type": ACCESS_TOKEN}, "invalid_grant"),
        (BEARER, {"assertion": "x"}, "invalid_grant"),
    ],
)
def test_what_is_wrong_has_oauths_word(play: Play, grant_type: str, fields: dict[str, str], error: str) -> None:
    """Status 400."""
    answer = ask(play(), grant_type, **fields)
    assert (answer.status, answer.json["error"]) == (400, error)


def assertion(player: Player, **changed: Any) -> str:
    claims = {"iss": CLIENT, "sub": "fake-person", "aud": f"{player.sandbox.url}{TOKEN}", "exp": time.time() + 60}
    return jwt.encode({**claims, **changed}, SECRET, "HS256")


def test_an_assertion_is_a_grant(play: Play) -> None:
    """RFC 7523, without client authentication; a stranger's is refused as a grant."""
    player = play(oauth2_client_secret=SECRET)
    got = post(player, TOKEN, {"grant_type": BEARER, "assertion": assertion(player)})
    assert works(player, got.json["access_token"])
    for changed in ({"iss": "stranger"}, {"exp": 1}, {"sub": 7}):
        refused = post(player, TOKEN, {"grant_type": BEARER, "assertion": assertion(player, **changed)})
        assert (refused.status, refused.json["error"]) == (400, "invalid_grant")


def test_a_token_is_exchanged_for_another_of_the_same_person(play: Play) -> None:
    """RFC 8693: of an access token of this server, or of the account's subject token; never for more scopes."""
    player = play()
    own = redeem(player, code_of(player, scope="read")).json["access_token"]
    fields = {"subject_token": own, "subject_token_type": ACCESS_TOKEN}
    got = ask(player, EXCHANGE, **fields).json
    assert (got["issued_token_type"], got["scope"]) == (ACCESS_TOKEN, "read")
    assert ask(player, EXCHANGE, **fields, scope="write").json["error"] == "invalid_scope"
    fixed = ask(player, EXCHANGE, subject_token="sandbox-subject-token", subject_token_type=ACCESS_TOKEN)
    assert works(player, fixed.json["access_token"])


def test_openid_adds_an_id_token_with_subject_and_nonce(play: Play) -> None:
    """And each refresh of it, too."""
    player = play()
    got = redeem(player, code_of(player, scope="openid read", nonce="fake-nonce")).json
    claims = claims_of(got["id_token"])
    assert (claims["sub"], claims["aud"], claims["nonce"]) == ("sandbox-person", "sandbox-oauth2-app", "fake-nonce")
    assert claims["iss"] == f"{player.sandbox.url}/oauth2"
    assert "id_token" not in refresh(player, "sandbox-refresh-token").json
