"""Signatures of key pairs, as the sandbox checks them."""

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tokend.sandbox.hs256 import BadTokenError
from tokend.sandbox.key_pairs import verify

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = (
    KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
)


def test_a_token_of_this_key_gives_its_claims() -> None:
    """Signed by the library that tokend uses."""
    assert verify(jwt.encode({"sub": "x"}, KEY, "ES256"), PEM) == {"sub": "x"}


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b",
        jwt.encode({}, "fake-secret-with-enough-bytes-for-hs256", "HS256"),
        "eyJhbGciOiJub25lIn0.e30.AA",
        jwt.encode({}, KEY, "ES256")[:-8] + "AAAAAAAA",
        jwt.encode({}, KEY, "ES256")[:-4],
        jwt.encode({}, ec.generate_private_key(ec.SECP256R1()), "ES256"),
    ],
)
def test_any_other_token_is_refused(token: str) -> None:
    """Another form, algorithm, length or key."""
    with pytest.raises(BadTokenError):
        verify(token, PEM)


def test_without_a_key_nothing_is_accepted() -> None:
    """The key is no PEM then."""
    with pytest.raises(BadTokenError, match="PEM"):
        verify(jwt.encode({}, KEY, "ES256"), "")
