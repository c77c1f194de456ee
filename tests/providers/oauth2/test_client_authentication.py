"""Client authentication: each way, byte for byte as servers read it."""

import base64
import json
from functools import partial
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.providers.live import ENVIRON, NOW, env
from tests.providers.oauth2.asking import ask, basic, error_of, form, granted, said, sent, settings
from tests.providers.oauth2.discovering import discover
from tokend.values.errors import SecretError
from tokend.values.secret import Secret

KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
PEMS = {
    name: key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    for name, key in KEYS.items()
}
BY_KEY: dict[str, Any] = {"client_secret": None, "private_key": env("API_KEY")}
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def with_key(name: str) -> dict[str, Any]:
    return {"environ": {**ENVIRON, "API_KEY": PEMS[name]}}


def signed_with(name: str, **keys: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """Return header and claims of the assertion of a request, whose signature is checked, and the parameters."""
    request = sent(**{**BY_KEY, **keys}, runtime=with_key(name))
    parameters = form(request)
    assert "authorization" not in request.headers
    assertion = parameters["client_assertion"]
    header = jwt.get_unverified_header(assertion)
    key = KEYS[name].public_key()
    claims = jwt.decode(
        assertion, key, [header["alg"]], options={"verify_aud": False, "verify_exp": False, "verify_iat": False}
    )
    return header, claims, parameters


def test_basic_encodes_name_and_secret_as_forms_do() -> None:
    """RFC 6749, 2.3.1: a colon, a percent sign, a space, letters beyond ASCII."""
    request = sent(client_id="https://me.example/a:b c", runtime={"environ": {**ENVIRON, "CLIENT_SECRET": "p%4+/ ü:"}})
    assert basic(request) == "https%3A%2F%2Fme.example%2Fa%3Ab+c:p%254%2B%2F+%C3%BC%3A"
    assert form(request) == {"grant_type": "client_credentials"}


def test_post_has_name_and_secret_among_the_parameters() -> None:
    """And no header."""
    request = sent(client_auth="client_secret_post")
    assert "authorization" not in request.headers
    assert form(request) == {
        "grant_type": "client_credentials", "client_id": "fake-client", "client_secret": "your-secret-key",
    }  # fmt: skip


def test_none_and_a_certificate_have_the_name_alone() -> None:
    """RFC 8705, 2: the connection proves the client."""
    request = sent(client_secret=None, client_auth="none")
    assert form(request) == {"grant_type": "client_credentials", "client_id": "fake-client"}
    assert "authorization" not in request.headers


@pytest.mark.parametrize("name", KEYS)
def test_a_key_signs_with_its_usual_algorithm(name: str) -> None:
    """Unless the settings say another one; all claims of RFC 7523, 3."""
    header, claims, parameters = signed_with(name, private_key_id="k1")
    assert header == {"alg": name, "typ": "JWT", "kid": "k1"}
    assert {key: claims[key] for key in ("iss", "sub", "iat", "exp")} == {
        "iss": "fake-client", "sub": "fake-client", "iat": NOW, "exp": NOW + 300,
    }  # fmt: skip
    assert claims["aud"].endswith("/token")
    assert len(claims["jti"]) >= 22
    assert (parameters["client_id"], parameters["client_assertion_type"]) == ("fake-client", ASSERTION)


def test_the_audience_is_the_issuer_where_it_is_known() -> None:
    """RFC 10070, with its type; the token URL or another URL where the settings say so."""
    known = {"issuer": "https://login.example/"}
    header, claims, _ = signed_with("ES256", **known, assertion_algorithm="ES256", assertion_lifetime="1m")
    assert (header["typ"], claims["aud"]) == ("client-authentication+jwt", "https://login.example/")
    assert claims["exp"] - claims["iat"] == 60
    header, claims, _ = signed_with("RS256", **known, assertion_audience="token_url", assertion_algorithm="PS512")
    assert (header["typ"], header["alg"], claims["aud"].rpartition("/")[2]) == ("JWT", "PS512", "token")
    header, claims, _ = signed_with("RS256", **known, assertion_audience="https://other.example")
    assert (header["typ"], claims["aud"]) == ("JWT", "https://other.example")


def test_each_assertion_has_its_own_id() -> None:
    """A server refuses one that comes twice."""
    ids = {signed_with("ES256")[1]["jti"] for _ in range(3)}
    assert len(ids) == 3


def test_a_secret_may_sign_as_well() -> None:
    """client_secret_jwt."""
    parameters = form(sent(client_auth="client_secret_jwt"))
    header, payload, _ = parameters["client_assertion"].split(".")
    assert json.loads(base64.urlsafe_b64decode(header + "=="))["alg"] == "HS256"
    assert json.loads(base64.urlsafe_b64decode(payload + "=="))["sub"] == "fake-client"
    assert "client_secret" not in parameters


def test_a_ready_made_assertion_is_sent_as_it_is() -> None:
    """As a pod's identity token is, with and without the client's name."""
    parameters = form(sent(client_secret=None, client_assertion=env("API_KEY"), client_id=None))
    assert parameters == {
        "grant_type": "client_credentials", "client_assertion_type": ASSERTION, "client_assertion": "fake-api-key",
    }  # fmt: skip


def test_a_key_that_does_not_fit_causes_no_request() -> None:
    """The message says so, without the key."""
    outcome, loopback = ask(granted(), **BY_KEY)
    assert isinstance(outcome, SecretError)
    assert loopback.requests == []
    assert "fake-api-key" not in str(outcome)


@pytest.mark.parametrize("name", KEYS)
def test_a_check_finds_a_key_that_cannot_sign(name: str) -> None:
    """With the usual algorithm or the written one."""
    made = settings(**BY_KEY)
    assert made.unusable_secrets({"private_key": Secret(PEMS[name])}) == {}
    assert made.unusable_secrets({}) == {}
    assert made.unusable_secrets({"private_key": Secret("planted")}).keys() == {"private_key"}
    other = settings(**BY_KEY, assertion_algorithm="ES512")
    assert "planted" not in str(other.unusable_secrets({"private_key": Secret(PEMS[name])}))
    assert other.unusable_secrets({"private_key": Secret(PEMS[name])}).keys() == {"private_key"}


def test_a_server_that_takes_the_secret_in_the_body_alone_gets_it_there() -> None:
    """Its metadata say so; what the settings name counts before."""

    def metadata(methods: list[str], url: str) -> dict[str, Any]:
        return {"issuer": url, "token_endpoint": f"{url}/token", "token_endpoint_auth_methods_supported": methods}

    for methods, way, in_body in (
        (["client_secret_post"], None, True),
        (["client_secret_basic", "client_secret_post"], None, False),
        ([], None, False),
        (["client_secret_post"], "client_secret_basic", False),
    ):
        outcome, loopback = discover(partial(metadata, methods), granted(), client_auth=way)
        assert ("client_secret" in form(loopback.requests[-1])) is in_body, outcome


def test_what_was_signed_is_masked_in_the_words_of_the_server() -> None:
    """A server may echo the assertion."""
    error = error_of(said(400, error="invalid_scope", error_description="fake-api-key"), client_secret=None,
                     client_assertion=env("API_KEY"))  # fmt: skip
    assert error.said == "***: invalid_scope"
