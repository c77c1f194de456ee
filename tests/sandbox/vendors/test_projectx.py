"""ProjectX as the sandbox plays it."""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.sandbox.player import Answer, Play, Player
from tokend.sandbox import Options

CREDENTIALS = {"userName": "sandbox-user", "apiKey": "sandbox-projectx-key"}


def claims(token: str) -> Any:
    """Read a JWT's claims without checking it."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def login(player: Player, body: Any = CREDENTIALS, **headers: str) -> Answer:
    """Log in."""
    return player.call("POST", "/api/Auth/loginKey", body, headers=headers)


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def test_a_login_answers_with_the_documented_object_and_a_day_in_the_jwt(play: Play) -> None:
    """The documented answer has token, success, errorCode, errorMessage; exp is seconds, 24 h ahead; no iat."""
    answer = login(play())
    assert answer.status == 200
    assert list(answer.json) == ["token", "success", "errorCode", "errorMessage"]
    assert (answer.json["success"], answer.json["errorCode"], answer.json["errorMessage"]) == (True, 0, None)
    found = claims(answer.json["token"])
    assert found["exp"] == pytest.approx(time.time() + 86400, abs=30)
    assert "iat" not in found


def test_the_content_type_follows_accept_although_it_is_always_json(play: Play) -> None:
    """A client that asks for text/plain, as the documentation does, gets JSON under that name."""
    player = play()
    assert login(player, Accept="text/plain").headers["content-type"] == "text/plain; charset=utf-8"
    assert login(player).headers["content-type"] == "application/json; charset=utf-8"


def test_wrong_credentials_are_a_200_with_error_code_three(play: Play) -> None:
    """HTTP 200 is not success."""
    answer = login(play(), {**CREDENTIALS, "apiKey": "wrong"})
    assert (answer.status, answer.json) == (
        200,
        {"token": None, "success": False, "errorCode": 3, "errorMessage": None},
    )


@pytest.mark.parametrize("missing", ["userName", "apiKey"])
def test_a_missing_field_is_a_problem_document_that_names_it(play: Play, missing: str) -> None:
    """ASP.NET validates before the login is tried: 400 ProblemDetails."""
    answer = login(play(), {name: value for name, value in CREDENTIALS.items() if name != missing})
    assert answer.status == 400
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json["errors"] == {missing: [f"The {missing} field is required."]}
    assert (answer.json["status"], answer.json["title"]) == (400, "One or more validation errors occurred.")


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"userName":NaN,"apiKey":"k"}', b"\xff"])
def test_a_body_that_is_no_json_object_is_a_problem_document(play: Play, body: Any) -> None:
    """Malformed JSON is a 400, not a failed login."""
    answer = login(play(), body, **{"Content-Type": "application/json"})
    assert (answer.status, list(answer.json["errors"])) == (400, ["$"])


def test_a_login_that_is_not_json_is_an_unsupported_media_type(play: Play) -> None:
    """The content type must be application/json."""
    assert login(play(), b"{}", **{"Content-Type": "text/plain"}).status == 415


@pytest.mark.parametrize("code", range(1, 11))
def test_every_login_error_code_can_be_asked_for(play: Play, code: Any) -> None:
    """--projectx-error-code answers each login with it."""
    answer = login(play(projectx_error_code=code))
    assert (answer.status, answer.json["success"], answer.json["errorCode"]) == (200, False, code)


def test_the_older_guides_dialect_shows_the_life_in_minutes(play: Play) -> None:
    """expiresIn is minutes, rounded up; a shorter life is in exp."""
    assert login(play(projectx_expires_in_field=True)).json["expiresIn"] == 1440
    answer = login(play(projectx_expires_in_field=True, ttl=30.0)).json
    assert (answer["expiresIn"], "errorCode" in answer) == (1, False)
    assert claims(answer["token"])["exp"] <= time.time() + 31


def test_a_jwt_without_exp_still_works_and_still_ends(play: Play) -> None:
    """The vendor guide's sample token has no exp: the server alone knows when it ends."""
    player = play(no_projectx_exp=True)
    token = login(player).json["token"]
    assert "exp" not in claims(token)
    assert player.call("POST", "/api/Account/search", {}, headers=bearer(token)).status == 200
    player.control("clock", {"skew": 86401})
    assert player.call("POST", "/api/Account/search", {}, headers=bearer(token)).status == 401


