"""HS256 without a library (RFC 7515, RFC 7519), so that an error of the library that tokend signs with is found.

Checks form and signature only. The vendors interpret the claims (seconds or milliseconds, expired or not).
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

# Key of the tokens that the sandbox issues. Fixed, so that they stay valid over a restart; it protects nothing.
ISSUER_KEY = b"tokend-sandbox-issuer-key-that-protects-nothing"


class BadTokenError(Exception):
    """The text is no JWT, not HS256, or not signed with this key. The message never quotes the token."""


def sign(claims: Mapping[str, Any], key: bytes) -> str:
    """Return a JWT with these claims, in their order."""
    signing_input = _encode(b'{"alg":"HS256","typ":"JWT"}') + "." + _encode(_compact(claims))
    return signing_input + "." + _encode(hmac.digest(key, signing_input.encode(), hashlib.sha256))


def verify(token: str, key: bytes) -> dict[str, Any]:
    """Return the claims of a token that was signed with this key. Raises `BadTokenError`."""
    parts = token.split(".")
    if len(parts) != 3:
        raise BadTokenError("not three parts")
    header, claims = object_of(parts[0]), object_of(parts[1])
    if header.get("alg") != "HS256":
        raise BadTokenError("not HS256")
    expected = hmac.digest(key, f"{parts[0]}.{parts[1]}".encode(), hashlib.sha256)
    if not hmac.compare_digest(decode(parts[2]), expected):
        raise BadTokenError("wrong signature")
    return claims


def _compact(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Decode base64url without padding. Raises `BadTokenError`."""
    # Python's decoder skips characters outside of base64url; a JWT has none.
    if not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise BadTokenError("not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def object_of(part: str) -> dict[str, Any]:
    """Return the JSON object that one part of a JWT holds. Raises `BadTokenError`."""
    try:
        value = json.loads(decode(part))
    except (ValueError, RecursionError):
        raise BadTokenError("not JSON") from None
    if not isinstance(value, dict):
        raise BadTokenError("not an object")
    return value
