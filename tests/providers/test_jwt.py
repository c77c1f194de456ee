"""Kind ``jwt``: the claims and headers that are signed, the times, and the options."""

import base64
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.providers.live import NOW, LiveRuntime, at, env
from tests.providers.private_keys import rsa_pem
from tokend.plugin.provider import Provider
from tokend.providers.jwt import Jwt
from tokend.values.errors import SecretError
from tokend.values.secret import Secret
from tokend.values.tokens import Token

VECTOR = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
    ".eyJjbGllbnRJZCI6InlvdXItY2xpZW50LWlkIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDA5MDB9"
    ".m2Ny5IHTfO1i-eMGysA_HLMkCzr4jkag-YF-Pmm80tE"
)


def settings(**more: Any) -> Jwt:
    """Return the settings of a partner, as in docs/kinds.md."""
    return Jwt.model_validate({"secret": "your-secret-key", "claims": {"clientId": "your-client-id"}, **more})


def minted(made: Jwt, unix: float = NOW) -> Token:
    """Mint one token."""

    async def main() -> Token:
        return await made.fetch(LiveRuntime(made, unix=unix), None)

    return anyio.run(main)


def parts(token: Token) -> tuple[Any, Any]:
    """Return header and claims, unverified."""
    head, body, _ = token.value.reveal().split(".")
    decoded = [json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in (head, body)]
    return decoded[0], decoded[1]


def test_the_published_vector_is_met() -> None:
    """docs/vendors.md, jwt; HS256 and 15 minutes are the defaults."""
    token = minted(settings())
    assert token.value.reveal() == VECTOR
    assert token.headers["Authorization"].reveal() == f"Bearer {VECTOR}"
    assert token.token_type == "Bearer"
    assert (token.issued_at, token.expires_at) == (at(NOW), at(NOW + 900))
    assert settings().fresh_life_seconds() == 900
    assert isinstance(settings(), Provider)


def test_times_are_whole_seconds_rounded_down() -> None:
    """Servers with PyJWT refuse an iat in the future. The lease never outlives exp."""
    token = minted(settings(), NOW + 0.9)
    assert token.value.reveal() == VECTOR
    assert token.expires_at is not None
    assert token.expires_at.wall.timestamp() == pytest.approx(NOW + 900, abs=1e-3)
    assert token.life_seconds == pytest.approx(900)


def test_claims_keep_their_order_and_times_follow() -> None:
    """The order is that of the vendor's sample: configured claims, iat, exp, jti."""
    _, claims = parts(minted(settings(claims={"z": 1, "a": {"y": [True]}, "clientId": "x"}, jti=True)))
    assert list(claims) == ["z", "a", "clientId", "iat", "exp", "jti"]
    assert claims["a"] == {"y": [True]}


def test_the_knobs_turn() -> None:
    """Milliseconds, an earlier iat, extra headers, and a fresh nonce and jti for each token."""
    made = settings(time_unit="ms", backdate="60s", ttl="10m", header={"kid": "k1", "cty": "x"}, nonce=True, jti=True)
    token = minted(made)
    head, claims = parts(token)
    assert list(head) == ["alg", "typ", "kid", "cty", "nonce"]
    assert claims["iat"] == (NOW - 60) * 1000
    assert claims["exp"] == (NOW + 540) * 1000
    assert (token.issued_at, token.expires_at) == (at(NOW), at(NOW + 540))
    assert made.fresh_life_seconds() == 540
    other_head, other_claims = parts(minted(made))
    assert head["nonce"] != other_head["nonce"]
    assert claims["jti"] != other_claims["jti"]


def test_an_elliptic_key_in_one_line_signs() -> None:
    """Environment variables hold a PEM with literal "\\n" sequences."""
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    token = minted(settings(secret=key.decode().replace("\n", "\\n"), algorithm="ES256"))
    assert parts(token)[0]["alg"] == "ES256"


def test_a_key_of_another_algorithm_is_a_configuration_error() -> None:
    """The attempt fails with a configuration error, not as a bug."""
    with pytest.raises(SecretError, match="RS256"):
        minted(settings(algorithm="RS256"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"claims": {"iat": 1}},
        {"claims": {"exp": 1}},
        {"claims": {"jti": "x"}},
        {"claims": {"since": datetime(2026, 1, 1, tzinfo=UTC)}},
        {"claims": {"since": [date(2026, 1, 1)]}},
        {"claims": {"n": float("nan")}},
        {"claims": {"n": float("inf")}},
        {"header": {"alg": "none"}},
        {"header": {"typ": "x"}},
        {"header": {"crit": ["x"]}},
        {"header": {"x": date(2026, 1, 1)}},
        {"header": {"nonce": "x"}, "nonce": True},
        {"ttl": "500ms"},
        {"ttl": "1500ms"},
        {"ttl": 900},
        {"backdate": "15m"},
        {"backdate": "20m"},
        {"algorithm": "none"},
        {"algorithm": "hs256"},
        {"time_unit": "us"},
    ],
    ids=str,
)
def test_what_cannot_be_signed_is_a_configuration_error(wrong: dict[str, Any]) -> None:
    """The error appears when the configuration is loaded, not at the first attempt."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        settings(**wrong)


@pytest.mark.parametrize(
    ("secret", "algorithm", "count"), [("x" * 31, "HS256", 1), ("x" * 32, "HS256", 0), ("x", "ES256", 0)]
)
def test_a_short_key_is_warned_about(secret: str, algorithm: str, count: int) -> None:
    """RFC 7518, 3.2 demands longer keys, but vendors hand out short ones."""
    warnings = settings(algorithm=algorithm).warnings({"secret": Secret(secret)})
    assert len(warnings) == count
    assert settings().warnings({}) == ()


def test_all_that_is_signed_is_the_account() -> None:
    """A change of a signed value withdraws the old token. Minting has no minimum interval."""
    assert settings().account_fields == settings().request_fields() - {"kind"}
    assert Jwt.local
    assert settings().upstream is None
    assert Jwt(secret=env("X")).ttl == timedelta(minutes=15)


def test_a_key_that_cannot_sign_is_a_fault_of_the_secret() -> None:
    """An error of a check. HMAC takes any key, and what cannot be read is reported as such."""
    made = settings(algorithm="RS256")
    assert made.unusable_secrets({"secret": Secret("planted")}).keys() == {"secret"}
    assert made.unusable_secrets({"secret": Secret(rsa_pem())}) == {}
    assert made.unusable_secrets({}) == {}
    assert settings().unusable_secrets({"secret": Secret("planted")}) == {}
