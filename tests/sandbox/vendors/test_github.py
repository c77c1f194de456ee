"""GitHub Apps as the sandbox plays them."""

import time
from typing import Any

import jwt
import pytest

from tests.providers.private_keys import rsa_pem
from tests.sandbox.player import Answer, Play, Player
from tokend.sandbox.rs256 import private_key_pem

TOKENS = "/app/installations/1/access_tokens"


def signed(*, key: str | None = None, iat: int | None = -60, exp: int | None = 540, **more: Any) -> dict[str, str]:
    """Return the header of a JWT; its times count from now, and None leaves them out."""
    now = int(time.time())
    times = {name: now + seconds for name, seconds in (("iat", iat), ("exp", exp)) if seconds is not None}
    payload = {"iss": "sandbox-app", **times, **more}
    return {"Authorization": "Bearer " + jwt.encode(payload, key or private_key_pem(), algorithm="RS256")}


def ask(player: Player, body: Any = None, **claims: Any) -> Answer:
    return player.call("POST", TOKENS, body, headers=signed(**claims))


def test_a_token_has_the_life_and_the_size_of_githubs_and_works(play: Play) -> None:
    """An hour, some 520 characters with two dots. The App's own JWT does not read repositories."""
    player = play()
    answer = ask(player)
    assert answer.status == 201
    token = answer.json["token"]
    assert (token[:4], token.count("."), 500 < len(token) < 540) == ("ghs_", 2, True)
    assert answer.json["permissions"]["contents"] == "write"
    assert answer.json["repository_selection"] == "all"
    assert "repositories" not in answer.json
    found = player.call("GET", "/installation/repositories", headers={"Authorization": f"Bearer {token}"})
    assert [one["full_name"] for one in found.json["repositories"]] == ["sandbox-org/app", "sandbox-org/docs"]
    assert player.call("GET", "/installation/repositories", headers=signed()).status == 401


def test_a_token_ends(play: Play) -> None:
    """By the sandbox's clock."""
    player = play(github_ttl=30.0)
    headers = {"Authorization": f"Bearer {ask(player).json['token']}"}
    assert player.call("GET", "/installation/repositories", headers=headers).status == 200
    player.control("clock", {"skew": 31})
    assert player.call("GET", "/installation/repositories", headers=headers).status == 401


def test_a_token_may_have_less(play: Play) -> None:
    """Of permissions and repositories; never more than the installation."""
    player = play()
    answer = ask(player, {"permissions": {"contents": "read"}, "repositories": ["app"]})
    assert answer.json["permissions"] == {"metadata": "read", "contents": "read"}
    assert [one["full_name"] for one in answer.json["repositories"]] == ["sandbox-org/app"]
    for body in (
        {"permissions": {"contents": "admin"}},
        {"permissions": {"secrets": "read"}},
        {"permissions": {"contents": "all"}},
        {"permissions": ["contents"]},
        {"repositories": ["other"]},
        {"repositories": "app"},
    ):
        assert ask(player, body).status == 422
    assert ask(player, b"[]").status == 400


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"iat": None}, "'Issued at' claim"),
        ({"iat": 100}, "'Issued at' claim"),
        ({"exp": 0}, "'Expiration time' claim ('exp') must be"),
        ({"exp": None}, "'Expiration time' claim ('exp') must be"),
        ({"exp": 700}, "'Expiration time' claim ('exp') is too far in the future"),
        ({"iss": "another"}, "Integration not found"),
        ({"key": rsa_pem()}, "A JSON web token could not be decoded"),
    ],
)
def test_a_wrong_jwt_is_refused_in_githubs_words(play: Play, claims: dict[str, Any], message: str) -> None:
    """401; the same at the look-up of an installation."""
    player = play()
    for answer in (
        ask(player, **claims),
        player.call("GET", "/orgs/sandbox-org/installation", headers=signed(**claims)),
    ):
        assert answer.status == 401
        assert answer.json["message"].startswith(message)


def test_an_installation_is_found_by_its_account(play: Play) -> None:
    """As an organisation or as a user, in any case of letters."""
    player = play(github_installation="77", github_owner="Acme")
    for path in ("/orgs/acme/installation", "/users/Acme/installation"):
        assert player.call("GET", path, headers=signed()).json["id"] == 77
    assert player.call("GET", "/orgs/other/installation", headers=signed()).status == 404
    assert ask(player).status == 404
    assert player.call("POST", "/app/installations/77/access_tokens", headers=signed()).status == 201
    assert player.call("GET", TOKENS).status == 405


def test_the_key_is_handed_out(play: Play) -> None:
    """The sandbox's own, which protects nothing."""
    answer = play().call("GET", "/github/private-key.pem")
    assert (answer.status, answer.body.decode()) == (200, private_key_pem())


def test_faults_are_githubs_own(play: Play) -> None:
    """A refusal and a rate limit."""
    player = play()
    player.control("behaviour", {"vendor": "github", "mode": "reject", "count": 1})
    assert ask(player).json["message"] == "A JSON web token could not be decoded"
    player.control("behaviour", {"vendor": "github", "mode": "rate_limit", "retry_after": "60", "count": 1})
    answer = ask(player)
    assert (answer.status, answer.headers["retry-after"]) == (429, "60")
    assert answer.json["message"] == "API rate limit exceeded"
