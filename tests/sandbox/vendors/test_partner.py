"""The partner API as the sandbox plays it."""

import time
from typing import Any

import jwt
import pytest

from tests.sandbox.player import Answer, Play, Player

VECTOR = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJjbGllbnRJZCI6InlvdXItY2xpZW50LWlkIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAw"
    "MDA5MDB9.m2Ny5IHTfO1i-eMGysA_HLMkCzr4jkag-YF-Pmm80tE"
)
ACCOUNT = {"partner_client_id": "your-client-id", "partner_secret": "your-secret-key"}
# Keys this short make PyJWT warn, and warnings are errors; the vendor's own are longer.
SECRET = "sandbox-partner-secret-of-32-bytes!!"


def portfolio(player: Player, token: str, scheme: str = "Bearer") -> Answer:
    """Ask for the portfolio."""
    return player.call("GET", "/portfolio", headers={"Authorization": f"{scheme} {token}"})


def token(now: float = 0, *, life: Any = 900, key: Any = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    """Sign a token with PyJWT, a third opinion; a claim changed to None is left out."""
    issued = int(time.time()) + now
    wanted = {"clientId": "sandbox-client", "iat": issued, "exp": issued + life, **changes}
    return jwt.encode({name: value for name, value in wanted.items() if value is not None}, key, algorithm=algorithm)


@pytest.mark.parametrize(("at", "status"), [(1700000000, 200), (1700000890, 200), (1700000900, 401)])
def test_the_published_vector_is_accepted_until_its_exp(play: Play, at: Any, status: int) -> None:
    """clientId, iat, exp = iat + 900 with the secret's UTF-8 bytes; now >= exp is expired."""
    player = play(clock_skew=at - time.time(), **ACCOUNT)
    assert portfolio(player, VECTOR).status == status


def test_an_expired_token_is_refused_as_expired(play: Play) -> None:
    """401 when expired: the caller signs again."""
    answer = portfolio(play(partner_secret=SECRET), token(-1000))
    assert (answer.status, answer.json) == (401, {"error": "Unauthorized", "message": "Token Expired"})


def test_a_future_iat_is_ignored(play: Play) -> None:
    """jsonwebtoken does not look at iat."""
    assert portfolio(play(partner_secret=SECRET), token(3000)).status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "another-secret-that-has-32-bytes-too"},
        {"clientId": "somebody-else"},
        {"clientId": None},
        {"exp": None},
        {"iat": None},
        {"exp": "4000000000"},
        {"algorithm": "HS512", "key": SECRET * 2},
    ],
)
def test_a_token_that_is_not_as_documented_is_invalid(play: Play, changes: Any) -> None:
    """Signature, clientId, iat, exp and HS256 are all required."""
    answer = portfolio(play(partner_secret=SECRET), token(**changes))
    assert (answer.status, answer.json["message"]) == (401, "Invalid Token")


def test_an_unsigned_token_is_invalid(play: Play) -> None:
    """alg none is nobody's signature."""
    assert portfolio(play(partner_secret=SECRET), token(key=None, algorithm="none")).status == 401


@pytest.mark.parametrize("text", ["a.b", "....", "a.b.c", "e30.e30.", "é.é.é".encode().decode("latin-1")])
def test_what_is_no_jwt_is_invalid_and_no_crash(play: Play, text: str) -> None:
    """Garbage is a 401."""
    assert portfolio(play(), text).status == 401


def test_without_a_bearer_one_is_unauthorized(play: Play) -> None:
    """Scheme and header are required, with a capital B."""
    player = play(partner_secret=SECRET)
    assert player.call("GET", "/portfolio").json["message"] == "Unauthorized"
    assert portfolio(player, token(), scheme="bearer").status == 401
    assert portfolio(player, token()).status == 200


def test_a_longest_life_can_be_asked_for(play: Play) -> None:
    """--partner-ttl bounds exp - iat."""
    player = play(partner_secret=SECRET, partner_ttl=60.0)
    assert portfolio(player, token(life=60)).status == 200
    assert portfolio(player, token(life=61)).status == 401


def test_any_status_can_be_asked_for(play: Play) -> None:
    """--partner-status answers each request with it."""
    assert portfolio(play(partner_secret=SECRET, partner_status=403), token()).status == 403
