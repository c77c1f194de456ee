"""The OAuth 2 server of the sandbox: its paths, faults and journal."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from http.client import HTTPException

import pytest

from tests.sandbox.browsing import FORM, TOKEN, ask, basic, post, refresh, works
from tests.sandbox.player import DEADLINE_SECONDS, Play

FIRST = "sandbox-refresh-token"


def test_the_protected_resource_says_where_to_ask(play: Play) -> None:
    """401 with the address of its metadata (RFC 9728); with a token it names whose it is."""
    player = play()
    refused = player.call("GET", "/oauth2/api")
    address = f"{player.sandbox.url}/.well-known/oauth-protected-resource/oauth2/api"
    assert (refused.status, f'resource_metadata="{address}"' in refused.headers["www-authenticate"]) == (401, True)
    token = ask(player, "client_credentials").json["access_token"]
    shown = player.call("GET", "/oauth2/api", headers={"Authorization": f"Bearer {token}"})
    assert shown.json == {"sub": "sandbox-oauth2-client", "client_id": "sandbox-oauth2-client", "scope": "read write"}


def test_a_get_of_the_token_path_is_harmless(play: Play) -> None:
    """405 and no use of anything; a POST without parameters as well."""
    player = play()
    assert player.call("GET", TOKEN).status == 405
    assert (player.call("POST", TOKEN).status, player.call("POST", TOKEN).json["error"]) == (400, "invalid_request")
    assert [entry["refresh_token"] for entry in player.control("oauth2").json["grants"]] == [0]


def test_a_token_that_was_revoked_is_of_no_use(play: Play) -> None:
    """A refresh token takes its grant along (RFC 7009); one that is not known is answered like one that was."""
    player = play()
    got = refresh(player, FIRST).json
    assert post(player, "/oauth2/revoke", {"token": "unknown"}, **basic()).status == 200
    assert works(player, got["access_token"])
    assert post(player, "/oauth2/revoke", {"token": got["refresh_token"]}, **basic()).status == 200
    assert not works(player, got["access_token"])
    assert refresh(player, got["refresh_token"]).json["error"] == "invalid_grant"
    assert post(player, "/oauth2/revoke", {}, **basic()).json["error"] == "invalid_request"
    assert post(player, "/oauth2/revoke", {"token": got["refresh_token"]}).status == 401


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"mode": "lost"}, 0),
        ({"mode": "truncated"}, 200),
        ({"mode": "error", "code": 502, "executed": True}, 502),
        ({"mode": "garbage", "executed": True}, 200),
    ],
)
def test_an_answer_that_is_lost_after_the_rotation_leaves_a_witness(
    play: Play, fault: dict[str, object], status: int
) -> None:
    """The journal says that the refresh token was used, and which one is the newest; the next use is a reuse."""
    player = play()
    player.control("behaviour", {"vendor": "oauth2", "count": 1, **fault})
    if fault["mode"] in {"lost", "truncated"}:
        with pytest.raises((OSError, HTTPException)):
            refresh(player, FIRST)
    else:
        assert b"sandbox-rt-" not in refresh(player, FIRST).body
    assert refresh(player, FIRST).json["error"] == "invalid_grant"
    first, second = player.control("requests?vendor=oauth2").json["requests"]
    assert (first["fault"], first["status"]) == (fault["mode"], status)
    assert first["detail"] == {
        "grant_type": "refresh_token", "client_auth": "client_secret_basic", "grant": 1, "refresh_token": 0,
        "latest": 0, "reuse": False, "new_refresh_token": 1, "answer": "granted",
    }  # fmt: skip
    assert (second["detail"]["reuse"], second["detail"]["answer"]) == (True, "invalid_grant")
    assert player.control("oauth2").json["grants"][0]["ended"] == "reuse"


@pytest.mark.parametrize(
    "fault", [{"mode": "reset"}, {"mode": "garbage"}, {"mode": "error"}, {"mode": "rate_limit", "retry_after": "9"}]
)
def test_a_fault_before_the_request_is_executed_uses_nothing(play: Play, fault: dict[str, object]) -> None:
    """The same refresh token is good afterwards."""
    player = play()
    player.control("behaviour", {"vendor": "oauth2", "count": 1, **fault})
    with pytest.raises(OSError) if fault["mode"] == "reset" else nullcontext():
        refresh(player, FIRST)
    assert refresh(player, FIRST).status == 200


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        (None, 400, "invalid_grant"),
        ("invalid_client", 401, "invalid_client"),
        ("server_error", 500, "server_error"),
        ("interaction_required", 400, "interaction_required"),
        (403, 403, "invalid_grant"),
    ],
)
def test_each_error_of_oauth_can_be_asked_for(play: Play, code: object, status: int, error: str) -> None:
    """By its name, or by a status."""
    player = play()
    player.control("behaviour", {"vendor": "oauth2", "mode": "reject", "code": code})
    answer = refresh(player, FIRST)
    assert (answer.status, answer.json["error"]) == (status, error)


def test_errors_with_status_200_as_some_servers_send_them(play: Play) -> None:
    """The body says so."""
    answer = refresh(play(oauth2_errors_as_200=True), "unknown")
    assert (answer.status, answer.json["error"]) == (200, "invalid_grant")


@pytest.mark.parametrize(
    ("encoding", "body", "query", "headers"),
    [
        ("json", json.dumps({"grant_type": "client_credentials"}).encode(), "", {"Content-Type": "application/json"}),
        ("query", None, "?grant_type=client_credentials", {}),
    ],
)
def test_other_encodings(play: Play, encoding: str, body: bytes | None, query: str, headers: dict[str, str]) -> None:
    """Some servers want JSON, others a GET; a form is refused then."""
    player = play(oauth2_encoding=encoding)
    method = "POST" if body else "GET"
    assert player.call(method, f"{TOKEN}{query}", body, headers={**headers, **basic()}).status == 200
    form = player.call("POST", TOKEN, b"grant_type=client_credentials", headers={**FORM, **basic()})
    assert form.status in {400, 405}


def test_a_grant_can_be_ended_from_outside(play: Play) -> None:
    """As a person does who removes an application."""
    player = play()
    token = refresh(player, FIRST).json
    assert player.control("oauth2", {"end": 9}).status == 400
    assert player.control("oauth2", {"end": 1}).json == {"ended": 1}
    assert not works(player, token["access_token"])
    assert refresh(player, token["refresh_token"]).json["error"] == "invalid_grant"


def test_a_server_that_hangs_answers_nobody_and_does_not_use_the_token(play: Play) -> None:
    """The journal counts the requests that wait; the end of the sandbox ends them."""
    player = play()
    player.control("behaviour", {"vendor": "oauth2", "mode": "hang", "path": TOKEN, "count": 1})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(refresh, player, FIRST)
        while player.control("requests").json["open"].get("oauth2") != 1:
            assert not waiting.done()
        assert refresh(player, FIRST).status == 200
        assert player.control("requests").json["most_open"]["oauth2"] == 2
        player.sandbox.close()
        with pytest.raises((OSError, HTTPException)):
            waiting.result(DEADLINE_SECONDS)


def test_a_late_answer_is_in_the_journal_when_the_request_is_executed(play: Play) -> None:
    """A client that is killed meanwhile leaves a witness. Another behaviour lets the answer go out."""
    player = play()
    player.control("behaviour", {"vendor": "oauth2", "mode": "slow", "delay": 3600, "executed": True, "count": 1})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(refresh, player, FIRST)
        while not (entries := player.control("requests?vendor=oauth2").json["requests"]):
            assert not waiting.done()
        assert [entry["detail"]["new_refresh_token"] for entry in entries] == [1]
        player.control("behaviour", {"vendor": "oauth2", "mode": None})
        assert waiting.result(DEADLINE_SECONDS).json["refresh_token"].startswith("sandbox-rt-")


def test_no_control_request_shows_a_token(play: Play) -> None:
    """Indices instead."""
    player = play()
    got = refresh(player, FIRST).json
    for endpoint in ("oauth2", "requests"):
        shown = player.control(endpoint).body.decode()
        assert not any(secret in shown for secret in (FIRST, got["access_token"], got["refresh_token"]))
