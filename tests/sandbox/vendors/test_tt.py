"""Trading Technologies as the sandbox plays it."""

import base64
import json
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.sandbox.player import Answer, Play, Player

KEY = {"x-api-key": "sandbox-tt-key"}
FORM = {**KEY, "Content-Type": "application/x-www-form-urlencoded"}
BODY = b"grant_type=user_app&app_key=sandbox-tt-key%3Asandbox-tt-secret"
PATH = "/ttid/ext_uat_cert/token"


def request_id() -> str:
    """A fresh id in TT's form."""
    return f"App-Company--{uuid.uuid4()}"


def post(
    player: Player, body: Any = BODY, *, headers: Mapping[str, str] = FORM, query: str | None = None, path: str = PATH
) -> Answer:
    """Ask for a token."""
    return player.call("POST", f"{path}?{query or 'requestId=' + request_id()}", body, headers=headers)


def users(
    player: Player, token: str, *, scheme: str = "Bearer", env: Any = "ext_uat_cert", query: str | None = None
) -> Answer:
    """Call the protected endpoint."""
    headers = {**KEY, "Authorization": f"{scheme} {token}"}
    return player.call("GET", f"/ttuser/{env}/users?{query or 'requestId=' + request_id()}", headers=headers)


@pytest.mark.parametrize("env", ["ext_uat_cert", "ext_prod_live", "ext_prod_sim"])
def test_a_token_post_answers_as_documented_in_all_environments(play: Play, env: Any) -> None:
    """Status Ok, lower-case bearer, 12 h in seconds."""
    answer = post(play(), path=f"/ttid/{env}/token")
    assert answer.status == 200
    assert list(answer.json) == ["status", "access_token", "token_type", "seconds_until_expiry"]
    assert (answer.json["status"], answer.json["token_type"]) == ("Ok", "bearer")
    assert answer.json["seconds_until_expiry"] == 43200


def test_the_jwt_has_exp_in_seconds_and_expires_in_nanoseconds(play: Play) -> None:
    """Its own exp is seconds, its expires claim nanoseconds, and both mean the same moment."""
    part = post(play(tt_ttl=90.0)).json["access_token"].split(".")[1]
    found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert found["exp"] == pytest.approx(time.time() + 90, abs=10)
    assert found["expires"] / 1e9 == pytest.approx(found["exp"], abs=1.01)


def test_seconds_until_expiry_can_be_a_string(play: Play) -> None:
    """It may be one in the field."""
    assert post(play(tt_seconds_as_string=True)).json["seconds_until_expiry"] == "43200"


def test_a_second_post_within_the_interval_is_a_429_of_the_gateway(play: Play) -> None:
    """At most one token POST per 10 s, retries included."""
    player = play()
    assert post(player).status == 200
    early = post(player)
    assert (early.status, early.json) == (429, {"message": "Too Many Requests"})


def test_a_refused_post_counts_for_the_interval_too(play: Play) -> None:
    """A failed login is a POST like any other."""
    player = play()
    assert post(player, BODY + b"x").status == 401
    assert post(player).status == 429


def test_after_the_interval_the_next_post_is_answered(play: Play) -> None:
    """The interval is an option; a 429 does not extend it."""
    player = play(tt_interval=0.2)
    assert post(player).status == 200
    deadline = time.monotonic() + 20
    while post(player).status == 429:
        assert time.monotonic() < deadline, "the interval never ended"


def test_a_wrong_x_api_key_is_forbidden_by_the_gateway(play: Play) -> None:
    """The header must be the application key."""
    for headers in ({**FORM, "x-api-key": "wrong"}, {"Content-Type": FORM["Content-Type"]}):
        answer = post(play(), headers=headers)
        assert (answer.status, answer.json) == (403, {"message": "Forbidden"})


def test_a_wrong_secret_is_a_fail(play: Play) -> None:
    """TT itself rejects the secret, in its own words."""
    answer = post(play(), b"grant_type=user_app&app_key=sandbox-tt-key%3Awrong")
    assert (answer.status, answer.json["status"]) == (401, "Fail")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"grant_type=user_app",
        b"grant_type=user_app&app_key=sandbox-tt-key:sandbox-tt-secret",
        b"app_key=sandbox-tt-key%3Asandbox-tt-secret&grant_type=user_app",
        b"grant_type=client_credentials&app_key=sandbox-tt-key%3Asandbox-tt-secret",
        BODY + b"&more=1",
        BODY + b"\n",
        b'{"grant_type":"user_app"}',
    ],
)
def test_a_body_that_is_not_exactly_the_documented_form_fails(play: Play, body: Any) -> None:
    """grant_type=user_app&app_key=<key>%3A<secret>, in this order, percent-encoded, and nothing else."""
    answer = post(play(), body)
    assert (answer.status, answer.json["status"]) == (400, "Fail")


