"""HS256 without a library (RFC 7515, RFC 7519), so that an error of the library that tokend signs with is found.

Checks form and signature only. The vendors interpret the claims (seconds or milliseconds, expired or not).
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from tokend.sandbox.jwt_parts import BadTokenError, base64url, parts_of, segment

__all__ = ["ISSUER_KEY", "BadTokenError", "sign", "verify"]

# Key of the tokens that the sandbox issues. Fixed, so that they stay valid over a restart; it protects nothing.
ISSUER_KEY = b"tokend-sandbox-issuer-key-that-protects-nothing"


def sign(claims: Mapping[str, Any], key: bytes) -> str:
    """Return a JWT with these claims, in their order."""
    signing_input = segment({"alg": "HS256", "typ": "JWT"}) + "." + segment(claims)
    return signing_input + "." + base64url(hmac.digest(key, signing_input.encode(), hashlib.sha256))


def verify(token: str, key: bytes) -> dict[str, Any]:
    """Return the claims of a token that was signed with this key. Raises `BadTokenError`."""
    parts = parts_of(token, "HS256")
    if not hmac.compare_digest(hmac.digest(key, parts.signed, hashlib.sha256), parts.signature):
        raise BadTokenError("wrong signature")
    return parts.claims
