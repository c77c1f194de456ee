"""Xerve's balance, credit, debit and transactions as the sandbox plays them."""

import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.sandbox.player import Answer, Play, Player
from tests.sandbox.vendors.test_xerve import BODY, SECRET, compact, generate

CLIENT = str(BODY["clientId"])


def signed(
    player: Player, method: str, path: str, payload: dict[str, Any], *, secret: str = SECRET, at: float | None = None
) -> Answer:
    """Sign as the vendor's sample does: the sorted pairs of a GET, the compact body of a POST."""
    timestamp = str(int(time.time() if at is None else at))
    pairs = "&".join(f"{name}={payload[name]}" for name in sorted(payload))
    data = b"" if method == "GET" else compact(payload)
    text = f"{method}{path}{timestamp}".encode() + (pairs.encode() if method == "GET" else data)
    headers = {"x-timestamp": timestamp, "x-signature": hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()}
    target = f"{path}?{urlencode(payload, quote_via=quote)}" if method == "GET" else path
    return player.call(method, target, data or None, headers=headers)


def balance(player: Player) -> str:
    answer = signed(player, "GET", "/api/v1/get-balance", {"clientId": CLIENT})
    assert answer.status == 200, answer.json
    return str(answer.json["data"]["balance"])


def test_a_wallet_begins_at_zero_and_moves_by_credits_and_debits(play: Play) -> None:
    """Amounts are exact, to the cent; the newest movement comes first."""
    player = play()
    assert generate(player).status == 200
    assert balance(player) == "0.00"
    for path, amount, after in (
        ("credit", 12.5, "12.50"), ("credit", "0.10", "12.60"), ("debit", 0.2, "12.40"), ("debit", 12, "0.40"),
    ):  # fmt: skip
        answer = signed(player, "POST", f"/api/v1/{path}-balance", {"clientId": CLIENT, "amount": amount})
        assert (answer.status, answer.json["data"]["balance"]) == (200, after)
        assert balance(player) == after
    shown = signed(player, "GET", "/api/v1/get-transactions", {"clientId": CLIENT}).json["data"]["transactions"]
    assert [(one["type"], one["amount"], one["balance"]) for one in shown] == [
        ("debit", "12.00", "0.40"), ("debit", "0.20", "12.40"), ("credit", "0.10", "12.60"),
        ("credit", "12.50", "12.50"),
    ]  # fmt: skip


def test_a_debit_beyond_the_balance_changes_nothing(play: Play) -> None:
    """400, and no movement."""
    player = play()
    generate(player)
    answer = signed(player, "POST", "/api/v1/debit-balance", {"clientId": CLIENT, "amount": "0.01"})
    assert (answer.status, answer.json["message"]) == (400, "Insufficient balance")
    assert signed(player, "GET", "/api/v1/get-transactions", {"clientId": CLIENT}).json["data"]["transactions"] == []


@pytest.mark.parametrize("amount", [0, -1, "x", "", None, True, "NaN", "inf", 0.001, "1e30", [1]])
def test_an_amount_is_a_positive_number_of_cents(play: Play, amount: Any) -> None:
    """Validation errors have the form of the documented endpoint's."""
    player = play()
    generate(player)
    answer = signed(player, "POST", "/api/v1/credit-balance", {"clientId": CLIENT, "amount": amount})
    assert (answer.status, set(answer.json["data"]["errors"])) == (400, {"amount"})


def test_a_client_must_be_named_and_known(play: Play) -> None:
    """400 without clientId, 404 for another one."""
    player = play()
    for method, path, more in (
        ("GET", "/api/v1/get-balance", {}),
        ("GET", "/api/v1/get-transactions", {}),
        ("POST", "/api/v1/credit-balance", {"amount": 1}),
    ):
        assert signed(player, method, path, more).status == 400
        assert signed(player, method, path, {**more, "clientId": "nobody"}).status == 404


def test_every_endpoint_checks_the_signature_over_exactly_this_request(play: Play) -> None:
    """Another secret, an old timestamp, another query and another method are refused."""
    player = play()
    generate(player)
    payload = {"clientId": CLIENT, "x": "ü b"}
    assert signed(player, "GET", "/api/v1/get-balance", payload).status == 200
    for answer in (
        signed(player, "GET", "/api/v1/get-balance", payload, secret="a-wrong-secret"),
        signed(player, "GET", "/api/v1/get-balance", payload, at=time.time() - 301),
        player.call("GET", "/api/v1/get-transactions"),
        player.call("POST", "/api/v1/debit-balance", {"clientId": CLIENT, "amount": 1}),
    ):
        assert answer.status == 401
    assert signed(player, "POST", "/api/v1/get-balance", payload).status == 405
    timestamp = str(int(time.time()))
    text = f"GET/api/v1/get-balance{timestamp}clientId={CLIENT}".encode()
    headers = {"x-timestamp": timestamp, "x-signature": hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest()}
    assert player.call("GET", f"/api/v1/get-balance?clientId={CLIENT}", headers=headers).status == 200
    assert player.call("GET", f"/api/v1/get-balance?clientId={CLIENT}&more=1", headers=headers).status == 401


def test_the_journal_shows_the_paths_without_their_query(play: Play) -> None:
    """A query names a person."""
    player = play()
    generate(player)
    balance(player)
    assert player.log("xerve")[-1] == ("GET", "/api/v1/get-balance", 200)
    assert CLIENT not in json.dumps(player.control("requests?vendor=xerve").json)
