"""Xerve as the sandbox plays it."""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.sandbox.player import Answer, Play, Player

PATH = "/api/v1/generate-auth-token"
BODY = {
    "clientId": "CLIENT_001",
    "username": "testuser001",
    "displayName": "Client One",
    "ipAddress": "192.168.1.100",
    "expiration": 5,
}
VECTOR = "335cf4f5ab98ca80b2615ee2e659312acfb45f9b322288d2b197d71b9edfa2c8"
VECTOR_TIME = 1706802000
SECRET = "sandbox-xerve-secret"


def compact(body: Any) -> bytes:
    """The bytes that are signed and sent."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def generate(
    player: Player, body: Any = BODY, *, at: Any = None, secret: str = SECRET, sent: bytes | None = None
) -> Answer:
    """Sign and ask."""
    data = body if isinstance(body, bytes) else compact(body)
    timestamp = str(int(time.time()) if at is None else at)
    signature = hmac.new(secret.encode(), f"POST{PATH}{timestamp}".encode() + data, hashlib.sha256).hexdigest()
    headers = {"x-timestamp": timestamp, "x-signature": signature, "Content-Type": "application/json"}
    return player.call("POST", PATH, sent or data, headers=headers)


def follow(player: Player, answer: Answer, method: str = "GET") -> Answer:
    """Open the login link."""
    return player.call(method, urlsplit(answer.json["data"]["loginLink"]).path)


def test_the_published_vector_is_accepted(play: Play) -> None:
    """HMAC over METHOD + PATH + TIMESTAMP + BODY without separators."""
    player = play(clock_skew=VECTOR_TIME - time.time(), xerve_client_secret="your-secret-key")
    headers = {"x-timestamp": str(VECTOR_TIME), "x-signature": VECTOR}
    assert player.call("POST", PATH, compact(BODY), headers=headers).status == 200
    spaced = player.call("POST", PATH, json.dumps(BODY).encode(), headers=headers)
    assert (spaced.status, spaced.json) == (401, {"status": "error", "message": "Invalid signature", "data": None})


def test_a_success_has_the_documented_shape(play: Play) -> None:
    """Token, ISO expiration with milliseconds and Z, seconds, link, user, isNewUser."""
    player = play()
    answer = generate(player)
    assert answer.status == 200
    assert (answer.json["status"], answer.json["message"]) == ("success", "Auth token generated successfully")
    data = answer.json["data"]
    assert list(data) == ["token", "expiration", "expiresIn", "loginLink", "user", "isNewUser"]
    assert re.fullmatch(r"[A-Za-z0-9]{64}", data["token"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", data["expiration"])
    assert datetime.fromisoformat(data["expiration"]).timestamp() == pytest.approx(time.time() + 300, abs=30)
    assert (data["expiresIn"], data["isNewUser"]) == (300, True)
    assert data["loginLink"] == f"{player.sandbox.url}/login/{data['token']}"
    user = {"id": 1, "username": "testuser001", "displayId": "CLIENT_001", "displayName": "Client One"}
    assert data["user"] == user


def test_without_an_expiration_it_is_two_minutes(play: Play) -> None:
    """The default."""
    body = {name: value for name, value in BODY.items() if name != "expiration"}
    assert generate(play(), body).json["data"]["expiresIn"] == 120


def test_a_new_user_gets_everything_a_new_user_gets(play: Play) -> None:
    """Referral code, role, status and a USD wallet."""
    player = play()
    generate(player)
    (user,) = player.control("users").json["users"]
    assert re.fullmatch(r"REF-\d{4}-[A-Z0-9]{6}", user.pop("referralCode"))
    assert user == {
        "id": 1,
        "clientId": "CLIENT_001",
        "displayId": "CLIENT_001",
        "username": "testuser001",
        "name": "Client One",
        "role": "user",
        "status": "active",
        "wallet": {"currency": "USD", "balance": "0.00"},
        "tokens": {"issued": 1, "used": 0},
    }


def test_a_known_client_is_updated_and_keeps_its_identity(play: Play) -> None:
    """name and username change; id, referral code and wallet stay; older tokens stay valid."""
    player = play()
    first = generate(player)
    code = player.control("users").json["users"][0]["referralCode"]
    second = generate(player, {**BODY, "username": "renamed", "displayName": "New Name"})
    assert second.json["data"]["isNewUser"] is False
    assert second.json["data"]["token"] != first.json["data"]["token"]
    (user,) = player.control("users").json["users"]
    assert (user["id"], user["username"], user["name"], user["referralCode"]) == (1, "renamed", "New Name", code)
    assert [follow(player, answer).status for answer in (first, second)] == [200, 200]


def test_a_login_link_works_once(play: Play) -> None:
    """The token is consumed by the login; a previewer's HEAD does not consume it."""
    player = play()
    answer = generate(player)
    assert follow(player, answer, "HEAD").status == 405
    assert follow(player, answer).json["data"]["user"]["displayId"] == "CLIENT_001"
    again = follow(player, answer)
    assert (again.status, again.json["message"]) == (410, "Token already used")
    assert player.call("GET", "/login/unknown").status == 404


