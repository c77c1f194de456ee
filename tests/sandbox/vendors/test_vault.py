"""Vault and OpenBao as the sandbox plays them."""

from typing import Any

import pytest

from tests.sandbox.player import Answer, Play, Player

APPROLE = {"role_id": "sandbox-role-id", "secret_id": "sandbox-secret-id"}
JWT = {"role": "sandbox", "jwt": "sandbox-vault-jwt"}


def login(player: Player, method: str = "approle", body: Any = None) -> Answer:
    return player.call("POST", f"/v1/auth/{method}/login", APPROLE if body is None else body)


def token_of(player: Player) -> dict[str, str]:
    return {"X-Vault-Token": login(player).json["auth"]["client_token"]}


@pytest.mark.parametrize(("method", "body"), [("approle", APPROLE), ("jwt", JWT), ("kubernetes", JWT)])
def test_each_login_gives_a_token_with_its_life(play: Play, method: str, body: Any) -> None:
    """The members that clients read. The token works for lookup-self, also as a bearer."""
    player = play(vault_ttl=60.0)
    auth = login(player, method, body).json["auth"]
    assert (auth["lease_duration"], auth["renewable"], auth["token_type"]) == (60, True, "service")
    assert auth["client_token"].startswith("hvs.")
    for headers in ({"X-Vault-Token": auth["client_token"]}, {"Authorization": f"Bearer {auth['client_token']}"}):
        found = player.call("GET", "/v1/auth/token/lookup-self", headers=headers)
        assert found.json["data"]["ttl"] == 60


@pytest.mark.parametrize(
    ("method", "body", "status", "error"),
    [
        ("approle", {**APPROLE, "secret_id": "wrong"}, 400, "invalid role or secret ID"),
        ("approle", b"[]", 400, "invalid role or secret ID"),
        ("jwt", {**JWT, "role": "other"}, 400, 'role "other" could not be found'),
        ("jwt", {**JWT, "jwt": "wrong"}, 400, "error validating token"),
        ("kubernetes", {**JWT, "jwt": "wrong"}, 403, "permission denied"),
    ],
)
def test_a_wrong_login_is_refused_as_documented(play: Play, method: str, body: Any, status: int, error: str) -> None:
    """400 with the reason; kubernetes refuses a token with 403."""
    answer = login(play(), method, body)
    assert (answer.status, answer.json) == (status, {"errors": [error]})
    assert play().call("GET", "/v1/auth/approle/login").status == 405


def test_a_token_lives_on_up_to_its_maximum(play: Play) -> None:
    """renew-self gives the TTL that was asked for, and less near the maximum; then the token ends."""
    player = play(vault_ttl=100.0, vault_max_ttl=250.0)
    headers = token_of(player)

    def renew(**body: str) -> Any:
        return player.call("POST", "/v1/auth/token/renew-self", body, headers=headers).json["auth"]["lease_duration"]

    assert (renew(), renew(increment="30s"), renew(increment="100")) == (100, 30, 100)
    player.control("clock", {"skew": 90})
    assert renew() == 100
    player.control("clock", {"skew": 180})
    assert renew() == pytest.approx(70, abs=2)
    player.control("clock", {"skew": 260})
    assert player.call("POST", "/v1/auth/token/renew-self", {}, headers=headers).status == 403


def test_batch_tokens_are_not_renewable(play: Play) -> None:
    """The login says so."""
    player = play(vault_batch=True, ttl=50.0)
    auth = login(player).json["auth"]
    assert (auth["renewable"], auth["token_type"], auth["lease_duration"]) == (False, "batch", 50)
    answer = player.call("POST", "/v1/auth/token/renew-self", {}, headers={"X-Vault-Token": auth["client_token"]})
    assert (answer.status, answer.json) == (400, {"errors": ["lease is not renewable"]})


def test_a_secret_has_versions_and_check_and_set(play: Play) -> None:
    """As KV version 2 answers. Without a token everything is refused."""
    player = play()
    headers = token_of(player)
    path = "/v1/secret/data/team/app"
    assert player.call("GET", path, headers=headers).status == 404
    assert player.call("POST", path, {"data": {"a": "1"}, "options": {"cas": 0}}, headers=headers).status == 200
    assert player.call("POST", path, {"data": {"a": "2"}, "options": {"cas": 0}}, headers=headers).status == 400
    assert player.call("POST", path, {"data": "x"}, headers=headers).status == 400
    assert player.call("POST", path, {"data": {"a": "2"}}, headers=headers).json["data"]["version"] == 2
    assert player.call("GET", path, headers=headers).json["data"]["data"] == {"a": "2"}
    assert player.call("GET", path).status == 403
    assert player.call("GET", "/v1/secret/data/").status == 404


def test_faults_have_the_servers_bodies(play: Play) -> None:
    """A sealed server, a rate limit, a login that is refused, and a token that is."""
    player = play()
    player.control("behaviour", {"vendor": "vault", "mode": "error", "code": 503, "count": 1})
    assert (login(player).status, login(player).status) == (503, 200)
    player.control("behaviour", {"vendor": "vault", "mode": "rate_limit", "retry_after": "7", "count": 1})
    assert login(player).headers["retry-after"] == "7"
    headers = token_of(player)
    player.control("behaviour", {"vendor": "vault", "mode": "reject"})
    assert (login(player).status, login(player).json) == (400, {"errors": ["invalid role or secret ID"]})
    assert player.call("GET", "/v1/auth/token/lookup-self", headers=headers).status == 403
