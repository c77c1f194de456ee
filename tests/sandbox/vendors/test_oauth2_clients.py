"""Client authentication at the sandbox's OAuth 2 server."""

import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.sandbox.browsing import CLIENT, SECRET, TOKEN, basic, post
from tests.sandbox.player import Answer, Play, Player

KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
KEYS["PS256"] = KEYS["RS256"]


def assertion(player: Player, key: Any, algorithm: str, **changed: Any) -> str:
    claims = {
        "iss": CLIENT, "sub": CLIENT, "aud": f"{player.sandbox.url}/oauth2", "jti": str(time.monotonic_ns()),
        "iat": int(time.time()), "exp": int(time.time()) + 300, **changed,
    }  # fmt: skip
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, algorithm)


def ask(player: Player, token: str, **more: str) -> Answer:
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    fields = {"grant_type": "client_credentials", "client_assertion_type": kind, "client_assertion": token, **more}
    return post(player, TOKEN, fields)


def played_with(play: Play, algorithm: str, tmp_path: Path) -> Player:
    pem = tmp_path / "key.pem"
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem.write_bytes(KEYS[algorithm].public_key().public_bytes(serialization.Encoding.PEM, form))
    return play(oauth2_public_key=str(pem))


def test_id_and_secret_are_form_urlencoded_before_base64(play: Play) -> None:
    """RFC 6749, section 2.3.1; a server that does not decode would find another secret."""
    player = play(oauth2_client_id="a:b", oauth2_client_secret="50% + é")
    fields = {"grant_type": "client_credentials"}
    assert post(player, TOKEN, fields, **basic("a%3Ab", "50%25+%2B+%C3%A9")).status == 200
    refused = post(player, TOKEN, fields, **basic("a%3Ab", "wrong"))
    assert (refused.status, refused.json["error"]) == (401, "invalid_client")
    assert refused.headers["www-authenticate"].startswith("Basic")


def test_id_and_secret_in_the_body(play: Play) -> None:
    """client_secret_post; beside a header it is an error."""
    player = play()
    fields = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": SECRET}
    assert post(player, TOKEN, fields).status == 200
    assert post(player, TOKEN, {**fields, "client_secret": "wrong"}).status == 401
    assert post(player, TOKEN, fields, **basic()).json["error"] == "invalid_request"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_an_assertion_with_a_private_key(play: Play, tmp_path: Path, algorithm: str) -> None:
    """Once, for the issuer or the token URL."""
    player, key = played_with(play, algorithm, tmp_path), KEYS[algorithm]
    token = assertion(player, key, algorithm)
    assert ask(player, token).status == 200
    assert ask(player, token).json["error"] == "invalid_client"
    assert ask(player, assertion(player, key, algorithm, aud=f"{player.sandbox.url}{TOKEN}")).status == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "https://other.example"},
        {"iss": "somebody"},
        {"exp": -120},
        {"exp": 8000},
        {"exp": None},
        {"jti": None},
        {"iat": 900},
    ],
)
def test_an_assertion_that_is_not_in_order_is_refused(play: Play, changed: dict[str, Any]) -> None:
    """Each claim counts. Numbers are seconds from now."""
    player = play(oauth2_client_secret="fake-secret-with-enough-bytes-for-hs256")
    key = "fake-secret-with-enough-bytes-for-hs256"
    assert ask(player, assertion(player, key, "HS256")).status == 200
    # Not from the collection of the tests: minutes may lie between.
    now = int(time.time())
    there = {name: now + value if isinstance(value, int) else value for name, value in changed.items()}
    refused = ask(player, assertion(player, key, "HS256", **there))
    assert (refused.status, refused.json["error"]) == (401, "invalid_client")


def test_a_signature_of_another_key_is_refused(play: Play, tmp_path: Path) -> None:
    """And so is every signature where no key is known."""
    player, other = played_with(play, "ES256", tmp_path), ec.generate_private_key(ec.SECP256R1())
    assert ask(player, assertion(player, other, "ES256")).status == 401
    assert ask(player, assertion(player, KEYS["RS256"], "RS256")).status == 401
    assert ask(play(), assertion(player, KEYS["ES256"], "ES256")).status == 401
    assert ask(player, "no.token").status == 401


def test_a_client_without_a_secret_cannot_ask_for_itself(play: Play) -> None:
    """And one that has a secret must show it."""
    player = play()
    fields = {"grant_type": "client_credentials", "client_id": "sandbox-oauth2-app"}
    assert post(player, TOKEN, fields).json["error"] == "unauthorized_client"
    assert post(player, TOKEN, {**fields, "client_id": CLIENT}).json["error"] == "invalid_client"


def test_a_server_may_accept_one_method_only(play: Play) -> None:
    """As its metadata says."""
    player = play(oauth2_client_auth="client_secret_post")
    found = player.call("GET", "/.well-known/oauth-authorization-server/oauth2").json
    assert found["token_endpoint_auth_methods_supported"] == ["client_secret_post"]
    assert post(player, TOKEN, {"grant_type": "client_credentials"}, **basic()).status == 401


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ("Basic !", "invalid_client"),
        ("Basic bm8tY29sb24=", "invalid_client"),
        (basic("%FF", "x")["Authorization"], "invalid_client"),
        ("Bearer " + basic()["Authorization"].partition(" ")[2], "invalid_client"),
    ],
)
def test_a_header_that_is_not_basic_with_id_and_secret_is_refused(play: Play, header: str, error: str) -> None:
    """No base64, no colon, no UTF-8, another scheme."""
    refused = post(play(), TOKEN, {"grant_type": "client_credentials"}, Authorization=header)
    assert (refused.status, refused.json["error"]) == (401, error)


def test_what_contradicts_itself_is_an_invalid_request(play: Play) -> None:
    """Another id beside the header, and an assertion of an unknown type."""
    player = play()
    fields = {"grant_type": "client_credentials"}
    assert post(player, TOKEN, {**fields, "client_id": "other"}, **basic()).json["error"] == "invalid_request"
    assert ask(player, "x", client_assertion_type="unknown").json["error"] == "invalid_request"


def test_an_audience_may_be_a_list_of_one(play: Play) -> None:
    """Some libraries write it so; two audiences are refused."""
    player = play(oauth2_client_secret="fake-secret-with-enough-bytes-for-hs256")
    key, own = "fake-secret-with-enough-bytes-for-hs256", f"{player.sandbox.url}/oauth2"
    assert ask(player, assertion(player, key, "HS256", aud=[own])).status == 200
    assert ask(player, assertion(player, key, "HS256", aud=[own, "https://other.example"])).status == 401