def test_an_expired_link_is_gone(play: Play) -> None:
    """A token ends after its minutes."""
    player = play()
    answer = generate(player)
    player.control("clock", {"skew": 301})
    assert (follow(player, answer).status, follow(player, answer).json["message"]) == (410, "Token expired")


def test_a_life_in_the_options_overrules_the_minutes(play: Play) -> None:
    """--ttl and --xerve-ttl make expiry worth watching."""
    for options in ({"ttl": 30.0}, {"xerve_ttl": 30.0}):
        assert generate(play(**options)).json["data"]["expiresIn"] == 30


@pytest.mark.parametrize("off", [-310, 310])
def test_a_timestamp_outside_the_window_is_refused_like_missing_headers(play: Play, off: float) -> None:
    """± 300 s, and the documented, misleading message."""
    answer = generate(play(), at=int(time.time()) + off)
    assert (answer.status, answer.json["message"]) == (401, "Missing required signature headers or secret")


@pytest.mark.parametrize("off", [-285, 285])
def test_a_timestamp_within_the_window_is_accepted(play: Play, off: float) -> None:
    """Both ways."""
    assert generate(play(), at=int(time.time()) + off).status == 200


@pytest.mark.parametrize("headers", [{}, {"x-signature": VECTOR}, {"x-timestamp": "1"}, {"x-timestamp": "soon"}])
def test_missing_headers_are_named(play: Play, headers: Mapping[str, str]) -> None:
    """Both headers are required, and the timestamp is digits."""
    answer = play().call("POST", PATH, BODY, headers=headers)
    assert (answer.status, answer.json["message"]) == (401, "Missing required signature headers or secret")


def test_a_wrong_secret_or_a_changed_byte_is_an_invalid_signature(play: Play) -> None:
    """The received bytes are what is checked."""
    player = play()
    assert generate(player, secret="wrong").json["message"] == "Invalid signature"
    assert generate(player, sent=compact(BODY) + b" ").json["message"] == "Invalid signature"


@pytest.mark.parametrize(
    ("change", "field", "text"),
    [
        ({"clientId": ""}, "clientId", "The clientId field is required."),
        ({"username": None}, "username", "The username field is required."),
        ({"displayName": 5}, "displayName", "The displayName must be a string."),
        ({"clientId": "x" * 256}, "clientId", "The clientId may not be greater than 255 characters."),
        ({"username": "x" * 101}, "username", "The username may not be greater than 100 characters."),
        ({"displayName": "é" * 101}, "displayName", "The displayName may not be greater than 100 characters."),
        ({"ipAddress": "1" * 46}, "ipAddress", "The ipAddress may not be greater than 45 characters."),
        ({"expiration": 0}, "expiration", "The expiration must be at least 1."),
        ({"expiration": 1441}, "expiration", "The expiration may not be greater than 1440."),
        ({"expiration": "5"}, "expiration", "The expiration must be an integer."),
        ({"expiration": True}, "expiration", "The expiration must be an integer."),
        ({"expiration": 2.0}, "expiration", "The expiration must be an integer."),
    ],
)
def test_each_field_is_validated(play: Play, change: Any, field: str, text: str) -> None:
    """400 with the fields and their texts, and no user is made."""
    player = play()
    answer = generate(player, {**BODY, **change})
    assert answer.status == 400
    assert answer.json == {"status": "failed", "message": "Validation failed", "data": {"errors": {field: [text]}}}
    assert player.control("users").json["users"] == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"clientId":NaN}'])
def test_a_body_that_is_no_object_has_none_of_the_fields(play: Play, body: Any) -> None:
    """Everything required is named, in the documented order."""
    answer = generate(play(), body)
    assert list(answer.json["data"]["errors"]) == ["clientId", "username", "displayName", "ipAddress"]


def test_the_longest_values_are_accepted(play: Play) -> None:
    """The limits are inclusive and count characters."""
    longest = {"clientId": "c" * 255, "username": "é" * 100, "displayName": "d" * 100, "ipAddress": "1" * 45}
    assert generate(play(), {**longest, "expiration": 1440}).json["data"]["expiresIn"] == 86400


def test_a_database_that_fails_is_the_documented_500(play: Play) -> None:
    """Here it cannot store half a surrogate pair; the next request finds it in order."""
    player = play()
    answer = generate(player, b'{"clientId":"\\ud800","username":"u","displayName":"d","ipAddress":"i"}')
    assert (answer.status, answer.json["message"]) == (500, "Failed to generate auth token")
    assert answer.json["data"] == {"error": "Database connection failed"}
    assert generate(player).status == 200, "the failure was not rolled back"


@pytest.mark.parametrize("status", [400, 401, 500])
def test_each_documented_error_can_be_asked_for(play: Play, status: int) -> None:
    """--xerve-status."""
    assert generate(play(xerve_status=status)).status == status
