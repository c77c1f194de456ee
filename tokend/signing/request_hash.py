"""Hashes and HMACs of requests, byte for byte as vendors compute them."""

import hashlib
import hmac
import json
from collections.abc import Sequence

from tokend.values.secret import Secret


def json_string_sha256(fields: Sequence[str]) -> str:
    """Return the hex SHA-256 of the *JSON string* of the fields joined by ``#``; its quotes are hashed, too.

    Like JavaScript's ``JSON.stringify(a + "#" + b)``: non-ASCII characters stay. No fields: the empty string.
    """
    return hashlib.sha256(json.dumps("#".join(fields), ensure_ascii=False).encode("utf-8")).hexdigest()


def sorted_query(pairs: Sequence[tuple[str, str]]) -> str:
    """Return decoded ``name=value`` pairs joined by ``&``, sorted by name.

    Like JavaScript's ``Object.keys(q).sort().map(k => k + "=" + q[k]).join("&")``: UTF-16 code units are compared.
    """
    return "&".join(f"{name}={value}" for name, value in sorted(pairs, key=lambda pair: pair[0].encode("utf-16-be")))


def request_hmac(secret: Secret, *, method: str, path: str, timestamp: int, body: bytes) -> str:
    """Return the hex HMAC-SHA256 of ``METHOD + PATH + TIMESTAMP + BODY``, without separators.

    ``path`` has no query.
    """
    message = method.upper().encode() + path.encode() + str(timestamp).encode() + body
    return hmac.digest(secret.reveal_bytes(), message, "sha256").hex()
