"""JWTs to the byte: the vendors' vectors, every algorithm, every form of key."""

import base64
import json
from typing import Any

import jwt as pyjwt
import pytest

from tests.providers.private_keys import ec_pem, rsa_pem
from tokend.signing.jwt import key_fault, sign
from tokend.values.secret import Secret

CLAIMS = {"sub": "somebody", "iat": 1_700_000_000}


def verified(token: str, key: Any, algorithm: str) -> Any:
    """The claims, verified by a library of another make than our serialisation."""
    return pyjwt.decode(token, key, algorithms=[algorithm], options={"verify_iat": False})


def test_the_partner_vector() -> None:
    """docs/vendors.md, jwt: byte for byte what jsonwebtoken signs."""
    claims = {"clientId": "your-client-id", "iat": 1_700_000_000, "exp": 1_700_000_900}
    assert sign(claims, Secret("your-secret-key"), algorithm="HS256") == (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
        ".eyJjbGllbnRJZCI6InlvdXItY2xpZW50LWlkIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDA5MDB9"
        ".m2Ny5IHTfO1i-eMGysA_HLMkCzr4jkag-YF-Pmm80tE"
    )


def test_the_wallet_vector() -> None:
    """docs/vendors.md, request-jwt: url, iat, exp, key, signature, in this order."""
    claims = {
        "url": "/path/to/endpoint",
        "iat": 1_700_000_000_000,
        "exp": 1_700_000_060_000,
        "key": "YOUR_AUTH_KEY",
        "signature": "3fb40efb3db0642df5ea9ba01131dd17f21c2c6a8ca59f9c4c7dddb5b14877a2",
    }
    token = sign(claims, Secret("YOUR_ENC_KEY"), algorithm="HS256")
    assert token.endswith(".PupUlJeNMzvlL1WWgnz6IWMUvh17fotBqlhOXzXB2Lg")


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_hmac_keys_are_bytes(algorithm: str) -> None:
    """Any bytes, also ones that look like a PEM, and short ones."""
    for secret in (b"k" * 64, bytes(range(256)), b"-----BEGIN PUBLIC KEY-----\n" + b"x" * 64):
        token = sign(CLAIMS, Secret(secret), algorithm=algorithm)
        jwk = pyjwt.PyJWK({"kty": "oct", "alg": algorithm, "k": base64.urlsafe_b64encode(secret).decode().rstrip("=")})
        assert verified(token, jwk, algorithm) == CLAIMS
    assert sign(CLAIMS, Secret("k"), algorithm=algorithm)


def test_the_header_and_the_claims_keep_their_order() -> None:
    """`alg`, `typ`, then the extras; compact UTF-8 JSON as JavaScript writes it."""
    token = sign({"z": "ü", "a": [1]}, Secret("k"), algorithm="HS256", header={"kid": "1", "nonce": "n"})
    head, body, _ = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split("."))
    assert head == b'{"alg":"HS256","typ":"JWT","kid":"1","nonce":"n"}'
    assert body == '{"z":"ü","a":[1]}'.encode()
    assert "=" not in token
    assert json.loads(body) == {"z": "ü", "a": [1]}


@pytest.mark.parametrize(
    ("algorithm", "key", "fault"),
    [
        ("RS256", rsa_pem(), None),
        ("PS512", rsa_pem(), None),
        ("ES256", ec_pem(), None),
        ("RS256", ec_pem(), "the key does not fit RS256"),
        ("ES384", ec_pem(), "the key does not fit ES384: a private key on the curve secp384r1 is expected"),
        ("EdDSA", rsa_pem(), "the key does not fit EdDSA"),
        (
            "RS256",
            "planted",
            "the key for RS256 is no private key without a passphrase: PEM, base64 of DER, or an Ed25519 seed is "
            "expected",
        ),
    ],
    ids=["rsa", "rsa-pss", "ec", "ec for rsa", "another curve", "rsa for ed", "no key"],
)
def test_the_fault_of_a_key_is_known_without_a_signature(algorithm: str, key: str, fault: str | None) -> None:
    """For a check of the configuration. The proof that a key is sound is left to the first signature."""
    assert key_fault(Secret(key), algorithm) == fault
