"""Parts of a JWT in its compact form (RFC 7515, RFC 7519), without a library. `hs256` and `rs256` sign and verify."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class BadTokenError(Exception):
    """The text is no JWT, of another algorithm, or not signed with this key. The message never quotes the token."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A JWT whose signature has not been verified. ``signed`` are the bytes that the signature is over."""

    header: Mapping[str, Any]
    claims: dict[str, Any]
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def parts_of(token: str, algorithm: str) -> Parts:
    """Split a token of this algorithm. Raises `BadTokenError`."""
    texts = token.split(".")
    if len(texts) != 3:
        raise BadTokenError("not three parts")
    header, claims = object_of(texts[0]), object_of(texts[1])
    if header.get("alg") != algorithm:
        raise BadTokenError(f"not {algorithm}")
    return Parts(header, claims, f"{texts[0]}.{texts[1]}".encode(), decode(texts[2]))


def segment(value: Mapping[str, Any]) -> str:
    """Write a header or claims, in their order, as a part of a token."""
    return base64url(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def base64url(data: bytes) -> str:
    """Write bytes as base64url without padding."""
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
