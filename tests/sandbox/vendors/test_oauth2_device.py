"""Logins of devices at the sandbox's OAuth 2 server."""

from typing import Any
from urllib.parse import urlsplit

from tests.sandbox.browsing import APP, FORM, ask, decide, post, refresh, works
from tests.sandbox.player import Answer, Play, Player

KIND = "urn:ietf:params:oauth:grant-type:device_code"


def begin(player: Player, **fields: str) -> Any:
    return post(player, "/oauth2/device_authorization", {"client_id": APP, **fields}).json


def poll(player: Player, begun: Any) -> Answer:
    return ask(player, KIND, client=APP, device_code=begun["device_code"])


def page(player: Player, begun: Any) -> Answer:
    """What the person sees at verification_uri_complete."""
    target = urlsplit(begun["verification_uri_complete"])
    return player.call("GET", f"{target.path}?{target.query}")


def test_a_device_waits_until_a_person_allows_it(play: Play) -> None:
    """authorization_pending, then the tokens, once."""
    player = play(oauth2_device_interval=0.001)
    begun = begin(player)
    assert (begun["verification_uri"], begun["interval"]) == (f"{player.sandbox.url}/oauth2/device", 1)
    assert poll(player, begun).json["error"] == "authorization_pending"
    assert b"Connected" in decide(player, page(player, begun)).body
    got = poll(player, begun).json
    assert works(player, got["access_token"])
    assert ask(player, "refresh_token", client=APP, refresh_token=got["refresh_token"]).status == 200
    assert poll(player, begun).json["error"] == "invalid_grant"


def test_a_poll_before_its_time_makes_the_interval_longer(play: Play) -> None:
    """slow_down adds five seconds for good."""
    player = play(oauth2_device_interval=5.0)
    begun = begin(player)
    answers = []
    for skew in (0, 4, 13, 29):
        player.control("clock", {"skew": skew})
        answers.append(poll(player, begun).json["error"])
    assert answers == ["authorization_pending", "slow_down", "slow_down", "authorization_pending"]


def test_a_person_may_deny(play: Play) -> None:
    """access_denied; the code cannot be used any more."""
    player = play()
    begun = begin(player)
    shown = page(player, begun)
    decide(player, shown, "deny")
    assert poll(player, begun).json["error"] == "access_denied"
    assert decide(player, shown).status == 400


def test_a_device_code_ends(play: Play) -> None:
    """expired_token; a person with the code learns it, too."""
    player = play(oauth2_device_ttl=60.0)
    begun = begin(player)
    player.control("clock", {"skew": 61})
    assert poll(player, begun).json["error"] == "expired_token"
    assert page(player, begun).status == 400


def test_a_person_types_the_code_as_people_do(play: Play) -> None:
    """In small letters, without the hyphen; the page without a code asks for it."""
    player = play()
    assert b'name="user_code"' in player.call("GET", "/oauth2/device").body
    code = begin(player)["user_code"].lower().replace("-", " ")
    typed = player.call("GET", f"/oauth2/device?user_code={code.replace(' ', '+')}")
    assert decide(player, typed).status == 200
    assert player.call("GET", "/oauth2/device?user_code=BBBB-BBBB").status == 400
    assert player.call("POST", "/oauth2/device", b"user_code=%00", headers=FORM).status == 400


def test_another_client_and_an_unknown_scope_get_nothing(play: Play) -> None:
    """The code is of the client that began."""
    player = play()
    assert ask(player, KIND, device_code=begin(player)["device_code"]).json["error"] == "invalid_grant"
    assert begin(player, scope="everything")["error"] == "invalid_scope"
    assert refresh(player, "unknown").json["error"] == "invalid_grant"
