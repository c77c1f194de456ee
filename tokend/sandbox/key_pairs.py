"""Signatures of key pairs (RFC 7515, RFC 7518): JWTs that a client signs with its private key.

The form is read here, as in `hs256`; ``cryptography`` does the arithmetic and is imported on use.
"""

from typing import Any

from tokend.sandbox.jwt_parts import BadTokenError, decode, object_of

_BYTES_OF_P256 = 32


def verify(token: str, public_key: str) -> dict[str, Any]:
    """Return the claims of a token that the key of this PEM text has signed. Raises `BadTokenError`."""
    parts = token.split(".")
    if len(parts) != 3:
        raise BadTokenError("not three parts")
    algorithm = object_of(parts[0]).get("alg")
    _check(str(algorithm), public_key, decode(parts[2]), f"{parts[0]}.{parts[1]}".encode())
    return object_of(parts[1])


def _check(algorithm: str, public_key: str, signature: bytes, signed: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    try:
        key = serialization.load_pem_public_key(public_key.encode())
    except ValueError:
        raise BadTokenError("the public key is not PEM") from None
    sha256 = hashes.SHA256()
    try:
        match key:
            case rsa.RSAPublicKey() if algorithm == "RS256":
                key.verify(signature, signed, padding.PKCS1v15(), sha256)
            case rsa.RSAPublicKey() if algorithm == "PS256":
                key.verify(signature, signed, padding.PSS(padding.MGF1(sha256), salt_length=32), sha256)
            case ec.EllipticCurvePublicKey() if algorithm == "ES256" and len(signature) == 2 * _BYTES_OF_P256:
                r, s = (int.from_bytes(half) for half in (signature[:_BYTES_OF_P256], signature[_BYTES_OF_P256:]))
                key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(sha256))
            case ed25519.Ed25519PublicKey() if algorithm in {"EdDSA", "Ed25519"}:
                key.verify(signature, signed)
            case _:
                raise BadTokenError("the algorithm is not one of this key")
    except InvalidSignature:
        raise BadTokenError("wrong signature") from None
