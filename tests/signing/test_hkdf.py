"""Keys derived by HKDF."""

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tokend.signing.hkdf import sub_key


def test_the_test_vector_of_rfc_5869_without_a_salt() -> None:
    """RFC 5869, A.3: its first 32 bytes, which one block is."""
    found = sub_key(bytes.fromhex("0b" * 22), b"")
    assert found.hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"


@pytest.mark.parametrize("purpose", [b"", b"tokend state record", b"x" * 300])
def test_another_implementation_derives_the_same_key(purpose: bytes) -> None:
    """The one of `cryptography`, for any purpose."""
    secret = b"a-planted-fake-secret-of-32-bytes"
    assert sub_key(secret, purpose) == HKDF(SHA256(), 32, None, purpose).derive(secret)


def test_each_purpose_has_a_key_of_its_own() -> None:
    """And so has each secret."""
    keys = {sub_key(secret, purpose) for secret in (b"a" * 32, b"b" * 32) for purpose in (b"one", b"two", b"on")}
    assert len(keys) == 6
