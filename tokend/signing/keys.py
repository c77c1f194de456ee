"""Parsing of private keys, in every form that vendors issue. No parsed key is kept: a key that was replaced, or is
used once an hour, must not stay in memory.

OpenSSL takes 35 ms to prove that an RSA key is sound, and 0.02 ms to parse it. The proof is made once per key: digests
of the sound ones are kept, salted with a value that only this process knows.
"""

import base64
import hashlib
import os
from contextlib import suppress
from typing import Any

from tokend.values.errors import SecretError
from tokend.values.secret import Secret

# RS256: 27 signatures a second with the proof each time, 1,700 without it.
DIGESTS_KEPT = 4096
ED25519_SEED_BYTES = 32
# RFC 7518, 3.4: the algorithm fixes the curve; PyJWT accepts any.
CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}


_SALT = os.urandom(32)
_sound: set[bytes] = set()


def private_key(secret: Secret, algorithm: str, *, prove: bool = True) -> Any:
    """Parse a key for ``algorithm``; returns a key object of ``cryptography``.

    Forms: PEM or its base64, PEM with literal ``\\n``, DER or its base64, and for EdDSA the 32-byte seed, alone or
    followed by its public key, raw or as base64 or hex. ``prove`` is false for a key that signs nothing: the proof that
    an RSA key is sound is left out. Raises `SecretError`.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    digest = hashlib.blake2b(secret.reveal_bytes(), key=_SALT, digest_size=32).digest()
    proved = digest in _sound or not prove
    for form in _forms(secret.reveal_bytes()):
        try:
            if b"-----BEGIN" in form:
                key: Any = serialization.load_pem_private_key(
                    form.strip(), password=None, unsafe_skip_rsa_key_validation=proved
                )
            elif algorithm == "EdDSA" and (seeded := _from_seed(form)) is not None:
                key = seeded
            else:
                key = serialization.load_der_private_key(form, password=None, unsafe_skip_rsa_key_validation=proved)
        except (ValueError, TypeError, UnsupportedAlgorithm):  # the last for a curve that cryptography does not have
            continue
        if prove:
            _remember(digest)
        wanted = CURVES.get(algorithm)
        if wanted is not None and getattr(getattr(key, "curve", None), "name", None) != wanted:
            raise SecretError(f"the key does not fit {algorithm}: a private key on the curve {wanted} is expected")
        return key
    raise SecretError(
        f"the key for {algorithm} is no private key without a passphrase: PEM, base64 of DER, or an Ed25519 seed is "
        "expected"
    )


def _remember(digest: bytes) -> None:
    if len(_sound) >= DIGESTS_KEPT:
        _sound.clear()
    _sound.add(digest)


def _forms(raw: bytes) -> list[bytes]:
    """List the readings of the bytes, the most explicit first."""
    if b"-----BEGIN" in raw:
        return [raw.replace(b"\\r", b"").replace(b"\\n", b"\n")]
    forms = []
    with suppress(ValueError):
        forms.append(bytes.fromhex(raw.decode("ascii")))
    with suppress(ValueError):  # binascii.Error is one
        text = raw.translate(bytes.maketrans(b"-_", b"+/"), b" \t\r\n").rstrip(b"=")
        forms.append(base64.b64decode(text + b"=" * (-len(text) % 4), validate=True))
    return [*forms, raw]


def _from_seed(form: bytes) -> Any:
    """Make a key from an Ed25519 seed; None if ``form`` is no seed.

    64 bytes are a seed only if the second half is its public key: the hex text of a seed has that length, too.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if len(form) not in {ED25519_SEED_BYTES, 2 * ED25519_SEED_BYTES}:
        return None
    key = Ed25519PrivateKey.from_private_bytes(form[:ED25519_SEED_BYTES])
    public = form[ED25519_SEED_BYTES:]
    return key if public in (b"", key.public_key().public_bytes_raw()) else None
