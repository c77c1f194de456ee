"""Google's token endpoint as the sandbox plays it."""

import time
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest

from tests.providers.private_keys import rsa_pem
from tests.sandbox.player import Answer, Play, Player
from tokend.sandbox.rs256 import private_key_pem

EMAIL = "sandbox@sandbox-project.iam.gserviceaccount.com"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def ask(
    player: Player, *, key: str | None = None, kid: str = "sandbox-key-1", iat: int = 0, exp: int = 3600, **more: Any
) -> Answer:
    """Ask for a token; the times count from now, and None leaves a claim out."""
    now = int(time.time())
    claims = {"iss": EMAIL, "scope": "email", "aud": f"{player.sandbox.url}/google/token", **more}
    payload = {name: value for name, value in claims.items() if value is not None}
    assertion = jwt.encode(
        {**payload, "iat": now + iat, "exp": now + exp}, key or private_key_pem(), algorithm="RS256",
        headers={"kid": kid},
    )  # fmt: skip
    body = urlencode({"grant_type": GRANT, "assertion": assertion}).encode()
    return player.call("POST", "/google/token", body, headers=FORM)


def test_an_access_token_has_googles_life_and_works(play: Play) -> None:
    """One second less than an hour."""
    player = play()
    answer = ask(player)
    assert (answer.status, answer.json["expires_in"], answer.json["token_type"]) == (200, 3599, "Bearer")
    headers = {"Authorization": f"Bearer {answer.json['access_token']}"}
    assert player.call("GET", "/google/userinfo", headers=headers).json["email"] == EMAIL
    player.control("clock", {"skew": 3601})
    assert player.call("GET", "/google/userinfo", headers=headers).status == 401
    assert player.call("GET", "/google/userinfo").status == 401


def test_the_account_acts_for_its_person_only(play: Play) -> None:
    """Domain-wide delegation."""
    player = play(google_ttl=30.0)
    answer = ask(player, sub="person@example.com")
    assert answer.json["expires_in"] == 29
    headers = {"Authorization": f"Bearer {answer.json['access_token']}"}
    assert player.call("GET", "/google/userinfo", headers=headers).json["email"] == "person@example.com"
    refused = ask(player, sub="other@example.com")
    assert (refused.status, refused.json["error"]) == (401, "unauthorized_client")


def test_an_id_token_names_its_audience(play: Play) -> None:
    """The answer has no other member."""
    answer = ask(play(), scope=None, target_audience="https://service.example")
    assert set(answer.json) == {"id_token"}
    claims = jwt.decode(answer.json["id_token"], options={"verify_signature": False})
    assert (claims["aud"], claims["email"], claims["exp"] - claims["iat"]) == ("https://service.example", EMAIL, 3600)


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"key": rsa_pem()}, "invalid_grant", "Invalid JWT Signature."),
        ({"kid": "other"}, "invalid_grant", "Invalid JWT Signature."),
        ({"iss": "other@example.com"}, "invalid_grant", "Invalid grant: account not found"),
        ({"aud": "https://other.example"}, "invalid_grant", "Invalid JWT: Failed audience check."),
        ({"iat": 400, "exp": 4000}, "invalid_grant", "Invalid JWT: Token must be a short-lived token"),
        ({"iat": -7200, "exp": -3600}, "invalid_grant", "Invalid JWT: Token must be a short-lived token"),
        ({"exp": 3700}, "invalid_grant", "Invalid JWT: Token must be a short-lived token"),
        ({"scope": None}, "invalid_scope", "Invalid OAuth scope or ID token audience provided."),
    ],
)
def test_a_wrong_jwt_is_refused_in_googles_words(play: Play, wrong: dict[str, Any], error: str, text: str) -> None:
    """Each by its own reason."""
    answer = ask(play(), **wrong)
    assert (answer.status, answer.json["error"]) == (400, error)
    assert answer.json["error_description"].startswith(text)


def test_other_requests_are_refused(play: Play) -> None:
    """Another grant, another form, another method."""
    player = play()
    for body, headers in ((b"{}", {}), (urlencode({"grant_type": "password"}).encode(), FORM)):
        assert player.call("POST", "/google/token", body, headers=headers).json["error"] == "unsupported_grant_type"
    body = urlencode({"grant_type": GRANT, "assertion": "planted"}).encode()
    assert player.call("POST", "/google/token", body, headers=FORM).json["error"] == "invalid_grant"
    assert player.call("GET", "/google/token").status == 405


def test_the_key_is_handed_out_for_the_address_that_was_asked(play: Play) -> None:
    """The sandbox's own, which protects nothing."""
    player = play(google_client_email="bot@example.com")
    key = player.call("GET", "/google/key.json").json
    assert (key["type"], key["client_email"], key["private_key"]) == (
        "service_account", "bot@example.com", private_key_pem(),
    )  # fmt: skip
    assert key["token_uri"] == f"{player.sandbox.url}/google/token"


def test_faults_are_googles_own(play: Play) -> None:
    """A refusal, one with another code, an outage."""
    player = play()
    for fault, status, error in (
        ({"mode": "reject"}, 400, "invalid_grant"),
        ({"mode": "reject", "code": "invalid_scope"}, 400, "invalid_scope"),
        ({"mode": "error", "code": 503}, 503, "internal_failure"),
        ({"mode": "rate_limit"}, 429, "rate_limit_exceeded"),
    ):
        player.control("behaviour", {"vendor": "google", "count": 1, **fault})
        answer = ask(player)
        assert (answer.status, answer.json["error"]) == (status, error)