def test_a_secret_with_odd_characters_arrives_percent_encoded(play: Play) -> None:
    """The secret may hold what a form must escape."""
    player = play(tt_api_secret="a+b/c=&% é")
    assert post(player, b"grant_type=user_app&app_key=sandbox-tt-key%3Aa%2Bb%2Fc%3D%26%25%20%C3%A9").status == 200


def test_the_content_type_must_be_a_form(play: Play) -> None:
    """JSON is refused."""
    assert post(play(), headers={**KEY, "Content-Type": "application/json"}).status == 400


@pytest.mark.parametrize(
    "query",
    [
        "other=1",
        "requestId=",
        "requestId=App-Company",
        "requestId=App--" + "0" * 32,
        "requestId=App-Company--00000000-0000-1000-8000-000000000000",
        "requestId=Ap%20p-Company--00000000-0000-4000-8000-000000000000",
        "requestId=Ap%40p-Company--00000000-0000-4000-8000-000000000000",
        "requestId=A-C--00000000-0000-4000-8000-000000000000&requestId=A-C--00000000-0000-4000-8000-000000000001",
    ],
)
def test_a_request_id_of_another_form_fails(play: Play, query: str | None) -> None:
    """<app>-<company>--<uuid4>, once, without forbidden characters."""
    answer = post(play(), query=query)
    assert (answer.status, answer.json["status"]) == (400, "Fail")
    assert "requestId" in answer.json["status_message"]


def test_a_request_id_is_good_for_one_call_only(play: Play) -> None:
    """New for every call, the protected ones included."""
    player = play(tt_interval=0.0)
    query = f"requestId={request_id()}"
    token = post(player, query=query).json["access_token"]
    assert post(player, query=query).json == {"status": "Fail", "status_message": "requestId must be unique"}
    assert users(player, token, query=query).status == 400


@pytest.mark.parametrize("path", ["/ttid/EXT_UAT_CERT/token", "/ttid/ext_uat_cert/Token", "/TTID/ext_uat_cert/token"])
def test_the_path_is_in_lower_case(play: Play, path: str) -> None:
    """Any other spelling is no path of TT."""
    assert post(play(), path=path).status == 404


def test_the_protected_endpoint_takes_its_token_with_a_capital_bearer_only(play: Play) -> None:
    """Though the reply says bearer, later calls need Bearer."""
    player = play()
    token = post(player).json["access_token"]
    assert users(player, token).json["status"] == "Ok"
    assert users(player, token, scheme="bearer").status == 401
    assert users(player, token + "x").status == 401
    assert users(player, token, query="none=1").status == 400


def test_a_token_is_for_its_environment(play: Play) -> None:
    """A UAT token opens nothing in production."""
    player = play()
    assert users(player, post(player).json["access_token"], env="ext_prod_live").status == 401


def test_an_expired_token_is_refused(play: Play) -> None:
    """After its life the token is worth nothing."""
    player = play(tt_ttl=60.0)
    token = post(player).json["access_token"]
    player.control("clock", {"skew": 61})
    assert users(player, token).json == {"message": "The incoming token has expired"}


def test_the_documented_redirect_gives_the_token_to_a_get(play: Play) -> None:
    """303, then one GET with the same headers; the ticket works once and is never recorded."""
    player = play(tt_redirect=True)
    seen = post(player)
    location = seen.headers["location"]
    assert (seen.status, seen.body, urlsplit(location).netloc) == (303, b"", "")
    assert player.call("GET", location).status == 403
    assert player.call("POST", location, BODY, headers=FORM).status == 403
    assert player.call("GET", location, headers=KEY).json["status"] == "Ok"
    assert player.call("GET", location, headers=KEY).status == 404
    assert [entry[:2] for entry in player.log("tt")][:2] == [("POST", PATH), ("GET", PATH + "/…")]


@pytest.mark.parametrize(("status", "code"), [("Fail", 200), ("StatusFail", 400)])
def test_a_failing_status_can_be_asked_for(play: Play, status: int, code: Any) -> None:
    """200 or 4xx, Fail or StatusFail."""
    answer = post(play(tt_status=status, tt_status_code=code))
    assert (answer.status, answer.json["status"]) == (code, status)
