"""The wallet API as the sandbox plays it."""

import time
from typing import Any

import jwt
import pytest

from tests.sandbox.player import Answer, Play, Player
from tokend.sandbox.vendors.wallet import signature

VECTOR = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1cmwiOiIvcGF0aC90by9lbmRwb2ludCIsImlhdCI6MTcwMDAwMDAwMDAwMCwiZXhwIjoxNzAw"
    "MDAwMDYwMDAwLCJrZXkiOiJZT1VSX0FVVEhfS0VZIiwic2lnbmF0dXJlIjoiM2ZiNDBlZmIzZGIwNjQyZGY1ZWE5YmEwMTEzMWRkMTdmMjFjMmM2"
    "YThjYTU5ZjljNGM3ZGRkYjViMTQ4NzdhMiJ9.PupUlJeNMzvlL1WWgnz6IWMUvh17fotBqlhOXzXB2Lg"
)
ORDER = {"currency": "BTC", "amount": "0.001", "orderId": "12345"}
ORDER_SIGNATURE = "3fb40efb3db0642df5ea9ba01131dd17f21c2c6a8ca59f9c4c7dddb5b14877a2"
EMPTY_SIGNATURE = "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"
SECRET = "sandbox-wallet-secret-of-32-bytes!!!"  # PyJWT warns of shorter ones


def headers(token: str, key: Any = "sandbox-wallet-key") -> dict[str, str]:
    """The documented headers."""
    return {"Authorization": f"Bearer {token}", "x-auth-key": key}


def token(*, ago: int = 0, life: Any = 60_000, secret: str = SECRET, **changes: Any) -> str:
    """Sign a transfer's token with PyJWT; milliseconds."""
    issued = int(time.time() * 1000) - ago
    claims = {
        "url": "/api/wallet/transfer",
        "iat": issued,
        "exp": issued + life,
        "key": "sandbox-wallet-key",
        "signature": ORDER_SIGNATURE,
        **changes,
    }
    return jwt.encode(claims, secret, algorithm="HS256")


def transfer(player: Player, token: str, body: Any = ORDER, **kwargs: Any) -> Answer:
    """Pay."""
    return player.call("POST", "/api/wallet/transfer", body, headers=headers(token, **kwargs))


@pytest.fixture
def wallet(play: Play) -> Player:
    """A sandbox whose Enc Key is long enough for PyJWT."""
    return play(wallet_secret=SECRET)


@pytest.mark.parametrize(("at", "status"), [(1_700_000_000, 200), (1_700_000_030, 200), (1_700_000_060, 401)])
def test_the_published_vector_is_accepted_for_its_sixty_seconds(play: Play, at: Any, status: int) -> None:
    """Milliseconds, compared as such; the signature is of the JSON string, quotes included."""
    player = play(clock_skew=at - time.time(), wallet_key="YOUR_AUTH_KEY", wallet_secret="YOUR_ENC_KEY")
    answer = player.call("POST", "/path/to/endpoint", ORDER, headers=headers(VECTOR, "YOUR_AUTH_KEY"))
    assert answer.status == status


def test_signatures_are_those_that_were_published() -> None:
    """sha256 of JSON.stringify(currency#amount#orderId), or of the empty string."""
    assert signature(list(ORDER.values())) == ORDER_SIGNATURE
    assert signature(["", "", ""]) == EMPTY_SIGNATURE


def test_a_good_request_is_accepted_and_shows_the_order(wallet: Player) -> None:
    """The reply repeats what was paid."""
    answer = transfer(wallet, token())
    assert (answer.status, answer.json["data"]) == (200, ORDER)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"secret": "another-secret-that-has-32-bytes-too"}, "Invalid token"),
        ({"key": "another"}, "Invalid auth key"),
        ({"url": "/api/wallet/balance"}, "The url claim is not the path of this request"),
        ({"signature": EMPTY_SIGNATURE}, "Invalid signature"),
        ({"ago": 60_000}, "Token expired"),
        ({"ago": -60_000}, "Token issued in the future"),
        ({"life": 900_000}, "The token lives too long"),
        ({"iat": 1_700_000_000, "exp": 4_000_000_000}, "iat and exp must be whole milliseconds"),
        ({"exp": "4000000000000"}, "iat and exp must be whole milliseconds"),
    ],
)
def test_a_token_for_another_request_time_or_account_is_refused(wallet: Player, changes: Any, message: str) -> None:
    """Each claim is checked by hand."""
    answer = transfer(wallet, token(**changes))
    assert (answer.status, answer.json) == (401, {"success": False, "message": message})


def test_the_signature_is_recomputed_from_the_body(wallet: Player) -> None:
    """Another amount, or the same written otherwise, is another signature; a number counts as it is written."""
    assert transfer(wallet, token(), {**ORDER, "amount": "0.0010"}).json["message"] == "Invalid signature"
    assert transfer(wallet, token(), b'{"currency":"BTC","amount":0.001,"orderId":12345}').status == 200


def test_text_beyond_ascii_is_hashed_unescaped() -> None:
    """JSON.stringify leaves it as it is; the hash is that of coreutils' sha256sum."""
    assert signature(["é", "1", "2"]) == "0b6d2d5fa6e2a7873db1771a78e1a3714c51269856d810fea14ae0f4e13e0289"


@pytest.mark.parametrize("body", [{"currency": "BTC"}, {**ORDER, "amount": "1#2"}, {**ORDER, "orderId": None}, b"["])
def test_a_body_that_cannot_be_signed_is_a_400(wallet: Player, body: Any) -> None:
    """Only some of the fields, a separator inside one, or no JSON."""
    assert transfer(wallet, token(), body).status == 400


def test_a_call_without_the_fields_signs_the_empty_string(wallet: Player) -> None:
    """A balance has no order."""
    good = token(url="/api/wallet/balance", signature=EMPTY_SIGNATURE)
    assert wallet.call("GET", "/api/wallet/balance", headers=headers(good)).status == 200


def test_both_headers_are_needed_and_the_other_documented_one_works(wallet: Player) -> None:
    """Authorization and x-auth-key; the vendor's endpoint pages name signatureToken instead of the first."""
    good = token()
    key = {"x-auth-key": "sandbox-wallet-key"}
    assert wallet.call("POST", "/api/wallet/transfer", ORDER, headers=key).status == 401
    bearer = {"Authorization": f"Bearer {good}"}
    assert wallet.call("POST", "/api/wallet/transfer", ORDER, headers=bearer).status == 401
    assert wallet.call("POST", "/api/wallet/transfer", ORDER, headers={**key, "signatureToken": good}).status == 200
    assert transfer(wallet, good, key="another").json["message"] == "Invalid auth key"
