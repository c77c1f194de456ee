"""Rules between the keys of kind ``oauth2``."""

from typing import Any

import pytest

from tests.providers.live import env
from tests.providers.oauth2.asking import faults_of

KEY = env("API_KEY")
LOGIN: dict[str, Any] = {"grant": "authorization_code", "client_secret": None}
SIGNS: dict[str, Any] = {"grant": "jwt_bearer", "client_secret": None}


@pytest.mark.parametrize(
    ("keys", "where", "why"),
    [
        ({"token_url": None}, "token_url", "it is missing"),
        ({"client_id": None}, "client_id", "it is missing"),
        ({"client_secret": None}, "client_secret", "needs what proves the client"),
        ({**LOGIN, "grant": "refresh_token"}, "refresh_token", "it is missing"),
        (LOGIN, "authorize_url", "it is missing"),
        ({**LOGIN, "grant": "device_code"}, "device_url", "it is missing"),
        ({"grant": "token_exchange"}, "subject_token", "it is missing"),
        (
            {"grant": "token_exchange", "subject_token": KEY, "actor_token_type": "urn:x"},
            "actor_token_type",
            "goes with actor_token",
        ),
        ({"grant": "token_exchange", "subject_token": KEY, "client_id": None}, "client_id", "needs its name"),
        (SIGNS, "private_key", "needs private_key and claims"),
        ({**SIGNS, "private_key": KEY}, "claims", "they are missing"),
        ({**SIGNS, "assertion": KEY, "claims": {"sub": "x"}}, "assertion", "ready-made"),
        ({"assertion": KEY}, "assertion", 'it goes with grant = "jwt_bearer"'),
        ({"login_lifetime": "7d"}, "login_lifetime", "(no login)"),
        ({"refresh_token": KEY}, "refresh_token", "(no login)"),
        ({"private_key": KEY}, "private_key", "client_secret and private_key: the client authenticates in one way"),
        ({"client_assertion": KEY}, "client_assertion", "one way"),
        ({"client_auth": "none"}, "client_auth", "does not use client_secret"),
        ({"client_secret": None, "client_auth": "private_key_jwt"}, "client_auth", "needs private_key"),
        ({"client_secret": None, "client_auth": "client_secret_post"}, "client_auth", "needs client_secret"),
        ({"client_secret": None, "client_auth": "tls_client_auth"}, "client_auth", "needs client_cert"),
        ({"private_key_id": "k"}, "private_key_id", "nothing is signed here"),
        (
            {"client_secret": None, "private_key": KEY, "assertion_algorithm": "HS256"},
            "assertion_algorithm",
            "does not sign with a private key",
        ),
        (
            {"client_secret": None, "private_key": KEY, "assertion_audience": "isuer"},
            "assertion_audience",
            'did you mean "issuer"',
        ),
        (
            {"client_secret": None, "private_key": KEY, "assertion_audience": "issuer"},
            "assertion_audience",
            "needs issuer",
        ),
        (
            {"errors": [{"status": 400, "means": "login_required"}]},
            "errors.0.means",
            "needs a login",
        ),
        ({"headers": {"X": "{tokn}"}}, "headers.X", 'did you mean "token"'),
        ({"headers": {"X": "{"}}, "headers.X", "character 1"),
        (
            {**LOGIN, "authorize_url": "https://a.example", "refresh_parameters": {"x": "{code_verifer}"}},
            "refresh_parameters.x",
            'did you mean "code_verifier"',
        ),
        ({"scope": ["a b"]}, "scope.0", "write each scope by itself"),
        ({"scope": ["a,b"], "scope_separator": ","}, "scope.0", "a scope holds ,"),
        (
            {"token_url": None, "resource": ["https://a.example", "https://b.example"]},
            "resource",
            "names the server only if it is one",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused_at_its_key(keys: dict[str, Any], where: str, why: str) -> None:
    """One fault, with what to do."""
    found = faults_of(**keys)
    assert list(found) == [where], found
    assert why in found[where]


@pytest.mark.parametrize("secret", ["client_secret", "private_key", "client_assertion"])
def test_a_resource_alone_chooses_no_server_for_a_secret(secret: str) -> None:
    """RFC 9728: the owner of the resource would choose who gets it."""
    keys = {"client_secret": None, secret: KEY, "token_url": None, "resource": "https://mcp.example/"}
    found = faults_of(**{**LOGIN, **keys})
    assert found.keys() == {"issuer"}
    assert secret in found["issuer"]
    assert faults_of(**{**LOGIN, **keys, "issuer": "https://a.example"}) == {}


@pytest.mark.parametrize(
    "keys",
    [
        {"client_secret": None, "client_auth": "none"},
        {"client_secret": None, "client_assertion": KEY, "client_id": None},
        {"client_secret": None, "private_key": KEY},
        {"client_auth": "client_secret_jwt", "assertion_algorithm": "HS512"},
        {**SIGNS, "private_key": KEY, "claims": {"sub": "x"}, "client_id": None},
        {**SIGNS, "private_key": KEY, "claims": {"sub": "x"}, "client_secret": KEY},
        {**SIGNS, "private_key": KEY, "claims": {"sub": "x"}, "client_auth": "private_key_jwt"},
        {**SIGNS, "assertion": KEY},
        {"grant": "token_exchange", "subject_token": KEY, "client_id": None, "client_secret": None},
        {**LOGIN, "token_url": None, "resource": "https://mcp.example/a", "client_id": "https://me.example/client.json"},
        {**LOGIN, "token_url": None, "issuer": "https://a.example", "redirect_uri": "http://[::1]:8/x", "pkce": False},
        {**LOGIN, "grant": "refresh_token", "refresh_token": KEY, "login_lifetime": "7d"},
        {
            **LOGIN, "grant": "refresh_token", "refresh_token": KEY, "client_secret": None, "client_id": None,
            "client_auth": "none",
        },
    ],
)  # fmt: skip
def test_what_fits_together_is_accepted(keys: dict[str, Any]) -> None:
    """Each grant with what it needs."""
    assert faults_of(**keys) == {}
