"""Signing of JWTs: compact JSON in the given order. PyJWT makes asymmetric signatures; `keys` reads the keys."""

import base64
import hmac
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from tokend.signing.keys import private_key
from tokend.values.errors import SecretError
from tokend.values.secret import Secret


def sign(claims: Mapping[str, Any], secret: Secret, *, algorithm: str, header: Mapping[str, Any] | None = None) -> str:
    """Sign ``claims``, whose order is kept. Raises `SecretError` if the key does not fit the algorithm.

    ``header`` holds extras (``kid``, ``nonce``, ``cty``); claims and extras are JSON values.
    """
    # PyJWT's own encoder writes ``typ`` before ``alg``; the vendors' samples have ``alg`` first.
    message = b".".join([_segment({"alg": algorithm, "typ": "JWT", **(header or {})}), _segment(claims)])
    try:
        if algorithm.startswith("HS"):
            # The standard library: PyJWT refuses short keys, which some vendors issue.
            signature = hmac.digest(secret.reveal_bytes(), message, f"sha{algorithm.removeprefix('HS')}")
        else:
            signature = _signer(algorithm).sign(message, private_key(secret, algorithm))
    except (TypeError, ValueError, AttributeError):
        raise SecretError(f"the key does not fit {algorithm}") from None
    return b".".join([message, _base64url(signature)]).decode("ascii")


def key_fault(secret: Secret, algorithm: str) -> str | None:
    """Return why a secret is no key for an ``algorithm`` of key pairs; None if it is one. Signs nothing."""
    import jwt  # late, as in `_signer`

    try:
        _signer(algorithm).prepare_key(private_key(secret, algorithm, prove=False))
    except SecretError as error:
        return error.detail
    except (jwt.InvalidKeyError, TypeError, ValueError):
        return f"the key does not fit {algorithm}"
    return None


@cache
def _signer(algorithm: str) -> Any:
    # A late import: with cryptography it costs 42 ms and 11 MB, and HMAC keys do not need it.
    import jwt

    return jwt.PyJWS(algorithms=[algorithm]).get_algorithm_by_name(algorithm)


def _segment(value: Mapping[str, Any]) -> bytes:
    return _base64url(json.dumps(dict(value), separators=(",", ":"), ensure_ascii=False).encode("utf-8"))


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
