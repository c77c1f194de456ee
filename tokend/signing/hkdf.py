"""HKDF-SHA256 (RFC 5869): a key of 32 bytes per purpose from one secret. Pure; the standard library is enough."""

import hmac

# One block of SHA-256: a longer key would need further rounds.
KEY_BYTES = 32
# RFC 5869, 2.2: without a salt, as many zeros as the hash has bytes.
_NO_SALT = bytes(32)


def sub_key(secret: bytes, purpose: bytes) -> bytes:
    """Derive the key of 32 bytes for one purpose. Keys of different purposes say nothing about each other.

    ``secret`` has the strength of a key: HKDF makes no guessable secret stronger.
    """
    extracted = hmac.digest(_NO_SALT, secret, "sha256")
    return hmac.digest(extracted, purpose + b"\x01", "sha256")
