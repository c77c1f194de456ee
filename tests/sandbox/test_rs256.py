"""The sandbox's own RS256, against PyJWT and cryptography."""

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.providers.private_keys import rsa_pem
from tokend.sandbox.jwt_parts import BadTokenError
from tokend.sandbox.rs256 import private_key_pem, sign, verify

CLAIMS = {"b": 1, "a": "é"}


def test_what_is_signed_here_is_read_by_pyjwt_and_the_other_way_round() -> None:
    """Two implementations agree, and OpenSSL proves the key sound."""
    key = load_pem_private_key(private_key_pem().encode(), None)
    token = sign(CLAIMS, key_id="k")
    assert jwt.decode(token, key.public_key(), algorithms=["RS256"]) == CLAIMS  # type: ignore[arg-type]
    parts = verify(jwt.encode(CLAIMS, private_key_pem(), algorithm="RS256", headers={"kid": "k"}))
    assert (parts.claims, parts.header["kid"]) == (CLAIMS, "k")


def test_another_key_and_a_changed_token_are_refused() -> None:
    """Each part is under the signature."""
    head, claims, signature = sign(CLAIMS, key_id="k").split(".")
    wrong = [
        jwt.encode(CLAIMS, rsa_pem(), algorithm="RS256"),
        jwt.encode(CLAIMS, "a-key-for-tests-that-has-32-bytes!", algorithm="HS256"),
        f"{head}.{claims}.{signature[:-2]}",
        f"{head}.{claims}.{signature[:-4]}AAAA",
        f"{head}.{claims[:-2]}.{signature}",
        f"{head}.eyJiIjoyfQ.{signature}",
    ]
    for token in wrong:
        with pytest.raises(BadTokenError):
            verify(token)
