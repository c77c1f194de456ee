"""Refresh tokens of the sandbox's OAuth 2 server: rotation with and without grace, and their ends."""

import pytest

from tests.sandbox.browsing import APP, ask, code_of, redeem, refresh, works
from tests.sandbox.player import Play

FIRST = "sandbox-refresh-token"


def test_strict_rotation_ends_the_grant_at_a_reuse(play: Play) -> None:
    """The newest refresh token dies with it, and so does the access token."""
    player = play()
    second = refresh(player, FIRST).json
    third = refresh(player, second["refresh_token"]).json
    assert len({FIRST, second["refresh_token"], third["refresh_token"]}) == 3
    assert works(player, third["access_token"])
    assert refresh(player, second["refresh_token"]).json["error"] == "invalid_grant"
    assert refresh(player, third["refresh_token"]).json["error"] == "invalid_grant"
    assert not works(player, third["access_token"])


def test_within_the_grace_the_same_successor_is_answered_again(play: Play) -> None:
    """For the previous refresh token only, and for its time only."""
    player = play(oauth2_rotation="grace", oauth2_grace=60.0)
    second = refresh(player, FIRST).json["refresh_token"]
    player.control("clock", {"skew": 59})
    assert refresh(player, FIRST).json["refresh_token"] == second
    player.control("clock", {"skew": 61})
    assert refresh(player, FIRST).json["error"] == "invalid_grant"
    assert refresh(player, second).json["error"] == "invalid_grant"


def test_the_one_before_the_previous_has_no_grace(play: Play) -> None:
    """Its use is a reuse, however early."""
    player = play(oauth2_rotation="grace")
    refresh(player, refresh(player, FIRST).json["refresh_token"])
    assert refresh(player, FIRST).json["error"] == "invalid_grant"
    assert player.control("oauth2").json["grants"][0]["ended"] == "reuse"


def test_without_rotation_the_answer_has_no_refresh_token(play: Play) -> None:
    """The client keeps its own."""
    player = play(oauth2_rotation="none")
    assert "refresh_token" not in refresh(player, FIRST).json
    assert refresh(player, FIRST).status == 200


@pytest.mark.parametrize(("life_from", "lives"), [("refresh", True), ("login", False)])
def test_the_life_of_refresh_tokens_begins_anew_or_not(play: Play, life_from: str, lives: bool) -> None:
    """The answer names it; counted from the login it is a fixed end."""
    player = play(oauth2_refresh_ttl=100.0, oauth2_refresh_ttl_from=life_from)
    player.control("clock", {"skew": 60})
    got = refresh(player, FIRST).json
    assert got["refresh_token_expires_in"] == (100 if lives else 40)
    player.control("clock", {"skew": 120})
    assert (refresh(player, got["refresh_token"]).status == 200) is lives


def test_a_refresh_token_is_of_one_client(play: Play) -> None:
    """Another one learns that it is not known, and nothing ends."""
    player = play()
    token = redeem(player, code_of(player)).json["refresh_token"]
    assert refresh(player, token).json["error"] == "invalid_grant"
    assert ask(player, "refresh_token", client=APP, refresh_token=token).status == 200


def test_a_refresh_may_narrow_the_scopes_and_not_widen_them(play: Play) -> None:
    """A refusal for the scope uses nothing."""
    player = play()
    assert refresh(player, FIRST, scope="read openid").json["error"] == "invalid_scope"
    got = refresh(player, FIRST, scope="read").json
    assert got["scope"] == "read"
    assert refresh(player, got["refresh_token"]).json["scope"] == "read write"