def test_the_protected_endpoint_wants_a_bearer_that_has_not_expired(play: Play) -> None:
    """401 without, with a foreign, and with an expired bearer; the capital B is required."""
    player = play(projectx_ttl=60.0)
    token = login(player).json["token"]

    def search(headers: Mapping[str, str]) -> Answer:
        return player.call("POST", "/api/Account/search", {"onlyActiveAccounts": True}, headers=headers)

    assert search(bearer(token)).json["accounts"][0]["canTrade"] is True
    assert search({}).status == 401
    assert search(bearer(token[:-3] + "abc")).status == 401
    player.control("clock", {"skew": 61})
    expired = search(bearer(token))
    assert (expired.status, expired.body) == (401, b"")
    assert expired.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_a_new_login_leaves_the_older_token_valid(play: Play) -> None:
    """Two logins, two tokens, both good."""
    player = play()
    tokens = [login(player).json["token"] for _ in range(2)]
    assert tokens[0] != tokens[1]
    for token in tokens:
        assert player.call("POST", "/api/Account/search", {}, headers=bearer(token)).status == 200


def test_validate_gives_a_new_token_that_works(play: Play) -> None:
    """The default: newToken is fresh."""
    player = play()
    token = login(player).json["token"]
    answer = player.call("POST", "/api/Auth/validate", headers=bearer(token)).json
    assert (answer["success"], answer["errorCode"]) == (True, 0)
    assert answer["newToken"] != token
    assert player.call("POST", "/api/Account/search", {}, headers=bearer(answer["newToken"])).status == 200


def test_validate_can_give_null_or_the_same_token(play: Play) -> None:
    """newToken is nullable, and may be the one that was shown."""
    for wanted in ("null", "same"):
        player = play(projectx_validate=wanted)
        token = login(player).json["token"]
        answer = player.call("POST", "/api/Auth/validate", headers=bearer(token)).json
        assert answer["success"] is True
        assert answer["newToken"] == (token if wanted == "same" else None)


@pytest.mark.parametrize(
    ("wanted", "code"), [("invalid-session", 1), ("session-not-found", 2), ("expired", 3), ("unknown-error", 4)]
)
def test_validate_has_error_codes_of_its_own(play: Play, wanted: str, code: Any) -> None:
    """Numbers are per endpoint: 3 is ExpiredToken here."""
    player = play(projectx_validate=wanted)
    answer = player.call("POST", "/api/Auth/validate", headers=bearer(login(player).json["token"])).json
    assert answer == {"success": False, "errorCode": code, "errorMessage": None, "newToken": None}


def test_validate_with_an_expired_bearer_is_a_401(play: Play) -> None:
    """The bearer is checked before the endpoint is reached."""
    player = play(projectx_ttl=60.0)
    token = login(player).json["token"]
    player.control("clock", {"skew": 61})
    assert player.call("POST", "/api/Auth/validate", headers=bearer(token)).status == 401


def test_logout_ends_this_token_only(play: Play) -> None:
    """Other apps may hold the token: logging out takes it from them."""
    player = play()
    tokens = [login(player).json["token"] for _ in range(2)]
    assert player.call("POST", "/api/Auth/logout", headers=bearer(tokens[0])).json["success"] is True
    statuses = [player.call("POST", "/api/Account/search", {}, headers=bearer(token)).status for token in tokens]
    assert statuses == [401, 200]


def test_too_many_requests_within_a_minute_are_a_429(play: Play) -> None:
    """200 in 60 s by default, logins included; the limit is an option."""
    player = play(projectx_limit=3)
    assert [login(player).status for _ in range(4)] == [200, 200, 200, 429]


def test_a_limit_of_zero_is_no_limit(play: Play) -> None:
    """More requests in a minute than the default allows."""
    player = play(projectx_limit=0)
    assert [player.call("POST", "/api/Auth/validate").status for _ in range(210)] == [401] * 210
    with pytest.raises(ValueError, match="projectx limit -1 is below 0; 0 is no limit"):
        Options(projectx_limit=-1)


def test_accounts_have_every_field_of_the_documented_model(play: Play) -> None:
    """Public clients read all of them."""
    player = play()
    account = {"userName": "sandbox-user", "apiKey": "sandbox-projectx-key"}
    token = player.call("POST", "/api/Auth/loginKey", account).json["token"]
    found = player.call(
        "POST", "/api/Account/search", {"onlyActiveAccounts": True}, headers={"Authorization": f"Bearer {token}"}
    ).json
    assert set(found) == {"accounts", "success", "errorCode", "errorMessage"}
    (first,) = found["accounts"]
    assert {key: type(value) for key, value in first.items()} == {
        "id": int, "name": str, "balance": float, "canTrade": bool, "isVisible": bool, "simulated": bool,
    }  # fmt: skip
