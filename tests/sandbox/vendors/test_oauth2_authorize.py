"""The consent page of the sandbox's OAuth 2 server, its codes and PKCE."""

from urllib.parse import urlencode

import pytest

from tests.sandbox.browsing import (
    APP,
    CHALLENGE,
    CLIENT,
    REDIRECT,
    authorize,
    basic,
    code_of,
    decide,
    post,
    redeem,
    refresh,
    sent_back,
    works,
)  # fmt: skip
from tests.sandbox.player import Play


def test_a_person_allows_and_the_client_gets_its_tokens(play: Play) -> None:
    """State and issuer come back with the code (RFC 9207)."""
    player = play()
    back = sent_back(decide(player, authorize(player), account="fake-person"))
    assert (back["state"], back["iss"]) == ("fake-state", f"{player.sandbox.url}/oauth2")
    got = redeem(player, back["code"]).json
    assert works(player, got["access_token"])
    assert player.control("oauth2").json["grants"][1]["subject"] == "fake-person"
    assert player.control("oauth2").json["grants"][1]["client"] == APP


def test_a_person_may_deny_and_may_allow_less(play: Play) -> None:
    """A box that is not checked is a scope that is not granted."""
    player = play()
    back = sent_back(decide(player, authorize(player), "deny"))
    assert (back["error"], back["state"], "code" in back) == ("access_denied", "fake-state", False)
    less = sent_back(decide(player, authorize(player, scope="read write"), scope=["read"]))
    assert redeem(player, less["code"]).json["scope"] == "read"


def test_a_page_is_decided_once(play: Play) -> None:
    """A second click changes nothing."""
    player = play()
    shown = authorize(player)
    assert decide(player, shown).status == 303
    assert decide(player, shown).status == 400


def test_a_wrong_verifier_gets_nothing(play: Play) -> None:
    """And the code is used up by the attempt."""
    player = play()
    code = code_of(player)
    assert redeem(player, code, code_verifier="wrong" * 10).json["error"] == "invalid_grant"
    assert redeem(player, code).json["error"] == "invalid_grant"
    assert redeem(player, code_of(player), code_verifier="").json["error"] == "invalid_grant"
    assert redeem(player, code_of(player, code_challenge=None, code_challenge_method=None)).status == 400


def test_a_code_that_comes_twice_ends_its_grant(play: Play) -> None:
    """RFC 6749, section 4.1.2."""
    player = play()
    code = code_of(player)
    got = redeem(player, code).json
    assert redeem(player, code).json["error"] == "invalid_grant"
    assert not works(player, got["access_token"])


def test_a_code_is_of_one_client_one_redirect_and_one_minute(play: Play) -> None:
    """Each is checked."""
    player = play()
    assert redeem(player, code_of(player), client=CLIENT).json["error"] == "invalid_grant"
    assert redeem(player, code_of(player), redirect_uri="http://127.0.0.1:8/").json["error"] == "invalid_grant"
    code = code_of(player)
    player.control("clock", {"skew": 61})
    assert redeem(player, code).json["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "unknown"},
        {"redirect_uri": "https://stranger.example/"},
        {"redirect_uri": "http://127.0.0.1.example/"},
        {"redirect_uri": "http://[::1"},
        {"redirect_uri": None},
    ],
)
def test_nothing_is_sent_to_an_address_that_is_not_in_order(play: Play, changed: dict[str, str | None]) -> None:
    """The person sees the error instead."""
    answer = authorize(play(), **changed)
    assert (answer.status, answer.headers["content-type"]) == (400, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"scope": "everything"}, "invalid_scope"),
    ],
)
def test_other_errors_go_back_to_the_client(play: Play, changed: dict[str, str | None], error: str) -> None:
    """With state and issuer."""
    player = play()
    back = sent_back(authorize(player, **changed))
    assert back == {"error": error, "state": "fake-state", "iss": f"{player.sandbox.url}/oauth2"}


def test_a_request_can_be_pushed_and_must_be_where_that_is_said(play: Play) -> None:
    """RFC 9126: the browser carries a reference, once."""
    player = play(oauth2_require_par=True)
    assert authorize(player).status == 400
    fields = {
        "response_type": "code", "redirect_uri": REDIRECT, "state": "fake-state", "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }  # fmt: skip
    pushed = post(player, "/oauth2/par", fields, **basic())
    assert (pushed.status, pushed.json["expires_in"]) == (201, 60)
    query = urlencode({"client_id": CLIENT, "request_uri": pushed.json["request_uri"]})
    back = sent_back(decide(player, player.call("GET", f"/oauth2/authorize?{query}")))
    assert redeem(player, back["code"], client=CLIENT).status == 200
    assert player.call("GET", f"/oauth2/authorize?{query}").status == 400
    assert post(player, "/oauth2/par", {**fields, "redirect_uri": "https://stranger.example"}, **basic()).status == 400


def test_the_refresh_token_of_a_login_rotates_like_any_other(play: Play) -> None:
    """A client with a secret, by a browser."""
    player = play()
    first = redeem(player, code_of(player, client_id=CLIENT), client=CLIENT).json["refresh_token"]
    assert refresh(player, refresh(player, first).json["refresh_token"]).status == 200
